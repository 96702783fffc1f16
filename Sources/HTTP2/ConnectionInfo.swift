import NIOCore

/// What is known about one connection. Confined to its event loop.
public final class ConnectionInfo {
    public let eventLoop: any EventLoop
    /// TLS is in front.
    public let isEncrypted: Bool
    private let address: SocketAddress?
    /// Who the client proved to be, as the handler in front reported with ``PeerIdentityEvent``.
    public internal(set) var identity: (any Sendable)?
    /// The application's own, for as long as the connection lasts.
    public var userData: AnyObject?

    public init(eventLoop: any EventLoop, address: SocketAddress?, isEncrypted: Bool) {
        self.eventLoop = eventLoop
        self.address = address
        self.isEncrypted = isEncrypted
    }

    /// "127.0.0.1:40100", "[::1]:40100", or "unix:@" for a client on a unix socket.
    public private(set) lazy var peerDescription: String = address?.peerDescription ?? "unknown"
}

extension SocketAddress {
    /// As in ``ConnectionInfo/peerDescription``.
    public var peerDescription: String {
        switch self {
        case .v4: "\(ipAddress ?? ""):\(port ?? 0)"
        case .v6: "[\(ipAddress ?? "")]:\(port ?? 0)"
        case .unixDomainSocket: "unix:@"
        }
    }
}

/// Fired as an inbound user event by the handler in front (TLS) before it passes on the first bytes.
public struct PeerIdentityEvent: Sendable {
    public let identity: any Sendable
    public init(identity: any Sendable) { self.identity = identity }
}
