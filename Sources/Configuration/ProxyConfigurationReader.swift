import Balancing

/// What a command line of the proxy asks for.
public enum ProxyRequest: Sendable {
    case run(ProxyConfiguration, notices: [ConfigurationNotice])
    /// Print this text on standard output and exit with 0.
    case print(String)
}

/// Reads the proxy's configuration by the member's rules: a configuration file alone, else command line and environment
/// (`QUORATE_PROXY_A_B` for `--a-b`), which must not both set the same thing.
public func readProxyConfiguration(
    _ inputs: ConfigurationInputs, version: BuildVersion
) throws(ConfigurationError) -> ProxyRequest {
    let table = SettingsTableOf(ProxySettings.rows)
    var draft = ConfigurationDraftOf<ProxyConfiguration>()
    switch try readCommandLine(inputs.arguments, table, &draft) {
    case .help: return .print(proxyHelpText(table))
    case .version: return .print(version.proxyText)
    case .run: break
    }
    let path =
        draft.configuration.configurationFile.isEmpty
        ? inputs.environment["QUORATE_PROXY_CONFIG_FILE"] ?? "" : draft.configuration.configurationFile
    if path.isEmpty {
        try readEnvironment(inputs.environment, table, &draft, prefixes: [ProxyConfiguration.environmentPrefix])
    } else {
        let ignored = draft.given.filter { $0 != "config-file" }
        draft = try readConfigurationFile(path, inputs, table)
        draft.notices.insert(loadedFileNotice(path, ignored), at: 0)
    }
    try finishProxy(&draft, table)
    return .run(draft.configuration, notices: draft.notices)
}

/// Validates, refuses what is not supported, and derives what follows.
func finishProxy(
    _ draft: inout ConfigurationDraftOf<ProxyConfiguration>, _ table: SettingsTableOf<ProxyConfiguration>
) throws(ConfigurationError) {
    draft.configuration.logging.level =
        draft.configuration.logging.level.isEmpty ? "info" : draft.configuration.logging.level.lowercased()
    if draft.configuration.logging.outputs.isEmpty { draft.configuration.logging.outputs = ["default"] }
    try validateLogging(draft.configuration.logging)
    try readEndpoints(&draft, table)
    deriveServerName(&draft.configuration)
    try validateProxy(draft.configuration)
    try checkEffects(&draft, table)
}

/// Whoever can forge records can name hosts of their own: endpoints found in DNS have to prove that they belong to the domain, as with
/// etcd's tools.
private func deriveServerName(_ configuration: inout ProxyConfiguration) {
    guard !configuration.discoveryDomain.isEmpty, !configuration.insecureDiscovery,
        configuration.memberSecurity.serverName.isEmpty
    else { return }
    configuration.memberSecurity.serverName = configuration.discoveryDomain
}

private func readEndpoints(
    _ draft: inout ConfigurationDraftOf<ProxyConfiguration>, _ table: SettingsTableOf<ProxyConfiguration>
) throws(ConfigurationError) {
    let sources = ["endpoints", "endpoints-file", "discovery-srv"].filter { draft.isGiven($0) }
    // Of etcd's own proxies records go before endpoints.
    if sources.count > 1, table.setting(named: "endpoints-file") != nil {
        throw ConfigurationError(
            "only one of --endpoints, --endpoints-file and --discovery-srv may be given; given are "
                + sources.map { "--" + $0 }.joined(separator: " and "))
    }
    let scheme: EndpointAddress.Scheme = draft.configuration.memberSecurity.isUsed ? .https : .http
    var endpoints: [EndpointAddress] = []
    guard draft.configuration.endpointsFile.isEmpty, draft.configuration.discoveryDomain.isEmpty else { return }
    for text in draft.configuration.endpointTexts {
        do {
            let endpoint = try EndpointAddress(parsing: text, defaultScheme: scheme)
            if !endpoints.contains(endpoint) { endpoints.append(endpoint) }
        } catch {
            throw ConfigurationError(
                "invalid value \(goQuoted(draft.configuration.endpointTexts.joined(separator: ","))) for --endpoints: \(error.reason) "
                    + "(allowed: HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix://PATH, separated by commas)")
        }
    }
    guard !endpoints.isEmpty else { throw ConfigurationError("--endpoints must name at least one endpoint") }
    draft.configuration.endpoints = endpoints
}

private func validateProxy(_ configuration: ProxyConfiguration) throws(ConfigurationError) {
    func atLeast(_ flag: String, _ value: Duration, _ minimum: Duration) throws(ConfigurationError) {
        guard value < minimum else { return }
        throw ConfigurationError(
            "invalid value \(goQuoted(DurationText.text(value))) for --\(flag): too short (allowed: \(DurationText.text(minimum)) and "
                + "more)")
    }
    try atLeast("probe-interval", configuration.probeInterval, .milliseconds(10))
    try atLeast("probe-timeout", configuration.probeTimeout, .milliseconds(10))
    try atLeast("connect-timeout", configuration.connectTimeout, .milliseconds(10))
    try atLeast("header-timeout", configuration.headerTimeout, .milliseconds(100))
    try atLeast("drain-timeout", configuration.drainTimeout, .zero)
    try atLeast("ejection-time", configuration.ejectionTime, .milliseconds(10))
    try atLeast("ejection-max-time", configuration.maximumEjectionTime, configuration.ejectionTime)
    if configuration.refreshInterval != .zero {
        try atLeast("refresh-interval", configuration.refreshInterval, .milliseconds(100))
    }
    let counts = [
        ("probe-rise", configuration.probeRise, 1_000), ("probe-fall", configuration.probeFall, 1_000),
        ("ejection-failures", configuration.ejectionFailures, 1_000_000),
        ("upstream-connections", configuration.upstreamConnections, 64),
    ]
    for (flag, value, most) in counts where value < 1 || value > UInt64(most) {
        throw ConfigurationError("invalid value \"\(value)\" for --\(flag) (allowed: a whole number from 1 to \(most))")
    }
    if configuration.threads > 64 {
        throw ConfigurationError(
            "invalid value \"\(configuration.threads)\" for --threads (allowed: a whole number from 0 to 64)")
    }
    if configuration.retryPercent > 1_000 {
        throw ConfigurationError(
            "invalid value \"\(configuration.retryPercent)\" for --retry-percent (allowed: a whole number from 0 to 1000)")
    }
    if configuration.replayBufferBytes > 1 << 30 {
        throw ConfigurationError(
            "invalid value \"\(configuration.replayBufferBytes)\" for --replay-buffer-bytes (allowed: up to \(1 << 30))")
    }
    if configuration.isReadOnly, configuration.mode == .tcp {
        throw ConfigurationError("--readonly needs --mode http: with --mode tcp the proxy does not see what requests do")
    }
}

/// Refuses what was asked for and cannot be done, all at once.
private func checkEffects(
    _ draft: inout ConfigurationDraftOf<ProxyConfiguration>, _ table: SettingsTableOf<ProxyConfiguration>
) throws(ConfigurationError) {
    let untouched = ProxyConfiguration()
    var refused: [String] = []
    for setting in table.settings where setting.target.read(draft.configuration) != setting.target.read(untouched) {
        switch setting.effect {
        case .notSupportedYet(let message): refused.append("\(setting.displayName): \(message)")
        case .acceptedWithoutEffect(let reason):
            draft.notices.append(.warning("setting has no effect", ("setting", setting.displayName), ("reason", reason)))
        case .supported, .removed, .deprecatedAlias, .ignoredByEtcd: break
        }
    }
    for name in draft.unkept {
        guard let setting = table.setting(named: name), case .acceptedWithoutEffect(let reason) = setting.effect else { continue }
        draft.notices.append(.warning("setting has no effect", ("setting", setting.displayName), ("reason", reason)))
    }
    guard refused.isEmpty else { throw ConfigurationError(refused.joined(separator: "\n")) }
}

/// What `quorate proxy --help` prints.
private func proxyHelpText(_ table: SettingsTableOf<ProxyConfiguration>) -> String {
    let untouched = ProxyConfiguration()
    var text = """
        Usage:

          quorate proxy [flags]      keep this machine's clients connected to a cluster
          quorate proxy status       show the endpoints of a running proxy
          quorate proxy --help       print this text

          Flags are written -name value, --name value or --name=value. Every flag --a-b can also be given as the environment variable
          QUORATE_PROXY_A_B, but not both at once. With --config-file everything else is ignored.

        """
    let titles: [(SettingGroup, String)] = [
        (.member, "Forwarding"), (.clustering, "Endpoints"), (.maintenance, "Health"), (.quorate, "Choice and limits"),
        (.security, "Security"), (.monitoring, "Monitoring"), (.logging, "Logging"),
    ]
    for (group, title) in titles {
        text += "\n\(title):\n"
        for setting in table.settings where setting.group == group { text += flagHelp(setting, untouched) }
    }
    return text
}
