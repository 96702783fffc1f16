import NIOCore

/// What is special about one listener among those that share a context.
public struct TLSListenerRules: Sendable {
    /// A client whose certificate carries addresses or names must connect from one of those addresses, or from an address that one
    /// of the names resolves to or that resolves to one of the names. Clients on unix sockets are not checked.
    public var checksClientAddress: Bool
    /// Plaintext on this port is answered by whoever serves the connection, instead of being refused: etcd allows `http` and `https`
    /// on one address.
    public var allowsPlaintext: Bool

    public init(checksClientAddress: Bool = false, allowsPlaintext: Bool = false) {
        self.checksClientAddress = checksClientAddress
        self.allowsPlaintext = allowsPlaintext
    }
}

/// Makes the handlers of a listener's connections. One for all event loops; new connections always get the newest files.
public final class TLSServerContext: Sendable {
    public let settings: TLSServerSettings
    let files: ReloadingContext
    let gate: HandshakeGate
    let rejections: RejectionLog
    let addresses: AddressCheck

    /// Reads the files; throws when they cannot be used.
    public convenience init(_ settings: TLSServerSettings) throws(TLSError) {
        try self.init(settings, addresses: AddressCheck(SystemResolver()))
    }

    init(_ settings: TLSServerSettings, addresses: AddressCheck) throws(TLSError) {
        guard !settings.certificateFile.isEmpty, !settings.keyFile.isEmpty else {
            throw .settings(
                "KeyFile and CertFile must both be present[key: \(settings.keyFile), cert: \(settings.certificateFile)]")
        }
        self.settings = settings
        self.addresses = addresses
        files = try ReloadingContext({ LibraryContext.Sources(settings) }, log: settings.log)
        gate = HandshakeGate(limit: settings.maximumHandshakes)
        rejections = RejectionLog(settings.log)
    }

    /// Reads the files again now, changed or not. New connections get them if they can be used, and the old ones otherwise. Files
    /// that changed are noticed without this. Returns why they cannot be used.
    @discardableResult public func reload() -> TLSError? { files.reload() }

    /// A handler for one accepted connection, to be first in its pipeline. Call it on the connection's event loop.
    public func makeHandler(_ rules: TLSListenerRules = TLSListenerRules()) -> TLSHandler { TLSHandler(server: self, rules) }
}

extension LibraryContext.Sources {
    fileprivate init(_ settings: TLSServerSettings) {
        certificateFile = settings.certificateFile
        keyFile = settings.keyFile
        trustedAuthorityFile = settings.trustedAuthorityFile
        verifies = settings.requiresClientCertificate || !settings.trustedAuthorityFile.isEmpty
        revocationListFile = settings.revocationListFile
        isServer = true
        protocols = settings.protocols
        applicationProtocols = settings.applicationProtocols
    }
}
