import CNGHTTP2

/// Why a connection cannot go on. The texts are for the log.
public enum HTTP2SessionError: Error, Equatable, Sendable, CustomStringConvertible {
    /// libnghttp2 refused what arrived, or ran out of memory.
    case library(code: Int32, text: String)
    case closed

    init(code: Int) { self = .library(code: Int32(code), text: String(cString: nghttp2_strerror(Int32(code)))) }

    public var description: String {
        switch self {
        case .library(let code, let text): "\(text) (\(code))"
        case .closed: "the session is closed"
        }
    }
}

/// What a session asks of the connection that carries it.
protocol HTTP2SessionOwner: AnyObject {
    /// There is something to send that was not there before. Called once until the next ``HTTP2Session/produce(into:)``.
    func sessionHasOutput()
    /// The client answered a ping sent with ``HTTP2Session/ping(_:)``.
    func pingAnswered(_ payload: UInt64)
}

/// The server side of one HTTP/2 connection, around libnghttp2: bytes in, bytes out, requests to a sink. It knows no sockets and no
/// clock; times are nanoseconds of a monotonic clock, handed in with the bytes.
///
/// Confined to one event loop. The connection that owns it calls ``abandon()`` at the end, which closes every stream left.
public final class HTTP2Session {
    public let connection: ConnectionInfo
    let limits: HTTP2Limits
    let sink: any HTTP2RequestSink
    let pool: HTTP2StreamPool
    let counters: CounterSet<ServerCounter>
    /// Unowned: a connection clears this before it goes away, and weak references make every retain of it slow.
    unowned(unsafe) var owner: (any HTTP2SessionOwner)?

    /// An idle session keeps room for so many streams in its tables; a burst of more gives the memory back.
    static let streamsKeptRoomFor = 256

    /// nil once abandoned.
    var library: OpaquePointer?
    var streams: [HTTP2Stream] = []
    /// Streams with something new to send, once each.
    var changed: [HTTP2Stream] = []
    /// Streams that fell to their low-water mark and have not been told.
    var fellBelow: [HTTP2Stream] = []
    /// Streams whose input waits, in the order it arrived.
    var held: [HTTP2Stream] = []
    /// The stream whose header block has begun and not ended. Unmanaged: `streams` holds it, and closing it clears this.
    var openHead: Unmanaged<HTTP2Stream>?
    /// The stream that was reset for what its header block held, before the block ended. It has ended when the next frame begins; the library
    /// does not tell of it sooner.
    var openBlock: Int32?
    /// When the last bytes came, in nanoseconds of the event loop's clock.
    public internal(set) var now: UInt64 = 0
    var streamInUse = StreamInUse()
    var pings: PingEnforcement
    var resets: TokenBucket
    var controlFrames: TokenBucket
    /// Body bytes received since the connection's window was last credited.
    var uncreditedOnConnection = 0
    var outputNoted = false
    /// Request bytes that sinks keep of open streams, as they report them.
    var keptInput = 0
    /// Output waiting on all streams.
    var queuedOutput = 0
    /// Requests wait because too much output does.
    var isHoldingInput = false
    var sawSettings = false
    /// The session has sent its last GOAWAY, or is about to: nothing that arrives counts any more.
    var isTerminating = false
    /// libnghttp2 is on the stack, which must not have its session freed under it.
    private var isInLibrary = false
    private var abandonAfterwards = false
    /// Where ``produce(into:)`` writes, during the call.
    let frames = FrameBuffer()

    init(
        connection: ConnectionInfo, limits: HTTP2Limits, sink: any HTTP2RequestSink, pool: HTTP2StreamPool,
        counters: CounterSet<ServerCounter>, now: UInt64
    ) {
        self.connection = connection
        self.limits = limits
        self.sink = sink
        self.pool = pool
        self.counters = counters
        self.now = now
        pings = PingEnforcement(limits.keepalive)
        resets = TokenBucket(burst: limits.resetBurst, perSecond: limits.resetsPerSecond)
        controlFrames = TokenBucket(burst: limits.controlFrameBurst, perSecond: limits.controlFramesPerSecond)
        library = makeLibrarySession()
    }

    deinit { abandon() }

    public var openStreams: Int { streams.count }

    /// The stream whose header block has begun and not ended; the stream itself may have ended by a reset, and the client go on all the same.
    var openHeadStream: Int32? { openHead?._withUnsafeGuaranteedRef { $0.number } ?? openBlock }

    /// Nothing more will be sent or read: the connection can be closed.
    var isFinished: Bool {
        guard let library else { return true }
        return nghttp2_session_want_read(library) == 0 && nghttp2_session_want_write(library) == 0
    }

    // MARK: Bytes in

    /// Takes what arrived. Sinks are called from within; what they answer waits for ``produce(into:)``.
    func receive(_ bytes: UnsafeRawBufferPointer, now: UInt64) throws(HTTP2SessionError) {
        guard let library else { throw .closed }
        guard !isTerminating, let start = bytes.baseAddress else { return }
        self.now = now
        counters.add(.bytesReceived, bytes.count)
        enterLibrary()
        defer { leaveLibrary() }
        let taken = nghttp2_session_mem_recv(library, start.assumingMemoryBound(to: UInt8.self), bytes.count)
        guard taken >= 0 else { throw HTTP2SessionError(code: taken) }
        if uncreditedOnConnection > 0 {
            // The connection's window only limits what is in flight: what is kept is limited by `connectionInputLimit`.
            nghttp2_session_consume_connection(library, uncreditedOnConnection)
            uncreditedOnConnection = 0
        }
        noteOutput()
    }

    // MARK: Leaving

    /// GOAWAY with `code` and `debugText`; nothing that arrives afterwards counts, and the session is finished once that is sent.
    func terminate(_ code: UInt32, debugText: StaticString? = nil) {
        guard let library, !isTerminating else { return }
        isTerminating = true
        if let debugText {
            // libnghttp2's own way to terminate takes no debug data, so that one goes ahead in a GOAWAY of its own.
            nghttp2_submit_goaway(
                library, UInt8(NGHTTP2_FLAG_NONE.rawValue), nghttp2_session_get_last_proc_stream_id(library), code,
                debugText.utf8Start, debugText.utf8CodeUnitCount)
        }
        nghttp2_session_terminate_session(library, code)
        noteOutput()
    }

    /// Tells the client to open no more streams here; those on their way still count until ``finishDraining()``.
    func announceDraining() {
        guard let library, !isTerminating else { return }
        nghttp2_submit_shutdown_notice(library)
        noteOutput()
    }

    /// The final GOAWAY: later streams are ignored, open ones go on, and the session is finished with the last of them.
    func finishDraining() {
        guard let library, !isTerminating else { return }
        nghttp2_submit_goaway(
            library, UInt8(NGHTTP2_FLAG_NONE.rawValue), nghttp2_session_get_last_proc_stream_id(library),
            HTTP2ErrorCode.noError, nil, 0)
        noteOutput()
    }

    func ping(_ payload: UInt64) {
        guard let library, !isTerminating else { return }
        withUnsafeBytes(of: payload.bigEndian) { bytes in
            _ = nghttp2_submit_ping(
                library, UInt8(NGHTTP2_FLAG_NONE.rawValue), bytes.baseAddress!.assumingMemoryBound(to: UInt8.self))
        }
        noteOutput()
    }

    func enterLibrary() { isInLibrary = true }

    func leaveLibrary() {
        isInLibrary = false
        if abandonAfterwards { abandon() }
    }

    /// The connection is gone: closes every stream, each exactly once, and frees the library's state. A sink that ends the connection
    /// from within a call has that done after the call.
    func abandon() {
        guard let library else { return }
        guard !isInLibrary else {
            abandonAfterwards = true
            return
        }
        isTerminating = true
        self.library = nil
        while !streams.isEmpty { closeStream(at: streams.count - 1, .connectionLost) }
        changed = []
        fellBelow = []
        held = []
        (openHead, openBlock) = (nil, nil)
        nghttp2_session_del(library)
    }

    // MARK: Streams

    /// Ends the stream here, tells its sink, and gives the object back to the pool.
    func closeStream(at index: Int, _ end: StreamEnd) {
        endStream(streams[index], end)
        // The only reference from here on, unless somebody keeps the stream.
        var stream = streams.removeLast()
        if index < streams.count {
            stream.indexInSession = index
            swap(&stream, &streams[index])
        }
        if isKnownUniquelyReferenced(&stream) {
            pool.give(stream)
        } else {
            // Whoever holds it must not keep the sink's object alive through it.
            stream.attachment = nil
        }
        if streams.isEmpty, streams.capacity > Self.streamsKeptRoomFor { streams = [] }
    }

    private func endStream(_ stream: HTTP2Stream, _ end: StreamEnd) {
        queuedOutput -= stream.queuedBytes
        keptInput -= stream.keptInput
        if openHead?.toOpaque() == Unmanaged.passUnretained(stream).toOpaque() { (openHead, openBlock) = (nil, stream.number) }
        stream.owner = nil
        streamInUse.forget(stream.number)
        counters.add(.streamsOpen, -1)
        if end != .finished { counters.add(.streamsReset) }
        if stream.announced { sink(of: stream).streamClosed(stream, end) }
        updateHold()
    }

    func sink(of stream: HTTP2Stream) -> any HTTP2RequestSink { stream.otherSink ?? sink }

    func noteChange(of stream: HTTP2Stream) {
        if !stream.changeNoted {
            stream.changeNoted = true
            forgetClosed(&changed)
            changed.append(stream)
        }
        noteOutput()
    }

    func noteOutput() {
        guard !outputNoted else { return }
        outputNoted = true
        owner?.sessionHasOutput()
    }

    func outputAdded(_ count: Int, to stream: HTTP2Stream) {
        queuedOutput += count
        if stream.queuedBytes >= limits.streamOutputHigh { stream.aboveHighWater = true }
        if queuedOutput >= limits.connectionOutputHold { isHoldingInput = true }
        noteChange(of: stream)
    }

    func outputTakenBack(_ count: Int) {
        queuedOutput -= count
        updateHold()
    }

    func reset(_ stream: HTTP2Stream, _ code: UInt32) {
        guard let library else { return }
        stream.resetByServer = true
        nghttp2_submit_rst_stream(library, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.number, code)
        noteOutput()
    }

    // MARK: Input that waits

    func keepInput(_ count: Int) -> Bool {
        keptInput += count
        if count <= 0 || keptInput <= limits.connectionInputLimit { return true }
        counters.add(.connectionInputLimits)
        return false
    }

    func credit(_ count: Int, to stream: HTTP2Stream) {
        // A client that has sent everything needs no window; small requests never come further than this.
        guard let library, !stream.requestIsComplete else { return }
        stream.uncredited += count
        if stream.uncredited >= Int(limits.streamWindow) / 4 {
            nghttp2_session_consume_stream(library, stream.number, stream.uncredited)
            stream.uncredited = 0
            noteOutput()
        }
    }

    func hold(_ stream: HTTP2Stream) {
        forgetClosed(&held)
        held.append(stream)
    }

    /// Closed streams stay in the lists until those are worked off. A client that does not read, but opens and resets streams, must
    /// not make them pile up.
    private func forgetClosed(_ list: inout [HTTP2Stream]) {
        guard list.count > 2 * streams.count + Self.streamsKeptRoomFor else { return }
        list.removeAll { !$0.belongs(to: self) }
    }

    /// Lets requests through again when half of what held them has been sent.
    func updateHold() {
        guard isHoldingInput, queuedOutput <= limits.connectionOutputHold / 2 else { return }
        isHoldingInput = false
        noteOutput()
    }

    /// Tells the sinks of waiting streams, oldest first, as long as their answers leave room. True if any was told.
    func releaseHeld() -> Bool {
        guard !held.isEmpty, !isHoldingInput else { return false }
        let waiting = held
        held.removeAll(keepingCapacity: true)
        var told = false
        for stream in waiting where stream.belongs(to: self) {
            guard stream.mayTakeInput else {
                held.append(stream)
                continue
            }
            stream.inputHeld = false
            told = true
            sink(of: stream).inputReleased(stream)
        }
        return told
    }
}
