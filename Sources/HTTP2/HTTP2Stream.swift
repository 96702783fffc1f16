import Bytes

/// How a stream came to its end.
public enum StreamEnd: Equatable, Sendable {
    /// The whole response went out.
    case finished
    /// RST_STREAM with this error code, by either side, before the response was out.
    case reset(code: UInt32)
    case connectionLost
}

/// HTTP/2 error codes that this server uses itself (RFC 9113, section 7).
public enum HTTP2ErrorCode {
    public static let noError: UInt32 = 0x0
    public static let protocolError: UInt32 = 0x1
    public static let internalError: UInt32 = 0x2
    public static let frameSizeError: UInt32 = 0x6
    public static let refusedStream: UInt32 = 0x7
    public static let cancel: UInt32 = 0x8
    public static let enhanceYourCalm: UInt32 = 0xb
}

/// One request and its response. Confined to the connection's event loop; used again for later requests once nobody holds it.
public final class HTTP2Stream {
    enum ResponseHead {
        case none
        case template(HeaderTemplate)
        case fields([HTTPField])
        /// In ``HTTP2Stream/copiedHead``.
        case copied
    }

    enum ResponseEnding {
        case open
        case plain
        case trailers(HeaderTemplate)
        case trailerFields([HTTPField])
        /// In ``HTTP2Stream/copiedTrailers``.
        case copiedTrailers
    }

    /// Output memory a stream keeps while it is open and everything has been sent.
    private static let outputKept = 4_096
    /// Sent bytes at the front are cut off when there are so many, and they are more than half.
    private static let compactionThreshold = 256 << 10

    // Stored properties are internal, with public accessors: what other modules cannot reach costs no exclusivity checks.
    var number: Int32 = 0
    /// Unmanaged: a session clears this in all its streams before it goes away, and a retain per use would show.
    var owner: Unmanaged<HTTP2Session>?
    var otherSink: (any HTTP2RequestSink)?
    let requestHead = HeaderBlock()
    var requestIsComplete = false
    var attachment: AnyObject?

    // What the session keeps on the stream.
    var indexInSession = 0
    var announced = false
    var headTooLarge = false
    var changeNoted = false
    var resetByServer = false
    var inputHeld = false
    /// Received, handed to the sink, not yet returned to the client's window.
    var uncredited = 0
    var keptInput = 0

    // The response.
    var responseHead = ResponseHead.none
    private(set) lazy var copiedHead = HeaderBlock()
    private(set) lazy var copiedTrailers = HeaderBlock()
    var responseEnding = ResponseEnding.open
    var responseSubmitted = false
    var responseEnded = false
    var awaitsOutput = false
    var aboveHighWater = false
    let output: UnsafeMutablePointer<ByteWriter>
    var isWriting = false
    var outputSent = 0

    init() {
        // Memory of its own rather than a property: written to several times per response. `write(_:)` sees to exclusive access.
        output = .allocate(capacity: 1)
        output.initialize(to: ByteWriter(capacity: 256))
    }

    deinit {
        output.deinitialize(count: 1)
        output.deallocate()
    }

    public var id: Int32 { number }
    /// The session while the stream is open, nil afterwards.
    public var session: HTTP2Session? { owner?.takeUnretainedValue() }
    /// When the last bytes came on its connection, in nanoseconds of the event loop's clock; 0 once the stream is closed.
    public var receivedAt: UInt64 { owner?._withUnsafeGuaranteedRef { $0.now } ?? 0 }
    public var head: HeaderBlock { requestHead }
    /// The first value of the request's field `name`, lent while the stream is open.
    public func header(_ name: StaticString) -> UnsafeRawBufferPointer? { requestHead.first(name) }
    /// The client has sent everything.
    public var requestEnded: Bool { requestIsComplete }
    /// The sink's own object for the stream. It stays when the stream is used again, so that it can be used again too.
    public var application: AnyObject? {
        get { attachment }
        set { attachment = newValue }
    }

    /// Drops ``application`` if anyone else holds it, for then it must not be used again.
    public func releaseApplicationIfShared() {
        if !isKnownUniquelyReferenced(&attachment) { attachment = nil }
    }

    /// From now on the session tells `sink` about this stream, instead of its own.
    public func handOver(to sink: any HTTP2RequestSink) { otherSink = sink }

    public var isOpen: Bool { owner != nil }

    /// Bytes of output that have not been sent.
    public var queuedBytes: Int { output.pointee.count - outputSent }

    /// False once the high-water mark was reached, until the output has fallen to the low-water mark.
    public var isWritable: Bool { isOpen && !aboveHighWater }

    /// So much output waits on the whole connection that no further message should be added.
    public var isConnectionFull: Bool {
        owner?._withUnsafeGuaranteedRef { $0.queuedOutput >= $0.limits.connectionOutputLimit } ?? false
    }

    public var hasResponse: Bool {
        if case .none = responseHead { return false }
        return true
    }

    /// Whether ``write(_:)`` still has an effect: the stream is open and its response has not been ended or reset.
    public var acceptsOutput: Bool {
        guard owner != nil, !resetByServer else { return false }
        if case .open = responseEnding { return true }
        return false
    }

    // MARK: Responding

    /// The response's header fields; without effect when there are some already or the stream is no longer open.
    public func begin(_ template: HeaderTemplate) {
        guard acceptsOutput, !hasResponse else { return }
        responseHead = .template(template)
        owner?._withUnsafeGuaranteedRef { $0.noteChange(of: self) }
    }

    public func begin(_ fields: [HTTPField]) {
        guard acceptsOutput, !hasResponse else { return }
        responseHead = .fields(fields)
        owner?._withUnsafeGuaranteedRef { $0.noteChange(of: self) }
    }

    /// The response's header fields as another connection brought them, and `more` after them.
    public func begin(copying fields: HeaderBlock, adding more: [HTTPField] = []) {
        guard acceptsOutput, !hasResponse else { return }
        copiedHead.copy(from: fields)
        for field in more { copiedHead.append(field) }
        responseHead = .copied
        owner?._withUnsafeGuaranteedRef { $0.noteChange(of: self) }
    }

    /// Forgets the body written so far. Only before the response has begun.
    public func takeBackOutput() {
        guard !hasResponse, let owner else { return }
        let count = queuedBytes
        output.pointee.removeAll(keepingAtMost: Self.outputKept)
        outputSent = 0
        aboveHighWater = false
        owner._withUnsafeGuaranteedRef { $0.outputTakenBack(count) }
    }

    /// Appends to the response's body. Nothing is sent before the connection is flushed; without effect when the stream is closed.
    ///
    /// - Parameter body: Must not touch this stream.
    public func write(_ body: (inout ByteWriter) -> Void) {
        guard acceptsOutput else { return }
        precondition(!isWriting, "a stream was written to from within a write to it")
        isWriting = true
        let before = output.pointee.count
        body(&output.pointee)
        let count = output.pointee.count - before
        isWriting = false
        if count > 0 { owner?._withUnsafeGuaranteedRef { $0.outputAdded(count, to: self) } }
    }

    /// Ends the response after what was written. Without effect when it has ended.
    public func end() { end(.plain) }
    public func end(trailers: HeaderTemplate) { end(.trailers(trailers)) }
    public func end(trailers: [HTTPField]) { end(.trailerFields(trailers)) }

    /// Ends the response with trailers as another connection brought them.
    public func end(copyingTrailers fields: HeaderBlock) {
        guard acceptsOutput else { return }
        copiedTrailers.copy(from: fields)
        end(.copiedTrailers)
    }

    private func end(_ ending: ResponseEnding) {
        guard acceptsOutput else { return }
        precondition(hasResponse, "a response was ended that never began")
        responseEnding = ending
        owner?._withUnsafeGuaranteedRef { $0.noteChange(of: self) }
    }

    /// Ends the stream without a response, or in the middle of one. What was not sent yet is dropped.
    public func reset(_ code: UInt32) {
        guard !resetByServer, !responseEnded else { return }
        owner?._withUnsafeGuaranteedRef { $0.reset(self, code) }
    }

    // MARK: Taking input

    /// Gives `count` received bytes back to the client's window for this stream.
    public func credit(_ count: Int) { owner?._withUnsafeGuaranteedRef { $0.credit(count, to: self) } }

    /// Reports that the sink keeps `count` more bytes of the request, or fewer if negative. False past the connection's limit: the
    /// sink should end the stream. What it keeps when the stream closes is taken as let go.
    public func keepInput(_ count: Int) -> Bool {
        keptInput += count
        return owner?._withUnsafeGuaranteedRef { $0.keepInput(count) } ?? false
    }

    /// False while output is waiting beyond the marks of the stream or the connection: keep what arrives and ``holdInput()``.
    public var mayTakeInput: Bool {
        owner?._withUnsafeGuaranteedRef { !$0.isHoldingInput && !aboveHighWater } ?? false
    }

    /// Asks for `inputReleased` on the sink once ``mayTakeInput`` holds again.
    public func holdInput() {
        guard !inputHeld, let owner else { return }
        inputHeld = true
        owner._withUnsafeGuaranteedRef { $0.hold(self) }
    }

    // MARK: What the session does with it

    func belongs(to session: HTTP2Session) -> Bool { owner?.toOpaque() == Unmanaged.passUnretained(session).toOpaque() }

    func open(id: Int32, session: HTTP2Session) {
        number = id
        owner = Unmanaged.passUnretained(session)
    }

    func headerReceived(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, limit: Int) {
        guard !headTooLarge else { return }
        headTooLarge = !requestHead.append(name: name, value: value, limit: limit)
    }

    /// Output went out: forgets it, and gives memory back when all is sent.
    func outputWasSent(_ count: Int) {
        outputSent += count
        if outputSent == output.pointee.count {
            output.pointee.removeAll(keepingAtMost: Self.outputKept)
            outputSent = 0
        } else if outputSent >= Self.compactionThreshold, outputSent * 2 > output.pointee.count {
            let left = output.pointee.count - outputSent
            output.pointee.withMutableBytes { bytes in
                let start = bytes.baseAddress!
                start.copyMemory(from: start + outputSent, byteCount: left)
            }
            output.pointee.truncate(to: left)
            outputSent = 0
        }
    }

    /// Back to the state of a new object, but for `application` and the memory of the buffers.
    func prepareForReuse() {
        owner = nil
        otherSink = nil
        requestHead.removeAll()
        requestIsComplete = false
        announced = false
        headTooLarge = false
        changeNoted = false
        resetByServer = false
        inputHeld = false
        uncredited = 0
        keptInput = 0
        responseHead = .none
        responseEnding = .open
        responseSubmitted = false
        responseEnded = false
        awaitsOutput = false
        aboveHighWater = false
        output.pointee.removeAll(keepingAtMost: Self.outputKept)
        outputSent = 0
    }
}

/// Stream objects and memory that are free for the next request, for all connections of one event loop.
public final class HTTP2StreamPool {
    private var free: [HTTP2Stream] = []
    private let limit: Int
    private let counters: CounterSet<ServerCounter>
    let libraryMemory = LibraryMemory()

    init(limit: Int = 1_024, counters: CounterSet<ServerCounter>) {
        self.limit = limit
        self.counters = counters
    }

    func take() -> HTTP2Stream {
        if let stream = free.popLast() { return stream }
        counters.add(.streamObjectsMade)
        return HTTP2Stream()
    }

    /// Takes back a closed stream that nobody else holds.
    func give(_ stream: HTTP2Stream) {
        guard free.count < limit else { return }
        stream.prepareForReuse()
        free.append(stream)
    }

    /// Lets go of all of them, and of what their sinks have left with them.
    func removeAll() { free = [] }
}
