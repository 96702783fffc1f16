import Configuration
import HTTP2
import Synchronization
import TLS
import Telemetry

/// What a member's listeners and dialers need for TLS, made from etcd's flags.
final class MemberTLS: Sendable {
    /// For clients and for metrics; nil without a certificate.
    let clients: TLSServerContext?
    /// For other members.
    let peers: TLSServerContext?
    private let dialing: TLSClientSettings
    private let dialer = Mutex<TLSClientContext?>(nil)
    private let skipsClientAddressCheck: (client: Bool, peer: Bool)
    private let mixedAuthorities: Set<String>

    /// Reads all files, and makes certificates where they are to be made (`--auto-tls`, `--peer-auto-tls`).
    init(_ configuration: MemberConfiguration, _ log: Log) throws(TLSError) {
        let client = try configuration.clientSecurity.completed(
            "client", configuration, configuration.listenClientURLs + configuration.listenClientHTTPURLs, log)
        let peer = try configuration.peerSecurity.completed("peer", configuration, configuration.listenPeerURLs, log)
        skipsClientAddressCheck = (client.skipsClientSANVerification, peer.skipsClientSANVerification)
        let protocols = TLSProtocolSettings(configuration)
        clients = try Self.serverContext(client, "client", protocols, log)
        peers = try Self.serverContext(peer, "peer", protocols, log)
        var dialing = TLSClientSettings(peer, protocols, skipsVerification: configuration.peerSecurity.makesCertificate)
        dialing.serverName = configuration.peerServerName
        dialing.log = { log.note($0, "peer") }
        self.dialing = dialing
        let urls = configuration.listenClientURLs + configuration.listenClientHTTPURLs
        mixedAuthorities = Set(urls.filter { !$0.isSecure }.map(\.address)).intersection(urls.filter(\.isSecure).map(\.address))
        // What cannot be used is to stop the start, not the first connection.
        if !peer.isEmpty { _ = try peerDialer() }
        if !client.clientCertificateFile.isEmpty {
            _ = try TLSClientContext(TLSClientSettings(client, protocols, skipsVerification: true))
        }
    }

    /// For connections to other members whose URL is `https`. Made when it is needed first: a cluster without TLS goes without the
    /// system's authorities in memory.
    func peerDialer() throws(TLSError) -> TLSClientContext {
        try dialer.withLock { made throws(TLSError) in
            if let made { return made }
            let new = try TLSClientContext(dialing)
            made = new
            return new
        }
    }

    private static func serverContext(
        _ security: TransportSecurity, _ side: String, _ protocols: TLSProtocolSettings, _ log: Log
    ) throws(TLSError) -> TLSServerContext? {
        guard !security.isEmpty else { return nil }
        log.info(
            "starting with \(side) TLS",
            ["tls-info": .string(security.text), "cipher-suites": .strings(protocols.cipherSuites)])
        var settings = TLSServerSettings(security, protocols)
        settings.log = { log.note($0, side) }
        return try TLSServerContext(settings)
    }

    /// Reads every file again; new connections get them. Returns why some cannot be used; those before stay in use then.
    func reload() -> TLSError? {
        [clients?.reload(), peers?.reload(), dialer.withLock { $0?.reload() }].compactMap { $0 }.first
    }

    // MARK: Listeners

    enum Listener { case client, metrics, peer }

    /// Puts TLS in front of connections to `url` if that asks for it.
    func secure(_ options: inout ListenOptions, _ url: EndpointURL, _ listener: Listener) {
        let isMixed = listener == .client && mixedAuthorities.contains(url.address)
        guard url.isSecure || isMixed, let context = listener == .peer ? peers : clients else {
            options.transportSecurity = nil
            return
        }
        var rules = TLSListenerRules(allowsPlaintext: isMixed)
        // etcd's listeners for metrics check like those for members, and those for clients do not.
        switch listener {
        case .client: break
        case .metrics: rules.checksClientAddress = !skipsClientAddressCheck.client
        case .peer: rules.checksClientAddress = !skipsClientAddressCheck.peer
        }
        options.transportSecurity = { [rules] channel in
            try channel.pipeline.syncOperations.addHandler(context.makeHandler(rules))
        }
    }
}

extension EndpointURL {
    /// What is listened on, whatever the scheme.
    fileprivate var address: String { isUnixSocket ? socketPath : authority }
}

extension TransportSecurity {
    /// A certificate is made at start.
    fileprivate var makesCertificate: Bool { isEmpty && isAutomatic }

    /// With the certificate that is made at start, where one is.
    fileprivate func completed(
        _ side: String, _ configuration: MemberConfiguration, _ urls: [EndpointURL], _ log: Log
    ) throws(TLSError) -> TransportSecurity {
        guard isAutomatic else { return self }
        guard isEmpty else {
            log.warn("ignoring \(side) auto TLS since certs given")
            return self
        }
        let made = try SelfSignedCertificate(
            directory: configuration.dataDirectory + "/fixtures/" + side, hosts: urls.map(\.host),
            years: configuration.selfSignedCertificateYears)
        if made.isNew {
            log.warn(
                "automatically generate certificates",
                ["validity-years": .uint(configuration.selfSignedCertificateYears)])
            log.info("created cert file", ["path": .string(made.certificateFile)])
            log.info("created key file", ["path": .string(made.keyFile)])
        }
        // As in etcd nothing else that was said about this side counts then.
        var security = TransportSecurity()
        security.certificateFile = made.certificateFile
        security.keyFile = made.keyFile
        security.clientCertificateFile = made.certificateFile
        security.clientKeyFile = made.keyFile
        security.isAutomatic = true
        return security
    }

    /// As etcd logs it.
    fileprivate var text: String {
        "cert = \(certificateFile), key = \(keyFile), client-cert=\(clientCertificateFile), client-key=\(clientKeyFile), "
            + "trusted-ca = \(trustedAuthorityFile), client-cert-auth = \(requiresClientCertificate), "
            + "crl-file = \(revocationListFile)"
    }

    fileprivate var nameRules: TLSNameRules {
        var rules = TLSNameRules()
        rules.commonNames = allowedCommonNames
        rules.hostnames = allowedHostnames
        return rules
    }
}

extension TLSProtocolSettings {
    fileprivate init(_ configuration: MemberConfiguration) {
        self.init()
        cipherSuites = configuration.cipherSuites
        if configuration.minimumTLSVersion == "TLS1.3" { minimumVersion = .tls13 }
        if configuration.maximumTLSVersion == "TLS1.2" { maximumVersion = .tls12 }
    }
}

extension TLSServerSettings {
    fileprivate init(_ security: TransportSecurity, _ protocols: TLSProtocolSettings) {
        self.init(certificateFile: security.certificateFile, keyFile: security.keyFile)
        trustedAuthorityFile = security.trustedAuthorityFile
        requiresClientCertificate = security.requiresClientCertificate
        revocationListFile = security.revocationListFile
        allowedNames = security.nameRules
        self.protocols = protocols
        identityEvent = { PeerIdentityEvent(identity: $0) }
    }
}

extension TLSClientSettings {
    /// For connections to other members, which speak HTTP/1.1.
    fileprivate init(_ security: TransportSecurity, _ protocols: TLSProtocolSettings, skipsVerification: Bool) {
        self.init()
        let hasOwn = !security.clientCertificateFile.isEmpty
        certificateFile = hasOwn ? security.clientCertificateFile : security.certificateFile
        keyFile = hasOwn ? security.clientKeyFile : security.keyFile
        trustedAuthorityFile = security.trustedAuthorityFile
        self.skipsVerification = skipsVerification
        allowedNames = security.nameRules
        self.protocols = protocols
        applicationProtocols = []
    }
}

extension Log {
    /// `side`: "client" or "peer".
    fileprivate func note(_ record: TLSLogRecord, _ side: String) {
        switch record {
        case .reloaded(let files):
            info("new \(side) TLS files are in use for new connections", ["files": .strings(files)])
        case .reloadFailed(let reason):
            warn("new \(side) TLS files cannot be used; those before are still in use", ["error": .string(reason)])
        case .rejected(let rejection): note(rejection, side)
        }
    }

    private func note(_ rejection: TLSRejection, _ side: String) {
        let message = "rejected connection on \(side) endpoint"
        // Whoever only looks whether the port is open is not worth a warning, as in etcd.
        guard rejection.error != .closedInHandshake else {
            debug(message, ["remote-addr": .string(rejection.remoteAddress), "error": .error(rejection.error)])
            return
        }
        if rejection.untold > 0 {
            warn("more connections on \(side) endpoint were rejected than are logged", ["count": .int(rejection.untold)])
        }
        guard let identity = rejection.identity else {
            warn(
                message,
                [
                    "remote-addr": .string(rejection.remoteAddress), "server-name": .string(rejection.serverName),
                    "error": .error(rejection.error),
                ])
            return
        }
        warn(
            message,
            [
                "remote-addr": .string(rejection.remoteAddress), "server-name": .string(rejection.serverName),
                "ip-addresses": .strings(identity.ipAddresses.map(\.description)), "dns-names": .strings(identity.dnsNames),
                "error": .error(rejection.error),
            ])
    }
}
