import NIOCore

/// Makes the handlers of a dialer's connections. One for all event loops; new connections always get the newest files.
public final class TLSClientContext: Sendable {
    public let settings: TLSClientSettings
    let files: ReloadingContext

    /// Reads the files; throws when they cannot be used.
    public init(_ settings: TLSClientSettings) throws(TLSError) {
        guard settings.certificateFile.isEmpty == settings.keyFile.isEmpty else {
            throw .settings(
                "KeyFile and CertFile must both be present[key: \(settings.keyFile), cert: \(settings.certificateFile)]")
        }
        self.settings = settings
        files = try ReloadingContext({ LibraryContext.Sources(settings) }, log: settings.log)
    }

    /// Reads the files again now, changed or not; see ``TLSServerContext/reload()``.
    @discardableResult public func reload() -> TLSError? { files.reload() }

    /// A handler for one connection to `host`, a name or an address without port, to be first in its pipeline. Call it on the
    /// connection's event loop.
    public func makeHandler(host: String) -> TLSHandler {
        TLSHandler(client: self, host: settings.serverName.isEmpty ? host : settings.serverName)
    }
}

extension LibraryContext.Sources {
    fileprivate init(_ settings: TLSClientSettings) {
        certificateFile = settings.certificateFile
        keyFile = settings.keyFile
        trustedAuthorityFile = settings.trustedAuthorityFile
        verifies = !settings.skipsVerification
        revocationListFile = settings.revocationListFile
        isServer = false
        protocols = settings.protocols
        applicationProtocols = settings.applicationProtocols
    }
}
