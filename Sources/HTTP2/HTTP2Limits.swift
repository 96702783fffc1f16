/// What one HTTP/2 connection may use, and what happens past each bound.
public struct HTTP2Limits: Sendable {
    /// Open requests. Announced to the client; a stream past it is refused (REFUSED_STREAM) until the client has acknowledged the
    /// setting, and ends the connection (PROTOCOL_ERROR) afterwards.
    public var maximumConcurrentStreams: UInt32 = 16_384
    /// Decoded size of one request's header fields, each counted as name + value + 32 (RFC 9113, section 6.5.2). Past it the stream
    /// is reset with FRAME_SIZE_ERROR.
    public var maximumHeaderListBytes = 64 << 10
    /// Bytes a client may send on one stream before they are taken up, and on the connection as a whole.
    public var streamWindow: Int32 = 1 << 20
    public var connectionWindow: Int32 = 16 << 20
    /// Stream resets, by the client or provoked by its errors: so many at once, then so many a second. Past it the connection ends
    /// with ENHANCE_YOUR_CALM ("rapid reset", CVE-2023-44487 and CVE-2025-8671).
    public var resetBurst = 1_000
    public var resetsPerSecond = 100
    /// SETTINGS, PRIORITY and empty DATA frames: so many at once, then so many a second. Past it, ENHANCE_YOUR_CALM.
    public var controlFrameBurst = 1_000
    public var controlFramesPerSecond = 100
    /// Output waiting on one stream. From `streamOutputHigh` on the stream is not writable and its input waits; at `streamOutputLow`
    /// or less it is writable again and its handler is told.
    public var streamOutputHigh = 128 << 10
    public var streamOutputLow = 32 << 10
    /// Output waiting on all streams of the connection together: from here on, requests that have arrived wait undelivered until half
    /// of it has been sent.
    public var connectionOutputHold = 16 << 20
    /// With so much output waiting, a further message is refused and its stream ends. One message alone may be larger.
    public var connectionOutputLimit = 512 << 20
    /// Request bytes kept on the connection: bodies not complete yet, and requests that wait. Past it the stream that brought the
    /// last bytes ends.
    public var connectionInputLimit = 64 << 20
    public var keepalive = KeepalivePolicy()

    public init() {}
}

/// How often a client may ping, and when the server pings (grpc-go's server policy).
public struct KeepalivePolicy: Sendable {
    /// A ping sooner than this after the one before is a strike. More than two strikes without anything sent in between end the
    /// connection with ENHANCE_YOUR_CALM and the words "too_many_pings".
    public var minimumPingInterval: Duration = .seconds(5)
    /// Without open streams a ping sooner than two hours after the one before is a strike, unless this is set.
    public var permitWithoutStreams = false
    /// The server pings when nothing was read for this long, and closes when the answer takes longer than `pingTimeout`.
    public var pingAfterIdle: Duration = .seconds(7200)
    public var pingTimeout: Duration = .seconds(20)

    public init() {}
}

extension Duration {
    /// Whole nanoseconds; negative durations count as zero, those past 292 years as that.
    var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? UInt64(Int64.max) : UInt64(product) + UInt64(attoseconds / 1_000_000_000)
    }
}
