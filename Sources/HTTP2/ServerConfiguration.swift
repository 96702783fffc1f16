/// Limits and timeouts of a server. Durations of zero or less mean "at once", never "no limit".
public struct ServerConfiguration: Sendable {
    public var http2 = HTTP2Limits()
    public var http1 = HTTP1Limits()
    /// From the connection's beginning until its first bytes told the protocol, and from HTTP/2's preface until the first SETTINGS.
    /// A TLS handshake in front counts. Past it the connection is closed.
    public var prefaceTimeout: Duration = .seconds(10)
    /// A header block begun and not ended, on HTTP/1 and HTTP/2.
    public var headerTimeout: Duration = .seconds(10)
    /// How long a connection that was told to go is given to read that and close, before it is closed.
    public var lingerTimeout: Duration = .seconds(1)
    /// Where remarkable events go, from any event loop; at most `logBurst` at once and `logPerSecond` a second from each loop, so that
    /// a client cannot fill the log.
    public var log: @Sendable (ServerLogRecord) -> Void = { _ in }
    public var logBurst = 50
    public var logPerSecond = 5

    public init() {}
}

public struct HTTP1Limits: Sendable {
    /// All header fields of a request, names and values (431 past it), one of them, and their number.
    public var maximumHeaderListBytes = 64 << 10
    public var maximumHeaderFields = 256
    /// A request's body, for HTTP/1 and for plain HTTP over HTTP/2. Past it 413.
    public var maximumBodyBytes = 2 << 20
    /// From the end of the header fields to the end of the body (408 past it). A proxy gives unary gRPC requests as long.
    public var bodyTimeout: Duration = .seconds(30)
    /// Between a response and the next request on a kept connection.
    public var idleTimeout: Duration = .seconds(120)
    /// Response bytes waiting on one HTTP/1 connection; a further write breaks its exchange off.
    public var maximumQueuedOutput = 512 << 20

    public init() {}
}

/// One remarkable event, for the log.
public struct ServerLogRecord: Sendable {
    public enum Level: Sendable { case debug, info, warning }
    public var level: Level
    public var peer: String
    public var message: String
    /// Records dropped before this one because there were too many.
    public var dropped: Int
}
