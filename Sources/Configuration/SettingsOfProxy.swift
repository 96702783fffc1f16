import Balancing

/// The settings of `quorate proxy`.
enum ProxySettings {
    typealias Row = SettingOf<ProxyConfiguration>

    static var rows: [Row] { forwarding + endpoints + health + choice + limits + security + memberSecurity + logging }

    private static var forwarding: [Row] {
        [
            Row(
                "listen-client-urls", .member, .urls(\.listenClientURLs), .none,
                "URLs for clients: http://HOST:PORT, https://HOST:PORT, unix://PATH or unixs://PATH. With --mode tcp the bytes pass "
                    + "untouched whatever the scheme."),
            Row(
                "mode", .member, .choice(\.mode), .none,
                "http forwards request by request and hides failures; tcp forwards bytes, TLS untouched, so that clients' own "
                    + "certificates reach the members."),
            Row(
                "listen-metrics-urls", .monitoring, .urls(\.listenMetricsURLs), .none,
                "Further URLs that serve the proxy's own pages: /health, /metrics, /proxy/endpoints."),
            Row(
                "data-dir", .member, .text(\.dataDirectory), .none,
                "Directory for the last good member list, and for the socket that `quorate proxy status` asks."),
            Row(
                "config-file", .member, .text(\.configurationFile), .none, file: [],
                "Read the configuration from this YAML file; all other flags and all environment variables are then ignored."),
            Row("readonly", .member, .truth(\.isReadOnly), .none, "Refuse requests that write. With --mode http only."),
            Row("access-log", .monitoring, .truth(\.accessLog), .none, "Log every request, or with --mode tcp every connection."),
            Row(
                "ready-when", .member, .choice(\.readyWhen), .none,
                "When systemd is told that the proxy is ready: once an endpoint is healthy, or once its listeners are open."),
            Row(
                "version", .member, .request, .none, file: [], "Print the version and exit."),
        ]
    }

    private static var endpoints: [Row] {
        [
            Row(
                "endpoints", .clustering, .list(\.endpointTexts), .none,
                "Members to begin with, as HOST:PORT or URLs, separated by commas. Without a scheme they are https if --cacert, --cert "
                    + "or --insecure-skip-tls-verify is given, else http."),
            Row(
                "endpoints-file", .clustering, .text(\.endpointsFile), .none,
                "Read the endpoints from this file instead, one a line, and again whenever it changes."),
            Row(
                "discovery-srv", .clustering, .text(\.discoveryDomain), .none,
                "Find the endpoints through the SRV records of this domain instead (etcd-client and etcd-client-ssl), and look again "
                    + "every --refresh-interval."),
            Row(
                "discovery-srv-name", .clustering, .text(\.discoveryName), .none,
                "Suffix of the service's name in those records."),
            Row(
                "insecure-discovery", .clustering, .truth(\.insecureDiscovery), .none,
                "Accept SRV records of endpoints without TLS."),
            Row(
                "refresh-interval", .clustering, .duration(\.refreshInterval), .none,
                "Time between two looks at the cluster's own member list and at DNS; 0 turns them off. What cannot be read, or is "
                    + "empty, changes nothing."),
            Row(
                "cluster-id", .clustering, .clusterID(\.clusterIDText), .none,
                "Forward to this cluster only, in hexadecimal; otherwise the one that most endpoints belong to at first."),
        ]
    }

    private static var health: [Row] {
        [
            Row(
                "probe", .maintenance, .choice(\.probe), .none,
                "How endpoints are probed: status asks for leader, learner, alarms and cluster; http for /readyz or /health; tcp only "
                    + "connects; auto takes the best that the endpoint answers."),
            Row(
                "probe-port", .maintenance, .unsigned(\.probePort, bits: 16), .none,
                "Probe the pages /readyz and /health on this plain HTTP port of the members (etcd's --listen-metrics-urls); 0 for the "
                    + "client port."),
            Row("probe-interval", .maintenance, .duration(\.probeInterval), .none, "Time between two probes of an endpoint."),
            Row(
                "probe-timeout", .maintenance, .duration(\.probeTimeout), .none,
                "An endpoint that does not answer a probe for so long is left."),
            Row(
                "probe-rise", .maintenance, .unsigned(\.probeRise), .none,
                "Probes in a row that an endpoint must pass to be taken back."),
            Row(
                "probe-fall", .maintenance, .unsigned(\.probeFall), .none,
                "Failed probes in a row after which an endpoint is left; a refused or unanswered one is enough by itself."),
            Row(
                "ejection-failures", .maintenance, .unsigned(\.ejectionFailures), .none,
                "Failed requests in a row after which an endpoint is left alone for a while."),
            Row(
                "ejection-time", .maintenance, .duration(\.ejectionTime), .none,
                "How long for the first time; it doubles each further time, and a passed probe ends it."),
            Row("ejection-max-time", .maintenance, .duration(\.maximumEjectionTime), .none, "The longest such time."),
        ]
    }

    private static var choice: [Row] {
        [
            Row(
                "policy", .quorate, .choice(\.policy), .none,
                "Which of the healthy endpoints: in turn, the less loaded of two by latency and requests in flight, or always the same."
            ),
            Row(
                "prefer-leader-for-writes", .quorate, .truth(\.prefersLeaderForWrites), .none,
                "Send writes to the leader while it is healthy."),
            Row(
                "prefer-endpoints", .quorate, .patterns(\.preferredEndpoints), .none,
                "Near endpoints, used before all others while healthy: hosts, suffixes as .zone-a.example, or networks as 10.1.0.0/16."
            ),
            Row(
                "retry-percent", .quorate, .unsigned(\.retryPercent), .none, "Requests of a hundred that may be sent again."),
            Row("retry-per-second", .quorate, .unsigned(\.retriesPerSecond), .none, "Requests a second that may be besides."),
        ]
    }

    private static var limits: [Row] {
        [
            Row(
                "threads", .quorate, .unsigned(\.threads), .none,
                "Threads that forward; 0 for one for every two cores, at most four: fewer do the same with less CPU time."),
            Row(
                "connect-timeout", .quorate, .duration(\.connectTimeout), .none, "How long connecting to an endpoint may take."),
            Row(
                "header-timeout", .quorate, .duration(\.headerTimeout), .none,
                "How long a client may take for a request's header, or for its first bytes."),
            Row(
                "drain-timeout", .quorate, .duration(\.drainTimeout), .none,
                "How long requests and connections may go on after SIGTERM."),
            Row(
                "max-connections", .quorate, .unsigned(\.maximumConnections), .none,
                "Client connections at once; 0 for as many as the limit of open files allows."),
            Row(
                "max-concurrent-streams", .quorate, .unsigned(\.maximumConcurrentStreams, bits: 32), .none,
                "Streams that a client may have open on one connection."),
            Row(
                "replay-buffer-bytes", .quorate, .unsigned(\.replayBufferBytes), .none,
                "Replies up to this size are held whole, so that a read can be sent to another endpoint when one fails."),
            Row(
                "upstream-connections", .quorate, .unsigned(\.upstreamConnections), .none,
                "Connections that each thread keeps to each endpoint."),
        ]
    }

    private static var security: [Row] {
        [
            Row(
                "cert-file", .security, .text(\.clientSecurity.certificateFile), .none,
                "Certificate shown to clients."),
            Row("key-file", .security, .text(\.clientSecurity.keyFile), .none, "Key of that certificate."),
            Row(
                "client-cert-auth", .security, .truth(\.clientSecurity.requiresClientCertificate), .none,
                "Demand a certificate of every client."),
            Row(
                "trusted-ca-file", .security, .text(\.clientSecurity.trustedAuthorityFile), .none,
                "Authorities trusted for clients' certificates."),
            Row(
                "client-crl-file", .security, .text(\.clientSecurity.revocationListFile), .none,
                "Revocation list for clients' certificates."),
            Row(
                "auto-tls", .security, .truth(\.clientSecurity.isAutomatic), .none,
                "Serve clients with a certificate made at start."),
            Row(
                "self-signed-cert-validity", .security, .unsigned(\.selfSignedCertificateYears), .none,
                "Years that such a certificate is valid."),
            Row(
                "cipher-suites", .security, .list(\.cipherSuites), .none,
                "Cipher suites in order of preference."),
            Row(
                "tls-min-version", .security, .words(\.minimumTLSVersion, ["TLS1.2", "TLS1.3"]), .none,
                "Oldest TLS version accepted."),
            Row(
                "tls-max-version", .security, .words(\.maximumTLSVersion, ["", "TLS1.2", "TLS1.3"]), .none,
                "Newest TLS version accepted."),
        ]
    }

    private static var memberSecurity: [Row] {
        [
            Row("cert", .security, .text(\.memberSecurity.certificateFile), .none, "Certificate shown to members."),
            Row("key", .security, .text(\.memberSecurity.keyFile), .none, "Key of that certificate."),
            Row(
                "cacert", .security, .text(\.memberSecurity.trustedAuthorityFile), .none,
                "Authorities trusted for members' certificates; those of the system unless given."),
            Row(
                "insecure-skip-tls-verify", .security, .truth(\.memberSecurity.skipsVerification), .none,
                "Do not check members' certificates."),
            Row(
                "server-name", .security, .text(\.memberSecurity.serverName), .none,
                "Name that members' certificates must carry, in place of the endpoint's host."),
            Row(
                "allow-shared-identity", .security, .truth(\.allowSharedIdentity), .none,
                "Use a certificate with a common name, although every client of the proxy then acts under that name. Plaintext "
                    + "listeners must then be loopback addresses or unix sockets."),
        ]
    }

    private static var logging: [Row] {
        [
            Row(
                "log-level", .logging, .text(\.logging.level, allowed: LogLevelName.allowed), .none,
                "Least important level that is logged: debug, info, warn, error, panic or fatal."),
            Row(
                "log-format", .logging, .words(\.logging.format, ["json", "console"]), .none,
                "Form of log lines: json or console."),
            Row(
                "log-outputs", .logging, .set(\.logging.outputs), .none,
                "Where the log goes: default (stderr), stderr, stdout, systemd/journal, or paths of files, separated by commas."),
        ]
    }
}

extension SettingTargetOf where Root == ProxyConfiguration {
    static func clusterID(_ path: ConfigurationPath<String>) -> SettingTargetOf {
        SettingTargetOf(syntax: .text, allowed: "up to 16 hexadecimal digits", read: { $0[keyPath: path] }) {
            configuration, text throws(ValueProblem) in
            guard text.isEmpty || UInt64(text, radix: 16) != nil else { throw .syntax }
            configuration[keyPath: path] = text
        }
    }

    static func patterns(_ path: ConfigurationPath<[String]>) -> SettingTargetOf {
        SettingTargetOf(
            syntax: .list, allowed: "hosts, suffixes as .zone-a.example or networks as 10.1.0.0/16, separated by commas",
            read: { $0[keyPath: path].joined(separator: ",") }
        ) { configuration, text throws(ValueProblem) in
            let words = text.isEmpty ? [] : splitCommas(text)
            if let wrong = words.first(where: { AddressPattern($0) == nil }) {
                throw ValueProblem(reason: "\(goQuoted(wrong)) is no host, suffix or network")
            }
            configuration[keyPath: path] = words
        }
    }
}
