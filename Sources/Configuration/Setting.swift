/// Settings of a member.
typealias Setting = SettingOf<MemberConfiguration>

/// What the settings of one half of the program are read into.
protocol ConfigurationRoot: Sendable {
    /// The defaults.
    init()
    /// The file that the settings are read from, or empty.
    var configurationFile: String { get set }
    /// What the names of Quorate's own environment variables begin with.
    static var environmentPrefix: String { get }
    /// The effective log level.
    var logging: LoggingSettings { get set }
}

/// One setting: a row of the table from which command line, environment, file, help and validation all come.
struct SettingOf<Root: ConfigurationRoot>: Sendable {
    /// The flag without dashes. For settings that only a file knows, the path of its key with slashes.
    let name: String
    let group: SettingGroup
    let target: SettingTargetOf<Root>
    /// etcd releases that know the flag.
    let releases: EtcdReleases
    let effect: SettingEffect
    /// Paths of the file keys, sections separated by slashes; empty when a file cannot set it.
    let fileKeys: [String]
    let help: String
    /// Shown in help instead of the default value, where the default is not a fixed text.
    let defaultText: String?
    /// The value must not appear in logs.
    let isSecret: Bool

    /// - Parameter file: key paths; nil for a key of the flag's own name.
    init(
        _ name: String, _ group: SettingGroup, _ target: SettingTargetOf<Root>, _ releases: EtcdReleases, _ effect: SettingEffect,
        file: [String]? = nil, default defaultText: String? = nil, secret: Bool = false, _ help: String
    ) {
        self.name = name
        self.group = group
        self.target = target
        self.releases = releases
        self.effect = effect
        self.fileKeys = file ?? [name]
        self.help = help
        self.defaultText = defaultText
        self.isSecret = secret
    }

    /// A setting that is supported.
    init(
        _ name: String, _ group: SettingGroup, _ target: SettingTargetOf<Root>, _ releases: EtcdReleases, file: [String]? = nil,
        default defaultText: String? = nil, _ help: String
    ) {
        self.init(name, group, target, releases, .supported, file: file, default: defaultText, help)
    }

    /// Only a configuration file can set it.
    var isFileOnly: Bool { name.contains("/") }

    /// Every flag `a-b` has a variable `ETCD_A_B`; Quorate's own have `QUORATE_A_B`, and the proxy's `QUORATE_PROXY_A_B`, so that
    /// etcd, started from the same environment file, does not warn about them.
    var environmentVariable: String {
        let suffix = String(name.map { $0 == "-" ? "_" : Character($0.uppercased()) })
        return (releases.isEmpty ? Root.environmentPrefix : "ETCD_") + suffix
    }

    /// How errors and notices name it.
    var displayName: String { isFileOnly ? name : "--" + name }
}

/// Sections of the help text, in order.
enum SettingGroup: String, CaseIterable, Sendable {
    case member = "Member"
    case clustering = "Clustering"
    case security = "Security"
    case auth = "Authentication"
    case monitoring = "Monitoring"
    case logging = "Logging"
    case tracing = "Tracing"
    case maintenance = "Maintenance"
    case unsafe = "Unsafe (these can break what a consistent cluster promises)"
    case quorate = "Quorate's own"
    case deprecated = "Deprecated"
}

/// The minor releases of etcd that know a setting.
struct EtcdReleases: OptionSet, Sendable {
    let rawValue: UInt8

    static let v34 = EtcdReleases(rawValue: 1)
    static let v35 = EtcdReleases(rawValue: 2)
    static let v36 = EtcdReleases(rawValue: 4)
    static let v37 = EtcdReleases(rawValue: 8)
    static let all: EtcdReleases = [.v34, .v35, .v36, .v37]
    static let since35: EtcdReleases = [.v35, .v36, .v37]
    static let since36: EtcdReleases = [.v36, .v37]
    static let until35: EtcdReleases = [.v34, .v35]
    static let until36: EtcdReleases = [.v34, .v35, .v36]
    static let between35And36: EtcdReleases = [.v35, .v36]
    /// No etcd knows it: a setting of Quorate's own.
    static let none: EtcdReleases = []

    static let names: [(EtcdReleases, String)] = [(.v34, "3.4"), (.v35, "3.5"), (.v36, "3.6"), (.v37, "3.7")]

    var names: [String] { Self.names.filter { contains($0.0) }.map { $0.1 } }
}

/// What happens when the operator gives a setting a value other than its default.
enum SettingEffect: Sendable, Equatable {
    case supported
    /// Taken, and said in the log to change nothing.
    case acceptedWithoutEffect(String)
    /// Refused with this message.
    case notSupportedYet(String)
    /// Gone in etcd 3.6, which refuses the flag and passes over the file key; here the key is warned about.
    case removed(String)
    /// An older name of another setting: taken as that one, with a warning.
    case deprecatedAlias(of: String)
    /// A flag that etcd has long ignored, with or without a value.
    case ignoredByEtcd
}
