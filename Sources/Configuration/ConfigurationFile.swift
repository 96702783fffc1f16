/// Reads etcd's YAML configuration file. Values are read like those of flags, and besides: durations as whole nanoseconds, as
/// etcd demands; lists as YAML lists; `yes`, `no`, `on` and `off`. etcd silently passes over keys it does not know, in the file
/// and in its sections; so a file that starts etcd starts a member, but every such key is warned about with its line.
func readConfigurationFile<Root: ConfigurationRoot>(
    _ path: String, _ inputs: ConfigurationInputs, _ table: SettingsTableOf<Root>
) throws(ConfigurationError) -> ConfigurationDraftOf<Root> {
    let bytes: [UInt8]
    do {
        bytes = try inputs.readFile(path)
    } catch {
        throw ConfigurationError("open \(path): \(error.reason)")
    }
    var reader = FileReader(path: path, table: table)
    reader.draft.configuration.configurationFile = path
    do {
        guard let root = try YAMLNode.parse(bytes), !root.isNull else { return reader.draft }
        try reader.readSection(root, prefix: "")
    } catch {
        throw ConfigurationError("\(path):\(error.line): \(error.reason)")
    }
    return reader.draft
}

private struct FileReader<Root: ConfigurationRoot> {
    let path: String
    let table: SettingsTableOf<Root>
    var draft = ConfigurationDraftOf<Root>()
    private var linesOfKeys: [String: Int] = [:]

    init(path: String, table: SettingsTableOf<Root>) {
        self.path = path
        self.table = table
    }

    /// Reads the keys of one mapping. `prefix` is the section's path with a slash at the end, or empty.
    mutating func readSection(_ node: YAMLNode, prefix: String) throws(YAMLProblem) {
        guard case .mapping(let entries, _) = node else {
            let place = prefix.isEmpty ? "the file" : String(prefix.dropLast())
            throw YAMLProblem(line: node.line, reason: "\(place) must consist of keys and values")
        }
        for entry in entries {
            let key = prefix + entry.key
            if let earlier = linesOfKeys.updateValue(entry.keyLine, forKey: key.lowercased()) {
                warn(entry.keyLine, "key is given twice; the later value counts", key, ("earlier-line", String(earlier)))
            }
            if entry.value.isNull { continue }
            if let setting = table.fileKey(key) {
                try read(setting, entry.value, key)
            } else if table.isFileSection(key) {
                try readSection(entry.value, prefix: key + "/")
            } else if let setting = table.flag(entry.key), prefix.isEmpty {
                let places = setting.fileKeys.map { $0.split(separator: "/").joined(separator: ": ") }
                let hint = places.isEmpty ? "a file cannot set this" : "expected under " + places.joined(separator: " or ")
                warn(entry.keyLine, "key of the configuration file has no effect here", key, ("hint", hint))
            } else {
                warn(entry.keyLine, "unknown key of the configuration file is ignored", key)
            }
        }
    }

    private mutating func warn(_ line: Int, _ message: String, _ key: String, _ more: (String, String)...) {
        let fields = [("path", path), ("line", String(line)), ("key", key)] + more
        draft.notices.append(
            ConfigurationNotice(
                level: .warning, message: message, fields: fields.map { ConfigurationNotice.Field(name: $0.0, value: $0.1) }))
    }

    private mutating func read(_ setting: SettingOf<Root>, _ node: YAMLNode, _ key: String) throws(YAMLProblem) {
        let text: String
        switch node {
        case .scalar(let scalar, let isPlain, let line):
            text = try Self.flagText(scalar, isPlain, setting, line, key)
        case .sequence(let items, _):
            guard setting.target.syntax == .list else {
                throw YAMLProblem(line: node.line, reason: "\(key): a single value is expected, not a list")
            }
            var words: [String] = []
            for item in items {
                guard case .scalar(let word, _, _) = item else {
                    throw YAMLProblem(line: item.line, reason: "\(key): a list of single values is expected")
                }
                words.append(word)
            }
            text = words.joined(separator: ",")
        case .mapping:
            throw YAMLProblem(line: node.line, reason: "\(key): a value is expected, not further keys")
        }
        do {
            try draft.set(setting, text)
        } catch {
            throw YAMLProblem(
                line: node.line,
                reason: "invalid value \(goQuoted(text)) for \(key): \(error.reason) (allowed: \(setting.target.allowed))")
        }
    }

    /// The text a flag would have been given for the same value.
    private static func flagText(
        _ scalar: String, _ isPlain: Bool, _ setting: SettingOf<Root>, _ line: Int, _ key: String
    ) throws(YAMLProblem) -> String {
        guard isPlain else { return scalar }
        switch setting.target.syntax {
        case .duration:
            // A bare number is nanoseconds; a flag would demand the unit.
            return (try? NumberText.signed(scalar)) == nil ? scalar : scalar + "ns"
        case .truth:
            switch scalar.lowercased() {
            case "y", "yes", "on": return "true"
            case "n", "no", "off": return "false"
            default: return scalar
            }
        default:
            return scalar
        }
    }

}

/// Defaults that a file takes back. Unlike flags, a file with `listen-client-urls` alone keeps the default advertised URLs.
func applyFileRules(_ draft: inout ConfigurationDraft) {
    let discovery = draft.configuration.discovery
    let untouched = MemberConfiguration().initialCluster
    if !discovery.url.isEmpty || !discovery.srvDomain.isEmpty || !discovery.endpoints.isEmpty,
        draft.configuration.initialCluster == untouched
    {
        draft.configuration.initialCluster = ""
    }
    if draft.configuration.selfSignedCertificateYears == 0 { draft.configuration.selfSignedCertificateYears = 1 }
}
