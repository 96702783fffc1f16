/// etcd up to 3.5 is a proxy instead of a member when `--proxy` or its data directory says so.
extension MemberConfiguration {
    /// As in etcd the directory decides once it holds something.
    /// - Parameter holds: whether the data directory has an entry of this name.
    public func startsProxy(_ holds: (String) -> Bool) throws(ConfigurationError) -> Bool {
        switch (holds("member"), holds("proxy")) {
        case (true, true):
            throw ConfigurationError("invalid datadir; both member and proxy directories exist (\(dataDirectory))")
        case (true, false): return false
        case (false, true): return true
        case (false, false): return proxyMode != .off
        }
    }

    /// The proxy that does what etcd's v2 proxy did with these settings.
    public func asProxy() throws(ConfigurationError) -> (ProxyConfiguration, notices: [ConfigurationNotice]) {
        var proxy = ProxyConfiguration()
        proxy.listenClientURLs = listenClientURLs
        proxy.listenMetricsURLs = listenMetricsURLs
        proxy.dataDirectory = dataDirectory + "/proxy"
        proxy.isReadOnly = proxyMode == .readonly
        proxy.endpointTexts = []
        proxy.refreshInterval = Self.milliseconds(proxyTimes.refreshInterval)
        proxy.ejectionTime = max(Self.milliseconds(proxyTimes.failureWait), .milliseconds(10))
        proxy.maximumEjectionTime = max(proxy.maximumEjectionTime, proxy.ejectionTime)
        // Zero was no limit.
        if proxyTimes.dialTimeout > 0 { proxy.connectTimeout = Self.milliseconds(proxyTimes.dialTimeout) }
        proxy.clientSecurity = clientSecurity
        proxy.selfSignedCertificateYears = selfSignedCertificateYears
        proxy.cipherSuites = cipherSuites
        proxy.minimumTLSVersion = minimumTLSVersion
        proxy.maximumTLSVersion = maximumTLSVersion
        proxy.memberSecurity = (clientSecurity.isEmpty ? peerSecurity : clientSecurity)
            .towardsMembers(skipsVerification: clientSecurity.isAutomatic)
        proxy.allowSharedIdentity = true
        proxy.logging = logging
        var peers = PeerEndpoints()
        peers.urls = try initialMembers().flatMap(\.peerURLs).map(\.description)
        peers.domain = discovery.srvDomain
        peers.suffix = discovery.srvServiceName
        peers.security = peerSecurity.towardsMembers(skipsVerification: peerSecurity.isAutomatic)
        proxy.peers = peers
        return (proxy, proxyNotices)
    }

    private static func milliseconds(_ count: UInt64) -> Duration { .milliseconds(Int64(clamping: count)) }

    private var proxyNotices: [ConfigurationNotice] {
        let known = Set(ProxySettings.rows.map(\.name)).union([
            "name", "proxy", "proxy-failure-wait", "proxy-refresh-interval", "proxy-dial-timeout", "proxy-write-timeout",
            "proxy-read-timeout", "initial-cluster", "peer-cert-file", "peer-key-file", "peer-trusted-ca-file", "peer-auto-tls",
            "peer-client-cert-file", "peer-client-key-file", "client-cert-file", "client-key-file",
        ])
        var notices = [
            ConfigurationNotice.warning(
                "running as quorate proxy", ("mode", "http"),
                ("instead-of", proxyMode == .off ? "etcd on the directory of a proxy" : "etcd --proxy \(proxyMode.rawValue)"))
        ]
        let idle = explicitSettings.filter { !known.contains($0) }
        if !idle.isEmpty {
            notices.append(
                .info(
                    "settings have no effect", ("settings", idle.map { "--" + $0 }.joined(separator: " ")),
                    ("reason", "a proxy has no data, no peers and no place in the cluster")))
        }
        return notices
    }
}

extension TransportSecurity {
    /// What a dialer with these settings shows and checks.
    fileprivate func towardsMembers(skipsVerification: Bool) -> MemberSecurity {
        var security = MemberSecurity()
        security.certificateFile = clientCertificateFile.isEmpty ? certificateFile : clientCertificateFile
        security.keyFile = clientCertificateFile.isEmpty ? keyFile : clientKeyFile
        security.trustedAuthorityFile = trustedAuthorityFile
        security.skipsVerification = skipsVerification
        return security
    }
}
