/// What a command line asks for.
public enum MemberRequest: Sendable {
    /// Run a member. Notices are for the log, once there is one.
    case run(MemberConfiguration, notices: [ConfigurationNotice])
    /// Print this text on standard output and exit with 0.
    case print(String)
}

/// What reading a configuration may ask of the world.
public struct ConfigurationInputs: Sendable {
    /// Words after the program's name and `member`.
    public var arguments: [String]
    public var environment: [String: String]
    /// The bytes of a file, or why it cannot be read, in the C library's words.
    public var readFile: @Sendable (_ path: String) throws(FileProblem) -> [UInt8]
    /// The address of the interface that holds the default route: etcd advertises it in place of `0.0.0.0`.
    public var defaultHost: @Sendable () -> String?

    public init(
        arguments: [String], environment: [String: String],
        readFile: @escaping @Sendable (_ path: String) throws(FileProblem) -> [UInt8],
        defaultHost: @escaping @Sendable () -> String?
    ) {
        self.arguments = arguments
        self.environment = environment
        self.readFile = readFile
        self.defaultHost = defaultHost
    }

    public struct FileProblem: Error, Sendable {
        public let reason: String

        public init(reason: String) { self.reason = reason }
    }
}

/// Reads a member's configuration, by etcd's precedence: a configuration file alone, else command line and environment, which
/// must not both set the same thing.
/// - Parameter version: Quorate's own version and build, for `--version`.
public func readMemberConfiguration(
    _ inputs: ConfigurationInputs, version: BuildVersion
) throws(ConfigurationError) -> MemberRequest {
    let table = SettingsTable()
    var draft = ConfigurationDraft()
    switch try readCommandLine(inputs.arguments, table, &draft) {
    case .help: return .print(helpText(table))
    case .version: return .print(version.text(behavingAs: draft.configuration.compatibilityVersion))
    case .run: break
    }
    // Looked at before the other variables, because a file makes all of them count for nothing.
    let path =
        draft.configuration.configurationFile.isEmpty
        ? inputs.environment["ETCD_CONFIG_FILE"] ?? "" : draft.configuration.configurationFile
    if path.isEmpty {
        try readEnvironment(inputs.environment, table, &draft, prefixes: ["ETCD_", "QUORATE_"])
        applyCommandLineRules(&draft)
    } else {
        let ignored = draft.given.filter { $0 != "config-file" }
        draft = try readConfigurationFile(path, inputs, table)
        applyFileRules(&draft)
        draft.notices.insert(loadedFileNotice(path, ignored), at: 0)
    }
    try finish(&draft, table, inputs)
    return .run(draft.configuration, notices: draft.notices)
}

func loadedFileNotice(_ path: String, _ ignored: [String]) -> ConfigurationNotice {
    let message =
        "loaded server configuration, other configuration command line flags and environment variables will be ignored "
        + "if provided"
    if ignored.isEmpty { return .info(message, ("path", path)) }
    return .warning(message, ("path", path), ("ignored-flags", ignored.map { "--" + $0 }.joined(separator: " ")))
}

enum CommandLineOutcome { case run, help, version }

/// Reads the flags in order, so that the first problem is the one reported.
func readCommandLine<Root>(
    _ arguments: [String], _ table: SettingsTableOf<Root>, _ draft: inout ConfigurationDraftOf<Root>,
    words: CommandLineWords = .flag
) throws(ConfigurationError) -> CommandLineOutcome {
    var scanner = FlagScanner(arguments, words)
    var wantsVersion = false
    while let flag = try scanner.next(isTruth: { table.flag($0)?.target.isTruth }) {
        guard case .setting(let name, let value) = flag, let setting = table.flag(name) else { return .help }
        do {
            try draft.set(setting, value)
        } catch {
            throw words.invalidValue(value, of: setting, error)
        }
        if name == "version" { wantsVersion = (try? NumberText.truth(value)) ?? false }
    }
    if let word = scanner.remaining.first { throw ConfigurationError("\(goQuoted(word)) is not a valid flag") }
    return wantsVersion ? .version : .run
}

/// Reads `ETCD_*` and Quorate's own variables. A variable that a flag sets too is refused, as etcd refuses it.
/// - Parameter prefixes: variables that begin so are warned about when nobody knows them.
func readEnvironment<Root>(
    _ environment: [String: String], _ table: SettingsTableOf<Root>, _ draft: inout ConfigurationDraftOf<Root>, prefixes: [String]
) throws(ConfigurationError) {
    var known: Set<String> = ["ETCD_UNSUPPORTED_ARCH"]
    let flags = table.flagsByName
    for setting in flags where draft.isGiven(setting.name) && environment[setting.environmentVariable] != nil {
        throw ConfigurationError(
            "conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable "
                + "or disable flag): \(setting.environmentVariable) and --\(setting.name)")
    }
    if let version = environment["ETCD_VERSION"], !version.isEmpty {
        draft.notices.append(.warning("cannot set special environment variable", ("key", "ETCD_VERSION"), ("value", version)))
    }
    for setting in flags {
        let variable = setting.environmentVariable
        known.insert(variable)
        guard setting.name != "version", let value = environment[variable], !value.isEmpty else { continue }
        do {
            try draft.set(setting, value)
        } catch {
            throw ConfigurationError(
                "invalid value \(goQuoted(value)) for \(variable): \(error.reason) (allowed: \(setting.target.allowed))")
        }
        draft.notices.append(
            .info(
                "recognized and used environment variable", ("variable-name", variable),
                ("variable-value", setting.isSecret ? "(hidden)" : value)))
    }
    for variable in environment.keys.sorted() where !known.contains(variable) {
        // The value is left out: a variable that nobody here knows may hold anything.
        if prefixes.contains(where: { variable.hasPrefix($0) }), !isOfTheOtherHalf(variable, Root.environmentPrefix) {
            draft.notices.append(.warning("unrecognized environment variable", ("environment-variable", variable)))
        }
    }
}

/// Both halves may be started from one environment file.
private func isOfTheOtherHalf(_ variable: String, _ own: String) -> Bool {
    let proxy = ProxyConfiguration.environmentPrefix
    return own != proxy && variable.hasPrefix(proxy)
}

/// Defaults that etcd takes back when flags or variables say otherwise; a file does not have this rule.
private func applyCommandLineRules(_ draft: inout ConfigurationDraft) {
    if draft.isGiven("listen-client-urls"), !draft.isGiven("advertise-client-urls") {
        draft.configuration.advertiseClientURLs = []
    }
    if draft.configuration.discovery.isUsed, !draft.isGiven("initial-cluster") { draft.configuration.initialCluster = "" }
}
