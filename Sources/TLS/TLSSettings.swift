/// Versions and cipher suites.
public struct TLSProtocolSettings: Sendable, Equatable {
    public enum Version: Int32, Sendable, Comparable, CaseIterable {
        case tls12 = 0x0303
        case tls13 = 0x0304
        public static func < (left: Version, right: Version) -> Bool { left.rawValue < right.rawValue }
    }

    public var minimumVersion = Version.tls12
    public var maximumVersion = Version.tls13
    /// Names as Go and IANA spell them, preferred first; empty for the default. As in Go, TLS 1.3's suites cannot be chosen: their
    /// names are accepted and say nothing.
    public var cipherSuites: [String] = []

    public init() {}
}

/// Who may be on the other side, beyond a chain that ends at a trusted authority. At most one list may be given.
public struct TLSNameRules: Sendable, Equatable {
    /// The certificate's common name must be one of these.
    public var commonNames: [String] = []
    /// The certificate must be valid for one of these host names or addresses.
    public var hostnames: [String] = []

    public init() {}
}

/// A listener's side. Paths are empty when there is none; every file is read again once it has changed.
public struct TLSServerSettings: Sendable {
    /// PEM: the certificate and the chain below the authority that clients know.
    public var certificateFile: String
    /// PEM: the certificate's key, not encrypted.
    public var keyFile: String
    /// PEM: authorities of clients' certificates. When given, or with ``requiresClientCertificate``, every client must have a
    /// certificate; without a file the system's authorities count.
    public var trustedAuthorityFile = ""
    public var requiresClientCertificate = false
    /// PEM or DER. As in etcd its serial numbers count whoever issued it, for every certificate that the client sends.
    public var revocationListFile = ""
    public var allowedNames = TLSNameRules()
    public var protocols = TLSProtocolSettings()
    /// In order of preference. A client that asks for others only is refused; one that does not ask is served.
    public var applicationProtocols = ["h2", "http/1.1"]
    /// From the connection's beginning to the handshake's end, the check of the client's address included.
    public var handshakeTimeout = Duration.seconds(10)
    /// Handshakes under way at once, counted from a connection's first byte. Connections past it are closed at once.
    public var maximumHandshakes = 2_048
    /// Makes the event that tells those behind the handler who the client is; fired before the first bytes are passed on.
    public var identityEvent: (@Sendable (TLSPeerIdentity) -> any Sendable)?
    public var log: @Sendable (TLSLogRecord) -> Void = { _ in }

    public init(certificateFile: String, keyFile: String) {
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}

/// A dialer's side.
public struct TLSClientSettings: Sendable {
    /// PEM: shown to servers that ask; empty for none.
    public var certificateFile = ""
    public var keyFile = ""
    /// PEM: authorities of servers' certificates; empty for the system's.
    public var trustedAuthorityFile = ""
    public var revocationListFile = ""
    /// The server's certificate must be valid for this name instead of the one that was dialled; empty for that one.
    public var serverName = ""
    /// Any certificate will do. For members whose certificates were made at start.
    public var skipsVerification = false
    public var allowedNames = TLSNameRules()
    public var protocols = TLSProtocolSettings()
    /// Offered to the server, preferred first.
    public var applicationProtocols = ["h2"]
    public var handshakeTimeout = Duration.seconds(10)
    public var log: @Sendable (TLSLogRecord) -> Void = { _ in }

    public init() {}
}

/// What a context has to say to the operator.
public enum TLSLogRecord: Sendable, Equatable {
    /// New files are in use for new connections.
    case reloaded(files: [String])
    /// New files cannot be used; new connections still get the old ones.
    case reloadFailed(reason: String)
    case rejected(TLSRejection)
}

/// A connection that did not get through the handshake, in the fields of etcd's log line.
public struct TLSRejection: Sendable, Equatable {
    /// "127.0.0.1:40100", or "@" for a unix socket.
    public var remoteAddress: String
    /// The name that the client asked for, or empty.
    public var serverName: String
    /// What the client's certificate says, once it was found to be trusted.
    public var identity: TLSPeerIdentity?
    public var error: TLSError
    /// Rejections that were not told before this one because there were too many.
    public var untold: Int
}
