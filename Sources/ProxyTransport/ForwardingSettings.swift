import Balancing
import HTTP2

/// Limits of forwarding over HTTP.
public struct ForwardingSettings: Sendable {
    /// Replies up to so many bytes are held back whole, so that a read can be repeated elsewhere; longer ones stream.
    public var replayBytes = 1 << 20
    /// Unary requests up to so many bytes are taken up whole before they are sent; longer ones stream, and are sent to nobody else once a
    /// member has begun to take them.
    public var heldRequestBytes = 2 << 20
    /// A watch response longer than this is passed on in pieces, and its stream is not resumed any more.
    public var watchResponseBytes = 16 << 20
    /// HTTP/2 connections to one member, per event loop.
    public var upstreamConnections = 1
    /// HTTP/1.1 connections to one member, per event loop, tunnels and long polls included. Past it requests are answered 503.
    public var upstreamHTTP1Connections = 256
    /// How often members are asked how far quiet watches are; a watch is resumed from there.
    public var watchProgressInterval: Duration = .seconds(60)
    public var http2 = HTTP2ClientConfiguration()
    /// Called on the event loop when a request or stream is over; the proxy's own pages are not told of.
    public var requestEnded: (@Sendable (RequestRecord) -> Void)?

    public init() { http2.connectTimeout = .seconds(1) }
}

/// How connections to members are encrypted.
public struct UpstreamSecurity: Sendable {
    /// Makes the handler for an HTTP/2 connection (ALPN `h2`) to this address.
    public var http2: @Sendable (EndpointAddress) -> ClientTransportSecurity
    /// The same for HTTP/1.1 (ALPN `http/1.1`).
    public var http1: @Sendable (EndpointAddress) -> ClientTransportSecurity

    public init(
        http2: @escaping @Sendable (EndpointAddress) -> ClientTransportSecurity,
        http1: @escaping @Sendable (EndpointAddress) -> ClientTransportSecurity
    ) {
        self.http2 = http2
        self.http1 = http1
    }
}

extension EndpointAddress {
    var connectAddress: ConnectAddress { isUnixSocket ? .unix(path: socketPath) : .tcp(host: host, port: Int(port)) }
}
