import Balancing

/// Everything that the operator decides about the proxy, validated.
public struct ProxyConfiguration: Sendable, Equatable {
    // MARK: Listening and forwarding

    public var mode = ForwardingMode.http
    public var listenClientURLs = [EndpointURL.http("127.0.0.1", 23790)]
    /// Further URLs that serve the proxy's own pages, in both modes.
    public var listenMetricsURLs: [EndpointURL] = []
    /// Empty: nothing is kept. Holds the last good member list and the socket that `quorate proxy status` asks.
    public var dataDirectory = "default.proxy"
    public var configurationFile = ""
    public var isReadOnly = false
    public var accessLog = false
    public var allowSharedIdentity = false
    /// When systemd is told that the proxy is ready.
    public var readyWhen = ProxyReadyWhen.endpoint

    // MARK: Endpoints

    /// As given, with or without scheme; see ``endpoints``.
    public var endpointTexts = ["127.0.0.1:2379"]
    /// Read from `endpointTexts` once everything else is known.
    public internal(set) var endpoints: [EndpointAddress] = []
    /// One endpoint a line; watched for changes. Takes the place of `endpointTexts`.
    public var endpointsFile = ""
    /// Domain whose SRV records name the endpoints.
    public var discoveryDomain = ""
    public var discoveryName = ""
    /// Ask for the records of plain endpoints too, as etcd's `--insecure-discovery`.
    public var insecureDiscovery = false
    /// The members' peer URLs are asked for the endpoints, as by etcd's v2 proxy.
    public internal(set) var peers: PeerEndpoints?
    public var refreshInterval = Duration.seconds(30)
    /// In hexadecimal as etcd's tools print it with `-w table --hex`, or empty for the cluster found first; see ``clusterID``.
    public var clusterIDText = ""

    // MARK: Health

    public var probe = ProbeKind.automatic
    /// Plain HTTP port of the members' health pages (`--listen-metrics-urls` of etcd), or 0 for the client port.
    public var probePort: UInt64 = 0
    public var probeInterval = Duration.seconds(1)
    public var probeTimeout = Duration.seconds(1)
    public var probeRise: UInt64 = 2
    public var probeFall: UInt64 = 2
    public var ejectionFailures: UInt64 = 5
    public var ejectionTime = Duration.seconds(5)
    public var maximumEjectionTime = Duration.seconds(60)

    // MARK: Choice

    public var policy = BalancingSettings.Policy.leastLoaded
    public var prefersLeaderForWrites = false
    /// Hosts, suffixes of host names, or IPv4 networks.
    public var preferredEndpoints: [String] = []
    /// Retries for a hundred requests.
    public var retryPercent: UInt64 = 20
    /// Retries a second besides.
    public var retriesPerSecond: UInt64 = 10

    // MARK: Limits

    /// Event loops that forward; 0 for one for every two cores, at most four.
    public var threads: UInt64 = 0
    public var connectTimeout = Duration.seconds(1)
    public var headerTimeout = Duration.seconds(10)
    /// How long streams and connections may go on after SIGTERM.
    public var drainTimeout = Duration.seconds(10)
    /// Client connections at once; 0 for what the limit of open files allows.
    public var maximumConnections: UInt64 = 0
    public var maximumConcurrentStreams: UInt64 = 4_294_967_295
    /// Replies up to this size are held whole, so that reads can be sent to another endpoint.
    public var replayBufferBytes: UInt64 = 1 << 20
    public var upstreamConnections: UInt64 = 1

    // MARK: Security

    /// Of the listener.
    public var clientSecurity = TransportSecurity()
    public var selfSignedCertificateYears: UInt64 = 1
    public var cipherSuites: [String] = []
    public var minimumTLSVersion = "TLS1.2"
    public var maximumTLSVersion = ""
    /// To the members.
    public var memberSecurity = MemberSecurity()

    public var logging = LoggingSettings()

    /// Settings of etcd's grpc-proxy that are refused.
    var unsupportedNamespace = ""
    var unsupportedLeasing = ""
    /// Settings of etcd's grpc-proxy that are only checked.
    var registration = ProxyRegistration()

    public init() {}

    /// The cluster the operator named.
    public var clusterID: UInt64? { UInt64(clusterIDText, radix: 16) }
}

extension ProxyConfiguration: ConfigurationRoot {
    static var environmentPrefix: String { "QUORATE_PROXY_" }
}

extension MemberConfiguration: ConfigurationRoot {
    static var environmentPrefix: String { "QUORATE_" }
}

/// How requests are forwarded.
public enum ForwardingMode: String, CaseIterable, Sendable {
    /// Request by request.
    case http
    /// Byte by byte; TLS passes through untouched.
    case tcp
}

/// What the proxy promises when it says that it is ready.
public enum ProxyReadyWhen: String, CaseIterable, Sendable {
    /// At least one endpoint is healthy.
    case endpoint
    /// Its listeners are open, whatever the endpoints do.
    case serving
}

/// What an active probe does.
public enum ProbeKind: String, CaseIterable, Sendable {
    /// The best of the others that the endpoint answers.
    case automatic = "auto"
    /// Asks the member for its status: leader, learner, alarms, cluster.
    case status
    /// Asks for the pages `/readyz` and `/health`.
    case http
    /// Opens a connection; a member that hangs is not noticed.
    case tcp
}

/// Where etcd's v2 proxy finds the endpoints.
public struct PeerEndpoints: Sendable, Equatable {
    /// Of the members named by `--initial-cluster`, in ascending order.
    public var urls: [String] = []
    /// Of the members' SRV records, or empty.
    public var domain = ""
    public var suffix = ""
    public var security = MemberSecurity()
}

/// How the proxy proves itself to members, and they to it.
public struct MemberSecurity: Sendable, Equatable {
    public var certificateFile = ""
    public var keyFile = ""
    public var trustedAuthorityFile = ""
    public var skipsVerification = false
    /// Expected in members' certificates in place of their host names.
    public var serverName = ""

    public init() {}

    /// Something was given: endpoints without a scheme are taken for `https`.
    public var isUsed: Bool { self != MemberSecurity() }
}
