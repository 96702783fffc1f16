import Balancing
import Configuration
import HTTP2
import NIOCore
import TLS
import Telemetry

/// TLS of the listeners for clients.
final class ListenerTLS: Sendable {
    private let context: TLSServerContext?

    /// Reads the files, and makes a certificate where one is to be made (`--auto-tls`).
    init(_ configuration: ProxyConfiguration, _ log: Log) throws(TLSError) {
        let security = configuration.clientSecurity
        var certificateFile = security.certificateFile
        var keyFile = security.keyFile
        if security.isEmpty, security.isAutomatic {
            let made = try SelfSignedCertificate(
                directory: configuration.dataDirectory + "/fixtures/client", hosts: configuration.listenClientURLs.map(\.host),
                years: configuration.selfSignedCertificateYears)
            (certificateFile, keyFile) = (made.certificateFile, made.keyFile)
        }
        guard !certificateFile.isEmpty else {
            context = nil
            return
        }
        var settings = TLSServerSettings(certificateFile: certificateFile, keyFile: keyFile)
        settings.trustedAuthorityFile = security.trustedAuthorityFile
        settings.requiresClientCertificate = security.requiresClientCertificate
        settings.revocationListFile = security.revocationListFile
        settings.protocols.cipherSuites = configuration.cipherSuites
        if configuration.minimumTLSVersion == "TLS1.3" { settings.protocols.minimumVersion = .tls13 }
        if configuration.maximumTLSVersion == "TLS1.2" { settings.protocols.maximumVersion = .tls12 }
        settings.handshakeTimeout = configuration.headerTimeout
        settings.identityEvent = { PeerIdentityEvent(identity: $0) }
        settings.log = { log.note($0) }
        context = try TLSServerContext(settings)
    }

    /// Puts TLS in front of connections to `url` if that asks for it.
    func secure(_ options: inout ListenOptions, _ url: EndpointURL) throws(TLSError) {
        guard url.isSecure else { return }
        guard let context else {
            throw .settings("TLS key/cert (--cert-file, --key-file) must be provided for client url \(url) with HTTPS scheme")
        }
        options.transportSecurity = { try $0.pipeline.syncOperations.addHandler(context.makeHandler()) }
    }

    /// Reads the files again; why they cannot be used, if they cannot.
    func reload() -> String? { context?.reload().map { "\($0)" } }
}

extension Log {
    func note(_ record: TLSLogRecord) {
        switch record {
        case .reloaded(let files): info("new TLS files are in use for new connections", ["files": .strings(files)])
        case .reloadFailed(let reason):
            warn("new TLS files cannot be used; those before are still in use", ["error": .string(reason)])
        case .rejected(let rejection):
            debug("rejected connection", ["remote-addr": .string(rejection.remoteAddress), "error": .error(rejection.error)])
        }
    }
}

extension ProxyConfiguration {
    /// With a certificate of its own towards members the proxy lends its identity to whoever reaches it: a name in it must be meant,
    /// and only this machine's processes may use it without TLS.
    func checkSharedIdentity() throws(TLSError) {
        guard !memberSecurity.certificateFile.isEmpty else { return }
        let name = try TLSPeerIdentity(certificateFile: memberSecurity.certificateFile).commonName
        guard !name.isEmpty else { return }
        guard allowSharedIdentity else {
            throw .settings(
                "--cert \(memberSecurity.certificateFile) has the common name \"\(name)\": every client of the proxy would act under "
                    + "that name. Use a certificate without one, --mode tcp, or --allow-shared-identity")
        }
        let isOpen: (EndpointURL) -> Bool = { url in
            !url.isSecure && !url.isUnixSocket && !EndpointAddress(scheme: .http, host: url.host, port: 0).isLoopback
        }
        if let url = listenClientURLs.first(where: isOpen) {
            throw .settings(
                "with --allow-shared-identity a plaintext listener must be a loopback address or a unix socket, and \(url) is not"
            )
        }
    }
}
