/// The settings of a member.
typealias SettingsTable = SettingsTableOf<MemberConfiguration>

/// The one table of settings of one half of the program. It is built when a configuration is read and can be forgotten afterwards.
struct SettingsTableOf<Root: ConfigurationRoot>: Sendable {
    /// In the order of the help text.
    let settings: [SettingOf<Root>]
    private let byName: [String: Int]
    private let byFileKey: [String: Int]

    init(_ settings: [SettingOf<Root>]) {
        self.settings = settings
        var byName: [String: Int] = [:]
        var byFileKey: [String: Int] = [:]
        for (index, setting) in settings.enumerated() {
            precondition(byName.updateValue(index, forKey: setting.name) == nil, "two settings are called \(setting.name)")
            for key in setting.fileKeys {
                precondition(byFileKey.updateValue(index, forKey: key) == nil, "two settings have the file key \(key)")
            }
        }
        self.byName = byName
        self.byFileKey = byFileKey
    }

    /// The setting behind a flag of that name, without dashes.
    func flag(_ name: String) -> SettingOf<Root>? {
        guard let setting = byName[name].map({ settings[$0] }), !setting.isFileOnly else { return nil }
        return setting
    }

    /// The setting that a name stands for, whether a flag sets it or a file only.
    func setting(named name: String) -> SettingOf<Root>? { byName[name].map { settings[$0] } }

    /// The setting behind a key of a configuration file, sections separated by slashes. etcd's decoder does not look at case.
    func fileKey(_ path: String) -> SettingOf<Root>? {
        if let index = byFileKey[path] { return settings[index] }
        return byFileKey[path.lowercased()].map { settings[$0] }
    }

    /// Whether a file key of that path leads to keys below it.
    func isFileSection(_ path: String) -> Bool {
        let prefix = path.lowercased() + "/"
        return byFileKey.keys.contains { $0.hasPrefix(prefix) }
    }

    /// Flags in the order in which Go visits them: by name.
    var flagsByName: [SettingOf<Root>] {
        settings.filter { !$0.isFileOnly }.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// The newer setting that an older name stands for, or the setting itself.
    func canonical(_ setting: SettingOf<Root>) -> SettingOf<Root> {
        if case .deprecatedAlias(let successor) = setting.effect, let found = byName[successor] { return settings[found] }
        return setting
    }
}

extension SettingsTableOf where Root == MemberConfiguration {
    init() {
        self.init(
            MemberSettings.rows + ClusteringSettings.rows + SecuritySettings.rows + OperationSettings.rows + Self.requests
                + PastSettings.rows)
    }

    /// Flags that ask for something else than running a member.
    private static var requests: [Setting] {
        [Setting("version", .member, .request, .all, file: [], "Print the version and exit.")]
    }
}
