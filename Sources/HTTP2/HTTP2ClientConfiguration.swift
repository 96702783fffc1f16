/// What one HTTP/2 connection to a server may use, and how long it waits.
public struct HTTP2ClientConfiguration: Sendable {
    /// Requests that wait because the server's limit of open streams is reached. Past it ``HTTP2ClientSession/open(_:)`` refuses.
    public var maximumWaitingStreams = 1_024
    /// Decoded size of one response's header fields, or of its trailers, counted as RFC 9113, section 6.5.2 does. Past it the stream
    /// is reset.
    public var maximumHeaderListBytes = 256 << 10
    /// Bytes the server may send on one stream before they are taken up, and on the connection as a whole.
    public var streamWindow: Int32 = 256 << 10
    public var connectionWindow: Int32 = 16 << 20
    /// Output waiting on one stream: from `streamOutputHigh` on it is not writable, at `streamOutputLow` or less it is again.
    public var streamOutputHigh = 128 << 10
    public var streamOutputLow = 32 << 10
    /// From the beginning of the connect until TCP and TLS stand and the server's first SETTINGS have arrived.
    public var connectTimeout: Duration = .seconds(3)
    /// With open streams, a ping when nothing was read for this long; closed when the answer takes longer than `pingTimeout`. etcd
    /// counts pings more often than every 5 s, or without streams, as abuse.
    public var pingAfterIdle: Duration = .seconds(10)
    public var pingTimeout: Duration = .seconds(5)

    public init() {}
}

/// Why a stream to a server ended.
public enum ClientStreamEnd: Equatable, Sendable {
    /// The whole response is here.
    case finished
    /// The server certainly never worked on it: the request was not sent, or refused (REFUSED_STREAM), or its number lies above the
    /// last one of a GOAWAY (RFC 9113, section 8.7). It may be sent again whatever it asks for.
    case neverProcessed
    /// RST_STREAM with this error code, by either side. What the server did with the request is not known.
    case reset(code: UInt32)
    /// The connection went away. What the server did with the request is not known.
    case connectionLost
}

/// Takes a response. All calls come on the connection's event loop; what is lent is valid during the call.
///
/// A call may write to, end, reset or open any stream of the loop. Nothing is sent before the burst of reads is over.
public protocol HTTP2ResponseReceiver: AnyObject {
    /// The header fields are complete, in ``HTTP2ClientStream/responseHead``. Interim responses (1xx) are passed over.
    func responseBegan(_ stream: HTTP2ClientStream)
    /// A piece of the body. Its bytes stay charged to the server's window until ``HTTP2ClientStream/credit(_:)``.
    func responseBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2ClientStream)
    /// The response is complete; ``HTTP2ClientStream/trailers`` holds its trailers, if there were any.
    func responseEnded(_ stream: HTTP2ClientStream)
    /// The output had reached the high-water mark and has fallen to the low one.
    func outputDrained(_ stream: HTTP2ClientStream)
    /// Exactly once for every stream that was opened. It is closed already and is used again after the call, if nobody holds it.
    func streamClosed(_ stream: HTTP2ClientStream, _ end: ClientStreamEnd)
}
