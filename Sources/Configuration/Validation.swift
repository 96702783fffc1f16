/// Checks on values that parsed, in etcd's order and words (`embed.Config.Validate` and what `StartEtcd` checks before it
/// listens).
func validate(_ configuration: MemberConfiguration) throws(ConfigurationError) {
    // etcd 3.5 and its sample file have "proxy" for the default, so it is an error only where it would come to falling back.
    if configuration.discovery.fallback == "proxy", configuration.discovery.isUsed {
        throw ConfigurationError("v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"")
    }
    try validateLogging(configuration.logging)
    try validateListenURLs(configuration)
    try validateAdvertisedURLs(configuration)
    try validateBootstrap(configuration)
    try validateTimes(configuration)
    try validateAutoCompaction(configuration)
    try validateTracing(configuration.tracing)
    try validateFeatures(configuration.featureGates)
    try validateTLS(configuration)
    try validateAuthToken(configuration.authToken)
}

/// Names of log levels, least important first.
enum LogLevelName {
    static let all = ["debug", "info", "warn", "error", "dpanic", "panic", "fatal"]
    static let allowed = "debug, info, warn, error, panic or fatal"
}

func validateLogging(_ logging: LoggingSettings) throws(ConfigurationError) {
    guard LogLevelName.all.contains(logging.level) else {
        // etcd panics over this one, which ends with 2.
        throw ConfigurationError(
            "--log-level: unrecognized level: \(goQuoted(logging.level)) (allowed: \(LogLevelName.allowed))", exitCode: 2)
    }
    guard logging.logger == "zap" else {
        if logging.logger == "capnslog" { throw ConfigurationError("--logger=capnslog is removed in v3.5") }
        throw ConfigurationError("unknown logger option \(goQuoted(logging.logger)) (--logger allows \"zap\" only)")
    }
    guard logging.format == "json" || logging.format == "console" else {
        throw ConfigurationError("--log-format: unknown log format: \(logging.format), supported values json, console")
    }
    if logging.outputs.count > 1, logging.outputs.contains("default") {
        throw ConfigurationError("multi logoutput for \"default\" is not supported yet (--log-outputs)")
    }
    if logging.outputs.count > 1, logging.outputs.contains("systemd/journal") {
        throw ConfigurationError("--log-outputs: \"systemd/journal\" cannot be combined with other outputs")
    }
    guard logging.enableRotation else { return }
    let files = logging.outputs.filter { !["default", "stderr", "stdout"].contains($0) }
    guard files.count == 1, files[0] != "systemd/journal" else {
        throw ConfigurationError("--log-outputs requires a single file path when --log-rotate-config-json is defined")
    }
    do {
        _ = try LogRotation.parse(logging.rotationJSON)
    } catch {
        throw ConfigurationError("--log-rotation-config-json: \(error.reason)")
    }
}

private func validateListenURLs(_ configuration: MemberConfiguration) throws(ConfigurationError) {
    let lists = [
        ("listen-peer-urls", configuration.listenPeerURLs), ("listen-client-urls", configuration.listenClientURLs),
        ("listen-client-http-urls", configuration.listenClientHTTPURLs), ("listen-metrics-urls", configuration.listenMetricsURLs),
    ]
    for (flag, urls) in lists {
        for url in urls where !url.isUnixSocket && url.host != "localhost" && !url.hostIsAddress {
            throw ConfigurationError(
                "expected IP in URL for binding (\(url)) (--\(flag) takes addresses and localhost, no other names)")
        }
    }
    for url in configuration.listenClientHTTPURLs {
        let isTaken = configuration.listenClientURLs.contains { other in
            url.isUnixSocket ? other.socketPath == url.socketPath : !other.isUnixSocket && other.authority == url.authority
        }
        if isTaken {
            throw ConfigurationError("cannot bind both --listen-client-urls and --listen-client-http-urls on the same url \(url)")
        }
    }
}

private func validateAdvertisedURLs(_ configuration: MemberConfiguration) throws(ConfigurationError) {
    func check(_ urls: [EndpointURL], _ complaint: (String) -> String) throws(ConfigurationError) {
        guard let url = urls.first(where: { !$0.isUnixSocket && $0.host.isEmpty }) else { return }
        let list = goQuoted(urls.map { $0.description }.joined(separator: ","))
        throw ConfigurationError(complaint(list) + " (unexpected empty host (\(url)))")
    }
    try check(configuration.initialAdvertisePeerURLs) { "--initial-advertise-peer-urls \($0) must be \"host:port\"" }
    try check(configuration.advertiseClientURLs) {
        "--advertise-client-urls \($0) must be in the format \"host:port\", \"unix:/path/to/socket\" or \"unixs:/path/to/socket\""
    }
}

private func validateBootstrap(_ configuration: MemberConfiguration) throws(ConfigurationError) {
    let discovery = configuration.discovery
    let ways = [
        !discovery.url.isEmpty, !configuration.initialCluster.isEmpty, !discovery.srvDomain.isEmpty, !discovery.endpoints.isEmpty,
    ]
    if ways.filter({ $0 }).count > 1 {
        throw ConfigurationError(
            "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \"discovery\", "
                + "\"discovery-endpoints\" or \"discovery-srv\"")
    }
    let usesVersion3 =
        !discovery.endpoints.isEmpty || !discovery.token.isEmpty || !discovery.certificateFile.isEmpty
        || !discovery.keyFile.isEmpty
        || !discovery.authorityFile.isEmpty || !discovery.user.isEmpty || !discovery.password.isEmpty
    if !discovery.proxy.isEmpty, usesVersion3 {
        throw ConfigurationError(
            "both v2 discovery settings (discovery, discovery-proxy) and v3 discovery settings (discovery-token, "
                + "discovery-endpoints, discovery-cert, discovery-key, discovery-cacert, discovery-user, "
                + "discovery-password) are set")
    }
    if discovery.token.isEmpty != discovery.endpoints.isEmpty {
        throw ConfigurationError("both --discovery-token and --discovery-endpoints must be set")
    }
    if discovery.endpoints.contains(where: { trimmed($0).isEmpty }) {
        throw ConfigurationError("--discovery-endpoints must not contain empty endpoints")
    }
}

private func validateTimes(_ configuration: MemberConfiguration) throws(ConfigurationError) {
    let heartbeat = configuration.heartbeatMilliseconds
    let election = configuration.electionMilliseconds
    if heartbeat == 0 { throw ConfigurationError("--heartbeat-interval must be >0 (set to 0ms)") }
    if election == 0 { throw ConfigurationError("--election-timeout must be >0 (set to 0ms)") }
    // Not `5 * heartbeat`, which could overflow.
    if heartbeat > election / 5 {
        throw ConfigurationError(
            "--election-timeout[\(election)ms] should be at least as 5 times as --heartbeat-interval[\(heartbeat)ms]")
    }
    if election > 50_000 {
        throw ConfigurationError("--election-timeout[\(election)ms] is too long, and should be set less than 50000ms")
    }
    if configuration.advertiseClientURLs.isEmpty, configuration.proxyMode == .off {
        throw ConfigurationError("--advertise-client-urls is required when --listen-client-urls is set explicitly")
    }
    if configuration.compactHashCheckTime <= .zero {
        throw ConfigurationError(
            "--compact-hash-check-time must be >0 (set to \(DurationText.text(configuration.compactHashCheckTime)))")
    }
}

private func validateAutoCompaction(_ configuration: MemberConfiguration) throws(ConfigurationError) {
    let mode = configuration.autoCompactionMode
    if mode.isEmpty { throw ConfigurationError("undefined auto-compaction-mode") }
    guard mode == "periodic" || mode == "revision" else {
        throw ConfigurationError("unknown auto-compaction-mode \(goQuoted(mode)) (allowed: \"periodic\" or \"revision\")")
    }
    do {
        _ = try AutoCompaction.parse(mode: mode, retention: configuration.autoCompactionRetention)
    } catch {
        throw ConfigurationError("--auto-compaction-retention: error parsing CompactionRetention: \(error.reason)")
    }
}

private func validateTracing(_ tracing: TracingSettings) throws(ConfigurationError) {
    guard tracing.isEnabled else { return }
    if tracing.samplingRate < 0 {
        throw ConfigurationError("distributed tracing configurition is not valid: (tracing sampling rate must be positive)")
    }
    if tracing.samplingRate > 1_000_000 {
        throw ConfigurationError(
            "distributed tracing configurition is not valid: (tracing sampling rate must be less than 1000000)")
    }
}

private func validateFeatures(_ gates: FeatureGates) throws(ConfigurationError) {
    if gates.isEnabled(.leaseCheckpointPersist), !gates.isEnabled(.leaseCheckpoint) {
        throw ConfigurationError("enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint")
    }
}

/// `simple`, `jwt` with `option=value` pairs, or nothing.
private func validateAuthToken(_ text: String) throws(ConfigurationError) {
    let parts = splitCommas(text)
    guard parts[0].isEmpty || parts[0] == "simple" || parts[0] == "jwt" else {
        throw ConfigurationError(
            "--auth-token: invalid auth options (unknown token type \(goQuoted(parts[0])); allowed: \"simple\", \"jwt\")")
    }
    var seen: [String] = []
    for option in parts.dropFirst() {
        let pair = option.split(separator: "=", omittingEmptySubsequences: false)
        guard pair.count == 2 else { throw ConfigurationError("--auth-token: invalid auth options (option \(goQuoted(option)))") }
        guard !seen.contains(String(pair[0])) else {
            throw ConfigurationError("--auth-token: invalid auth options (option \(goQuoted(String(pair[0]))) is given twice)")
        }
        seen.append(String(pair[0]))
    }
}
