/// Everything that the operator decides about one member, validated. Property defaults are etcd's; where a default depends on the
/// etcd release that the member behaves as, the property is optional and a function of the release gives the value.
public struct MemberConfiguration: Sendable, Equatable {
    // MARK: Member

    public var name = "default"
    /// Directory of the member's data. Once read, never empty: `NAME.etcd` when it was not given.
    public var dataDirectory = ""
    /// Directory of the write-ahead log, or empty for `member/wal` under the data directory.
    public var walDirectory = ""
    /// Applied entries between two snapshots when the operator chose; see ``effectiveSnapshotCount(behavingAs:)``.
    public var snapshotCount: UInt64?
    /// Log entries kept behind a snapshot for followers that lag.
    public var snapshotCatchUpEntries: UInt64 = 5_000
    /// Milliseconds between heartbeats, which is one raft tick.
    public var heartbeatMilliseconds: UInt64 = 100
    /// Milliseconds without a leader before an election; at least five heartbeats, at most 50,000.
    public var electionMilliseconds: UInt64 = 1_000
    public var initialElectionTickAdvance = true
    public var listenPeerURLs = [EndpointURL.http("localhost", 2380)]
    public var listenClientURLs = [EndpointURL.http("localhost", 2379)]
    /// When not empty, HTTP is served here only and `listenClientURLs` serve gRPC alone.
    public var listenClientHTTPURLs: [EndpointURL] = []
    /// Snapshot files to keep, 0 for all.
    public var maxSnapshotFiles: UInt64 = 5
    /// Closed write-ahead log files to keep, 0 for all.
    public var maxWALFiles: UInt64 = 5
    /// As given: 0 for the default, negative for none; see ``effectiveQuotaBytes``.
    public var quotaBackendBytes: Int64 = 0
    /// As given: 0 for the default; see ``effectiveBackendBatchInterval``.
    public var backendBatchInterval = Duration.zero
    /// As given: 0 for the default; see ``effectiveBackendBatchLimit``.
    public var backendBatchLimit: Int64 = 0
    public var freeListType = "map"
    public var maxTransactionOperations: UInt64 = 128
    public var maxRequestBytes: UInt64 = 1_572_864
    public var maxConcurrentStreams: UInt64 = 4_294_967_295
    public var enableGRPCGateway = true
    public var keepAliveMinimumTime = Duration.seconds(5)
    /// Between the server's pings on a connection; zero for none.
    public var keepAliveInterval = Duration.seconds(7_200)
    public var keepAliveTimeout = Duration.seconds(20)
    public var socketReusePort = false
    public var socketReuseAddress = false
    /// At least five seconds, as in etcd.
    public var raftReadTimeout = Duration.seconds(5)
    /// At least five seconds, as in etcd.
    public var raftWriteTimeout = Duration.seconds(5)
    public var memoryLock = false
    public var featureGates = FeatureGates()

    // MARK: Clustering

    public var initialAdvertisePeerURLs = [EndpointURL.http("localhost", 2380)]
    /// `NAME=URL,NAME=URL` as given or derived; see ``initialPeerURLs()``. Read when the data directory is empty only.
    public var initialCluster = "default=http://localhost:2380"
    /// What was found in DNS, in the form of `initialCluster` and in its place; no setting.
    var discoveredCluster: String?
    /// The name for which other members' certificates must be valid, or empty for the host that is dialled; no setting.
    public internal(set) var peerServerName = ""
    public var initialClusterState = InitialClusterState.new
    public var initialClusterToken = "etcd-cluster"
    public var advertiseClientURLs = [EndpointURL.http("localhost", 2379)]
    public var discovery = DiscoverySettings()
    public var strictReconfigurationCheck = true
    public var preVote = true
    public var autoCompactionMode = "periodic"
    /// As given; see ``autoCompaction``.
    public var autoCompactionRetention = "0"
    public var maxLearners: Int64 = 1
    public var enableV2 = false
    public var v2OverV3Prefix = ""
    public var v2Deprecation = ""
    public var proxyMode = ProxyMode.off
    public var proxyTimes = ProxyTimes()

    // MARK: Security

    public var clientSecurity = TransportSecurity()
    public var peerSecurity = TransportSecurity()
    /// Years that generated certificates are valid.
    public var selfSignedCertificateYears: UInt64 = 1
    /// Names as Go and IANA spell them, in order of preference; empty for the library's choice.
    public var cipherSuites: [String] = []
    /// `TLS1.2`, `TLS1.3`, or empty for the library's choice.
    public var minimumTLSVersion = "TLS1.2"
    public var maximumTLSVersion = ""
    /// Origins allowed for cross-origin requests, sorted; `*` for all.
    public var corsOrigins = ["*"]
    /// Host names accepted in plaintext HTTP requests, sorted; `*` or none at all for every name.
    public var hostWhitelist = ["*"]
    /// `simple`, `jwt` with options, or empty for none.
    public var authToken = "simple"
    public var bcryptCost: UInt64 = 10
    public var authTokenSeconds: UInt64 = 300

    // MARK: Observability

    public var enableProfiling = false
    public var metrics = MetricsDetail.basic
    public var listenMetricsURLs: [EndpointURL] = []
    public var logging = LoggingSettings()
    public var tracing = TracingSettings()
    /// Requests that take longer than this are worth a warning.
    public var warningUnaryRequestDuration = Duration.milliseconds(300)
    public var warningApplyDuration = Duration.milliseconds(100)

    // MARK: Maintenance

    /// Between two comparisons of the members' data; zero for none.
    public var corruptCheckTime = Duration.zero
    public var corruptAlarmAgainstEtcd = false
    public var compactHashCheckTime = Duration.seconds(60)
    /// As given: 0 for the default; see ``effectiveCompactionBatchLimit``.
    public var compactionBatchLimit: Int64 = 0
    /// As given: 0 for the default; see ``effectiveCompactionSleepInterval``.
    public var compactionSleepInterval = Duration.zero
    /// As given: 0 for the default; see ``effectiveWatchProgressNotifyInterval``.
    public var watchProgressNotifyInterval = Duration.zero
    public var bootstrapDefragmentationMegabytes: UInt64 = 0
    public var downgradeCheckTime = Duration.seconds(5)
    public var forceNewCluster = false
    public var unsafeNoFsync = false

    // MARK: Quorate's own

    /// The etcd release the member behaves as.
    public var compatibilityVersion = CompatibilityVersion.automatic
    /// Lifts the NOSPACE alarm by itself once the data fits the quota again.
    public var nospaceAutoDisarm = true
    /// MiB of a database sent to one other member a second; 0 for no limit.
    public var snapshotSendMegabytes: UInt64 = 0
    /// When systemd is told that the member is ready.
    public var readyWhen = ReadyWhen.quorum

    // MARK: Where it came from

    /// The configuration file that was read, or empty.
    public var configurationFile = ""
    /// Canonical names of the settings that the operator set, sorted.
    public var explicitSettings: [String] = []

    public init() {}
}

/// etcd's `--initial-cluster-state`.
public enum InitialClusterState: String, CaseIterable, Sendable { case new, existing }

/// What a service promises when it says that it is ready.
public enum ReadyWhen: String, CaseIterable, Sendable {
    /// It has published itself through the log, which takes a quorum: etcd's meaning.
    case quorum
    /// Its listeners answer, whatever the other members do.
    case serving
}

/// etcd's `--metrics`.
public enum MetricsDetail: String, CaseIterable, Sendable { case basic, extensive }

/// etcd's `--proxy`, up to 3.5.
public enum ProxyMode: String, CaseIterable, Sendable { case off, readonly, on }

/// etcd's settings of its v2 proxy, in milliseconds.
public struct ProxyTimes: Sendable, Equatable {
    public var failureWait: UInt64 = 5_000
    public var refreshInterval: UInt64 = 30_000
    public var dialTimeout: UInt64 = 1_000
    public var writeTimeout: UInt64 = 5_000
    public var readTimeout: UInt64 = 0

    public init() {}
}

/// The etcd release that a member behaves as, chosen by the operator.
public enum CompatibilityVersion: String, CaseIterable, Sendable {
    /// The version of the cluster or data directory that the member finds, 3.6 for a new cluster.
    case automatic = "auto"
    case v35 = "3.5"
    case v36 = "3.6"
    case v37 = "3.7"

    /// The full version told on the wire, which Go members insist on being a triple. `auto` stands for a new cluster here.
    public var etcdVersion: String {
        switch self {
        case .v35: return "3.5.30"
        case .automatic, .v36: return "3.6.14"
        case .v37: return "3.7.1"
        }
    }
}

/// Certificates and checks of one side, `client` or `peer`. All paths are empty when not given.
public struct TransportSecurity: Sendable, Equatable {
    public var certificateFile = ""
    public var keyFile = ""
    /// Certificate for outgoing connections when it is not the server's.
    public var clientCertificateFile = ""
    public var clientKeyFile = ""
    /// A certificate is demanded of whoever connects.
    public var requiresClientCertificate = false
    public var revocationListFile = ""
    public var trustedAuthorityFile = ""
    public var allowedCommonNames: [String] = []
    public var allowedHostnames: [String] = []
    /// Serve with a certificate made at start when none is given.
    public var isAutomatic = false
    public var skipsClientSANVerification = false

    public init() {}

    /// No certificate and key were given: etcd's `TLSInfo.Empty`.
    public var isEmpty: Bool { certificateFile.isEmpty && keyFile.isEmpty }
}

/// Ways to find the other members at bootstrap.
public struct DiscoverySettings: Sendable, Equatable {
    public var url = ""
    public var proxy = ""
    public var fallback = "exit"
    public var srvDomain = ""
    public var srvServiceName = ""
    public var token = ""
    public var endpoints: [String] = []
    public var dialTimeout = Duration.seconds(2)
    public var requestTimeout = Duration.seconds(5)
    public var keepAliveTime = Duration.seconds(2)
    public var keepAliveTimeout = Duration.seconds(6)
    public var insecureTransport = true
    public var insecureSkipVerify = false
    public var certificateFile = ""
    public var keyFile = ""
    public var authorityFile = ""
    public var serverName = ""
    public var user = ""
    public var password = ""
    public var maxRequestBytes: Int64 = 0
    public var maxReceiveBytes: Int64 = 0

    public init() {}

    /// Some way of finding the other members was asked for.
    public var isUsed: Bool { !url.isEmpty || !srvDomain.isEmpty || !srvServiceName.isEmpty || !endpoints.isEmpty }
}

/// Where the log goes and what it looks like.
public struct LoggingSettings: Sendable, Equatable {
    /// `default`, `stderr`, `stdout`, `systemd/journal` or paths, sorted.
    public var outputs = ["default"]
    /// `debug`, `info`, `warn`, `error`, `dpanic`, `panic` or `fatal`.
    public var level = "info"
    public var format = "json"
    public var logger = "zap"
    public var packageLevels = ""
    public var enableRotation = false
    /// As given; see ``MemberConfiguration/logRotation``.
    public var rotationJSON = LogRotation.defaultJSON

    public init() {}
}

/// OpenTelemetry tracing.
public struct TracingSettings: Sendable, Equatable {
    public var isEnabled = false
    public var address = "localhost:4317"
    public var serviceName = "etcd"
    public var instanceID = ""
    /// Samples per million spans.
    public var samplingRate: Int64 = 0

    public init() {}
}
