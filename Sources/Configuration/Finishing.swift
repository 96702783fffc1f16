/// Turns a draft into the configuration that is handed out: conflicts between names, validation, what is not supported, and the
/// defaults that depend on other values.
func finish(
    _ draft: inout ConfigurationDraft, _ table: SettingsTable, _ inputs: ConfigurationInputs
) throws(ConfigurationError) {
    try checkOlderNames(draft, table)
    warnAboutOlderNames(&draft, table)
    applyFloors(&draft)
    try validate(draft.configuration)
    try checkSupport(&draft, table)
    noteQuestionableValues(&draft)
    deriveDefaults(&draft, inputs)
    draft.configuration.explicitSettings = sortedSet(
        draft.given.compactMap { table.setting(named: $0).map { table.canonical($0).name } })
}

/// The same thing must not be set by its older and its newer name, as in etcd 3.6.
private func checkOlderNames(_ draft: ConfigurationDraft, _ table: SettingsTable) throws(ConfigurationError) {
    for name in draft.given {
        guard let setting = table.setting(named: name), case .deprecatedAlias(let successor) = setting.effect else { continue }
        // A feature gate and the flag it grew from conflict only when the gate list names that feature too.
        if successor == "feature-gates" {
            guard draft.isGiven(successor), let feature = draft.gatesNamedTwice[name] else { continue }
            let isOn = draft.configuration.featureGates.isEnabled(feature)
            throw ConfigurationError(
                "cannot specify both flags: --\(name) and --feature-gates=\(feature.rawValue) at the same time, "
                    + "please just use --feature-gates=\(feature.rawValue)=\(isOn)")
        }
        if draft.isGiven(successor) {
            throw ConfigurationError("cannot set --\(name) and --\(successor) at the same time, please use --\(successor) only")
        }
    }
}

private func warnAboutOlderNames(_ draft: inout ConfigurationDraft, _ table: SettingsTable) {
    for name in draft.given {
        guard let setting = table.setting(named: name) else { continue }
        switch setting.effect {
        case .deprecatedAlias(let successor):
            draft.notices.append(.warning("--\(name) is deprecated; use --\(successor) instead"))
        case .ignoredByEtcd:
            draft.notices.append(.warning("flag is no longer supported - ignoring", ("flag-name", name)))
        default:
            if name == "max-snapshots" {
                draft.notices.append(.warning("--max-snapshots is deprecated in etcd 3.6 and will be gone in 3.8"))
            }
        }
    }
}

/// Values that etcd raises or replaces rather than refuses.
private func applyFloors(_ draft: inout ConfigurationDraft) {
    let floor = Duration.seconds(5)
    if draft.configuration.raftReadTimeout < floor {
        draft.configuration.raftReadTimeout = floor
        draft.notices.append(.info("raft-read-timeout increased to minimum value: 5s"))
    }
    if draft.configuration.raftWriteTimeout < floor {
        draft.configuration.raftWriteTimeout = floor
        draft.notices.append(.info("raft-write-timeout increased to minimum value: 5s"))
    }
    let cost = draft.configuration.bcryptCost
    if !(4...31).contains(cost) {
        draft.configuration.bcryptCost = 10
        draft.notices.append(
            .warning(
                "use default bcrypt cost instead of the invalid given cost", ("min-cost", "4"), ("max-cost", "31"),
                ("default-cost", "10"), ("given-cost", String(cost))))
    }
    if draft.configuration.warningUnaryRequestDuration == .zero {
        draft.configuration.warningUnaryRequestDuration = .milliseconds(300)
    }
    draft.configuration.logging.level =
        draft.configuration.logging.level.isEmpty ? "info" : draft.configuration.logging.level.lowercased()
    if draft.configuration.logging.format.isEmpty { draft.configuration.logging.format = "json" }
    if draft.configuration.logging.outputs.isEmpty { draft.configuration.logging.outputs = ["default"] }
}

/// Refuses, all at once, what was asked for and cannot be done; says what changes nothing. A setting asks for something when its
/// value is not the default.
func checkSupport(_ draft: inout ConfigurationDraft, _ table: SettingsTable) throws(ConfigurationError) {
    let untouched = MemberConfiguration()
    let configurationFile = draft.configuration.configurationFile
    var refused: [String] = []
    var ineffective: [ConfigurationNotice] = []
    func judge(_ effect: SettingEffect, _ name: String) {
        switch effect {
        case .notSupportedYet(let message): refused.append("\(name): \(message)")
        case .acceptedWithoutEffect(let reason):
            ineffective.append(.warning("setting has no effect", ("setting", name), ("reason", reason)))
        case .removed(let message):
            if configurationFile.isEmpty {
                refused.append("\(name): \(message)")
            } else {
                ineffective.append(.warning("setting has no effect", ("setting", name), ("reason", message)))
            }
        case .supported, .deprecatedAlias, .ignoredByEtcd: break
        }
    }
    for setting in table.settings where setting.target.read(draft.configuration) != setting.target.read(untouched) {
        judge(setting.effect, givenNames(of: setting, draft, table))
    }
    for feature in draft.configuration.featureGates.deviations {
        judge(feature.effect, "--feature-gates=\(feature.rawValue)=\(draft.configuration.featureGates.isEnabled(feature))")
    }
    if draft.configuration.authToken.hasPrefix("jwt") { judge(Support.jwt, "--auth-token") }
    if let rotation = draft.configuration.logRotation {
        if rotation.compress { judge(Support.logRotationDetail, "--log-rotation-config-json: compress") }
        if rotation.localTime { judge(Support.logRotationDetail, "--log-rotation-config-json: localtime") }
    }
    for name in draft.unkept {
        if let setting = table.setting(named: name) { judge(setting.effect, setting.displayName) }
    }
    guard refused.isEmpty else { throw ConfigurationError(refused.joined(separator: "\n")) }
    draft.notices += ineffective
}

/// How the operator called a setting: its own name, or the older one used in its place.
private func givenNames(of setting: Setting, _ draft: ConfigurationDraft, _ table: SettingsTable) -> String {
    let older = draft.given.filter { name in
        guard let other = table.setting(named: name), case .deprecatedAlias(let successor) = other.effect else { return false }
        return successor == setting.name
    }
    guard !draft.isGiven(setting.name), let name = older.first else { return setting.displayName }
    return "--" + name
}

private func noteQuestionableValues(_ draft: inout ConfigurationDraft) {
    let configuration = draft.configuration
    if configuration.quotaBackendBytes > MemberConfiguration.suggestedMaximumQuotaBytes {
        draft.notices.append(
            .warning(
                "quota exceeds the maximum value", ("quota-size-bytes", String(configuration.quotaBackendBytes)),
                ("quota-maximum-size-bytes", String(MemberConfiguration.suggestedMaximumQuotaBytes))))
    }
    if configuration.name == MemberConfiguration().name {
        draft.notices.append(
            .warning("the default name is in use; members that share a name are confused with each other, so set --name"))
    }
    let gates = configuration.featureGates
    if gates.isEnabled(.leaseCheckpoint), !gates.isEnabled(.leaseCheckpointPersist) {
        draft.notices.append(
            .warning("LeaseCheckpoint is enabled without LeaseCheckpointPersist: checkpoints are lost at a restart"))
    }
    func ignoresCertificates(_ urls: [EndpointURL], _ security: TransportSecurity, _ field: String) {
        for url in urls where !url.isSecure && (!security.isEmpty || security.requiresClientCertificate) {
            draft.notices.append(
                .warning(
                    "scheme is http or unix while key and cert files are present; ignoring key and cert files", (field, "\(url)"))
            )
        }
    }
    ignoresCertificates(configuration.listenPeerURLs, configuration.peerSecurity, "peer-url")
    ignoresCertificates(configuration.listenClientURLs, configuration.clientSecurity, "client-url")
    ignoresCertificates(configuration.listenClientHTTPURLs, configuration.clientSecurity, "client-url")
}

/// Defaults that follow from other values, in etcd's order (`UpdateDefaultClusterFromName`): a listener on `0.0.0.0` advertises
/// the machine's own address unless an address to advertise was given, and a name alone makes a cluster of that one member.
private func deriveDefaults(_ draft: inout ConfigurationDraft, _ inputs: ConfigurationInputs) {
    let untouched = MemberConfiguration()
    let needsHost: ([EndpointURL], [EndpointURL], [EndpointURL]) -> Bool = { advertised, unchanged, listening in
        advertised == unchanged && listening.first?.host == "0.0.0.0"
    }
    let forPeers = needsHost(
        draft.configuration.initialAdvertisePeerURLs, untouched.initialAdvertisePeerURLs, draft.configuration.listenPeerURLs)
    let forClients = needsHost(
        draft.configuration.advertiseClientURLs, untouched.advertiseClientURLs, draft.configuration.listenClientURLs)
    let host = forPeers || forClients ? inputs.defaultHost() : nil
    if forPeers, let host {
        let url = untouched.initialAdvertisePeerURLs[0]
        draft.configuration.initialAdvertisePeerURLs = [url.replacingHost(host, port: draft.configuration.listenPeerURLs[0].port)]
    }
    if draft.configuration.name != untouched.name, draft.configuration.initialCluster == untouched.initialCluster {
        let name = draft.configuration.name.isEmpty ? untouched.name : draft.configuration.name
        draft.configuration.initialCluster =
            draft.configuration.initialAdvertisePeerURLs.map { "\(name)=\($0)" }.joined(separator: ",")
    }
    if forClients, let host {
        let url = untouched.advertiseClientURLs[0]
        draft.configuration.advertiseClientURLs = [url.replacingHost(host, port: draft.configuration.listenClientURLs[0].port)]
    }
    if let host {
        draft.notices.append(.info("detected default host for advertise", ("host", host)))
    } else if forPeers || forClients {
        draft.notices.append(.info("failed to detect default host"))
    }
    if draft.configuration.dataDirectory.isEmpty {
        draft.configuration.dataDirectory = draft.configuration.name + ".etcd"
        draft.notices.append(.warning("'data-dir' was empty; using default", ("data-dir", draft.configuration.dataDirectory)))
    }
}
