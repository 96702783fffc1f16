import Balancing

/// The command lines of etcd's own proxies, which start the same mode of this one: `etcd gateway start` and `etcd grpc-proxy start`.
public enum EtcdProxyCommand: String, Sendable {
    /// Forwards bytes.
    case gateway
    /// Forwards requests.
    case grpcProxy = "grpc-proxy"
}

enum EtcdProxySettings {
    typealias Row = SettingOf<ProxyConfiguration>

    static func rows(_ command: EtcdProxyCommand) -> [Row] {
        switch command {
        case .gateway: common + gateway + logging
        case .grpcProxy: common + grpcProxy + grpcProxySecurity + logging
        }
    }

    private static func unused(_ name: String, _ target: SettingTargetOf<ProxyConfiguration>, _ reason: String) -> Row {
        Row(name, .deprecated, target, .none, .acceptedWithoutEffect(reason), "Taken from etcd.")
    }

    private static func unused(_ name: String, _ syntax: SettingSyntax, _ value: String, _ reason: String) -> Row {
        unused(name, .discarded(syntax, default: value), reason)
    }

    private static var common: [Row] {
        [
            Row("listen-addr", .member, .listenAddress, .none, "HOST:PORT for clients."),
            Row("endpoints", .clustering, .list(\.endpointTexts), .none, "Members to begin with, separated by commas."),
            Row("discovery-srv", .clustering, .text(\.discoveryDomain), .none, "Domain of SRV records."),
            Row(
                "discovery-srv-name", .clustering, .text(\.discoveryName), .none, "Suffix of the service's name in those records."
            ),
            Row(
                "insecure-discovery", .clustering, .truth(\.insecureDiscovery), .none, "Accept records of endpoints without TLS."),
        ]
    }

    private static var gateway: [Row] {
        [
            Row(
                "trusted-ca-file", .security, .text(\.memberSecurity.trustedAuthorityFile), .none,
                "File of the authorities of endpoints found through --discovery-srv."),
            unused("retry-delay", .duration, "1m0s", "every endpoint is probed all the time, once a second"),
        ]
    }

    private static var grpcProxy: [Row] {
        let keepAlive = "connections are kept alive by the proxy's own rules"
        let noRegistration = "the cluster's own member list is answered, so that clients find the members"
        return [
            Row("metrics-addr", .monitoring, .urls(\.listenMetricsURLs), .none, "URL that serves the proxy's own pages."),
            Row(
                "endpoints-auto-sync-interval", .clustering, .duration(\.refreshInterval), .none, default: "30s",
                "Time between two looks at the member list."),
            Row("data-dir", .member, .text(\.dataDirectory), .none, "Directory for the last good member list."),
            Row(
                "max-concurrent-streams", .member, .unsigned(\.maximumConcurrentStreams, bits: 32), .none,
                "Streams that a client may have open on one connection."),
            Row(
                "namespace", .member, .text(\.unsupportedNamespace), .none,
                .notSupportedYet("prefixes of keys are not supported"),
                "Prefix of all keys."),
            Row(
                "experimental-leasing-prefix", .member, .text(\.unsupportedLeasing), .none,
                .notSupportedYet("leased reads are not supported: nothing is cached"), "Prefix for leased reads."),
            unused("experimental-serializable-ordering", .truth, "false", "nothing is cached, so nothing goes back in time"),
            unused("experimental-enable-grpc-logging", .truth, "false", "use --log-level=debug"),
            unused("dial-keepalive-time", .duration, "0s", keepAlive),
            unused("dial-keepalive-timeout", .duration, "20s", keepAlive),
            unused("permit-without-stream", .truth, "false", keepAlive),
            unused("grpc-keepalive-min-time", .duration, "5s", keepAlive),
            unused("grpc-keepalive-interval", .duration, "2h0m0s", keepAlive),
            unused("grpc-keepalive-timeout", .duration, "20s", keepAlive),
            unused("advertise-client-url", .text(\.registration.advertisedURL), noRegistration),
            unused("resolver-prefix", .text(\.registration.prefix), noRegistration),
            unused("resolver-ttl", .signed(\.registration.secondsToLive), noRegistration),
            unused("max-send-bytes", .number, "1572864", "the members' limits hold"),
            unused("max-recv-bytes", .number, "2147483647", "the members' limits hold"),
            unused("enable-pprof", .truth, "false", "Go's profiles do not exist here"),
            Row("debug", .logging, .debugLevel, .none, "Log at level debug."),
        ]
    }

    /// The rows of the proxy's own settings that have the same names and meanings.
    private static var grpcProxySecurity: [Row] {
        let names = [
            "cert", "key", "cacert", "insecure-skip-tls-verify", "cert-file", "key-file", "trusted-ca-file", "auto-tls",
            "client-crl-file", "self-signed-cert-validity", "tls-min-version", "tls-max-version",
        ]
        return ProxySettings.rows.filter { names.contains($0.name) } + [
            Row("listen-cipher-suites", .security, .list(\.cipherSuites), .none, "Cipher suites in order of preference.")
        ]
    }

    private static var logging: [Row] {
        ProxySettings.rows.filter { ["log-level", "log-format", "log-outputs"].contains($0.name) && $0.group == .logging }
    }
}

/// Reads the flags after `etcd gateway start` or `etcd grpc-proxy start`. As there, no environment variable counts.
public func readEtcdProxyCommand(
    _ command: EtcdProxyCommand, _ arguments: [String], version: BuildVersion
) throws(ConfigurationError) -> ProxyRequest {
    let table = SettingsTableOf(EtcdProxySettings.rows(command))
    var usage = "Usage:\n\n  etcd \(command.rawValue) start [flags]   as quorate proxy --mode \(command.mode.rawValue)\n\n"
    for setting in table.settings { usage += flagHelp(setting, ProxyConfiguration()) }
    guard arguments.first == "start" else {
        if let word = arguments.first, !["help", "--help", "-h"].contains(word) {
            throw ConfigurationError("unknown command \(goQuoted(word)) for \"etcd \(command.rawValue)\" (allowed: \"start\")")
        }
        return .print(usage)
    }
    var draft = ConfigurationDraftOf<ProxyConfiguration>()
    draft.configuration.mode = command.mode
    // A gateway keeps nothing on disk.
    if command == .gateway { draft.configuration.dataDirectory = "" }
    if case .help = try readCommandLine(Array(arguments.dropFirst()), table, &draft, words: .pflag) { return .print(usage) }
    try draft.configuration.registration.check()
    draft.notices.append(
        .warning(
            "running as quorate proxy", ("mode", command.mode.rawValue), ("instead-of", "etcd " + command.rawValue)))
    applyDiscoveryRules(command, &draft)
    try finishProxy(&draft, table)
    return .run(draft.configuration, notices: draft.notices)
}

/// What etcd's proxies make of flags that contradict each other, or matter with another one only.
private func applyDiscoveryRules(_ command: EtcdProxyCommand, _ draft: inout ConfigurationDraftOf<ProxyConfiguration>) {
    guard draft.configuration.discoveryDomain.isEmpty else {
        if draft.isGiven("endpoints") {
            draft.notices.append(
                .warning("setting has no effect", ("setting", "--endpoints"), ("reason", "--discovery-srv is given")))
        }
        // A gateway checks no certificates then: it would pass them on unseen.
        if command == .gateway, draft.configuration.insecureDiscovery {
            draft.configuration.memberSecurity.skipsVerification = true
        }
        return
    }
    guard command == .gateway, draft.isGiven("trusted-ca-file") else { return }
    draft.configuration.memberSecurity.trustedAuthorityFile = ""
    draft.notices.append(
        .warning("setting has no effect", ("setting", "--trusted-ca-file"), ("reason", "it only matters with --discovery-srv")))
}

extension EtcdProxyCommand {
    fileprivate var mode: ForwardingMode { self == .gateway ? .tcp : .http }
}

extension SettingTargetOf where Root == ProxyConfiguration {
    /// `HOST:PORT`, as etcd's proxies take it.
    fileprivate static var listenAddress: SettingTargetOf {
        SettingTargetOf(
            syntax: .text, allowed: "HOST:PORT", read: { $0.listenClientURLs.map(\.authority).joined(separator: ",") }
        ) { configuration, text throws(ValueProblem) in
            configuration.listenClientURLs = [try EndpointURL.parse("http://" + text)]
        }
    }
}

extension SettingTargetOf {
    /// Checks that a value is of this syntax, and keeps nothing: a command line that etcd refuses is refused here too.
    static func discarded(_ syntax: SettingSyntax, default value: String) -> SettingTargetOf {
        let allowed =
            switch syntax {
            case .truth: "true or false"
            case .number: "a whole number"
            case .duration: "a duration with its unit, as 300ms, 5s or 1h30m"
            case .text, .list: "any text"
            }
        var target = SettingTargetOf(syntax: syntax, allowed: allowed, read: { _ in value }) { _, text throws(ValueProblem) in
            switch syntax {
            case .truth: _ = try NumberText.truth(text)
            case .number: _ = try NumberText.signed(text)
            case .duration: _ = try DurationText.nanoseconds(text)
            case .text, .list: break
            }
        }
        target.isSigned = true
        target.keepsNothing = true
        return target
    }
}

/// How etcd's grpc-proxy would enter itself in the cluster. It is not done here; what makes no sense is refused all the same.
struct ProxyRegistration: Sendable, Equatable {
    var advertisedURL = "127.0.0.1:23790"
    var prefix = ""
    var secondsToLive: Int64 = 0

    /// The rules and the words of etcd.
    func check() throws(ConfigurationError) {
        if prefix.isEmpty {
            guard secondsToLive < 1 else { throw ConfigurationError("invalid resolver-prefix \(goQuoted(prefix))") }
            return
        }
        guard secondsToLive >= 1 else { throw ConfigurationError("invalid resolver-ttl \(secondsToLive)") }
        guard !advertisedURL.isEmpty else { throw ConfigurationError("invalid advertise-client-url \(goQuoted(advertisedURL))") }
    }
}
