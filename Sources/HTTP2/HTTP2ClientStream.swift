import Bytes

/// One request to a server and its response. Confined to the connection's event loop; used again once nobody holds it.
public final class HTTP2ClientStream {
    enum Progress {
        /// Waits until the server's limit of open streams lets it through.
        case waiting
        /// Handed to libnghttp2.
        case submitted
        /// Its header block has been written for the server.
        case sent
    }

    // Stored properties are internal, with public accessors: what other modules cannot reach costs no exclusivity checks.
    var number: Int32 = 0
    /// Unmanaged: a session clears this in all its streams before it goes away, and a retain per use would show.
    var owner: Unmanaged<HTTP2ClientSession>?
    var receiver: (any HTTP2ResponseReceiver)?
    let request = HeaderBlock()
    let response = HeaderBlock()
    let responseTrailers = HeaderBlock()

    // What the session keeps on the stream.
    var indexInSession = 0
    var progress = Progress.waiting
    var changeNoted = false
    var resetHere = false
    var resetCode: UInt32 = 0
    var requestEnds = false
    var requestSent = false
    var responseBegan = false
    var responseIsComplete = false
    var headTooLarge = false
    var awaitsOutput = false
    var aboveHighWater = false
    /// Received, handed to the receiver, not yet returned to the server's window.
    var uncredited = 0
    let output: UnsafeMutablePointer<StreamOutput>

    init() {
        // Memory of its own rather than a property, as in ``HTTP2Stream``.
        output = .allocate(capacity: 1)
        output.initialize(to: StreamOutput())
    }

    deinit {
        output.deinitialize(count: 1)
        output.deallocate()
    }

    public var isOpen: Bool { owner != nil }
    /// The response's header fields, from `responseBegan` until the stream closes.
    public var responseHead: HeaderBlock { response }
    /// The response's trailers, from `responseEnded` until the stream closes.
    public var trailers: HeaderBlock { responseTrailers }
    /// When the last bytes came on its connection, in nanoseconds of the event loop's clock; 0 once the stream is closed.
    public var receivedAt: UInt64 { owner?._withUnsafeGuaranteedRef { $0.now } ?? 0 }
    public var responseHasBegun: Bool { responseBegan }
    /// The whole response has arrived.
    public var responseHasEnded: Bool { responseIsComplete }

    // MARK: Request

    /// The request's header fields have been written for the server. Before that it certainly knows nothing of the request.
    public var hasBeenSent: Bool { progress == .sent }
    /// Bytes of the request's body that have not been sent.
    public var queuedBytes: Int { output.pointee.queued }
    /// False once the high-water mark was reached, until the output has fallen to the low-water mark.
    public var isWritable: Bool { isOpen && !aboveHighWater }

    /// Appends to the request's body. Nothing is sent before the connection is flushed; without effect when the stream is closed or
    /// the request has ended.
    public func write(_ bytes: UnsafeRawBufferPointer) {
        guard owner != nil, !resetHere, !requestEnds, bytes.count > 0 else { return }
        output.pointee.append(bytes)
        owner?._withUnsafeGuaranteedRef { $0.outputAdded(to: self) }
    }

    /// Ends the request after what was written.
    public func end() {
        guard owner != nil, !resetHere, !requestEnds else { return }
        requestEnds = true
        owner?._withUnsafeGuaranteedRef { $0.noteChange(of: self) }
    }

    /// Breaks the exchange off. What was not sent yet is dropped; `streamClosed` comes once the connection is flushed.
    public func reset(_ code: UInt32) {
        guard !resetHere else { return }
        owner?._withUnsafeGuaranteedRef { $0.reset(self, code) }
    }

    /// Lets go of a stream whose end nobody waits for any more: it is reset, and `receiver` is told nothing further.
    public func abandon() {
        receiver = nil
        reset(HTTP2ErrorCode.cancel)
    }

    // MARK: Response

    /// The receiver is told nothing further: it has all it needs.
    public func detach() { receiver = nil }

    /// Gives `count` received bytes back to the server's window for this stream.
    public func credit(_ count: Int) { owner?._withUnsafeGuaranteedRef { $0.credit(count, to: self) } }

    // MARK: What the session does with it

    func belongs(to session: HTTP2ClientSession) -> Bool { owner?.toOpaque() == Unmanaged.passUnretained(session).toOpaque() }

    func headerReceived(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, limit: Int) {
        guard !headTooLarge else { return }
        // Not one call on either of the two: that would retain it, for every field.
        if responseBegan {
            headTooLarge = !responseTrailers.append(name: name, value: value, limit: limit)
        } else {
            headTooLarge = !response.append(name: name, value: value, limit: limit)
        }
    }

    /// Back to the state of a new object, but for the memory of the buffers.
    func prepareForReuse() {
        number = 0
        owner = nil
        receiver = nil
        request.removeAll()
        response.removeAll()
        responseTrailers.removeAll()
        progress = .waiting
        changeNoted = false
        resetHere = false
        requestEnds = false
        requestSent = false
        responseBegan = false
        responseIsComplete = false
        headTooLarge = false
        awaitsOutput = false
        aboveHighWater = false
        uncredited = 0
        output.pointee.removeAll()
    }
}

/// Bytes that wait to be sent on one stream: appended at the end, sent from the front.
struct StreamOutput: ~Copyable {
    private var bytes = ByteWriter(capacity: 256)
    private var sent = 0

    /// Memory a stream keeps while it is open and everything has been sent.
    private static let kept = 4_096
    /// Sent bytes at the front are cut off when there are so many, and they are more than half.
    private static let compactionThreshold = 256 << 10

    var queued: Int { bytes.count - sent }

    mutating func append(_ more: UnsafeRawBufferPointer) { bytes.append(more) }

    /// Lends the first `count` bytes that wait.
    func withFirst(_ count: Int, _ body: (UnsafeRawPointer) -> Void) {
        bytes.withBytes { body($0.baseAddress! + sent) }
    }

    /// Output went out: forgets it, and gives memory back when all is sent.
    mutating func wasSent(_ count: Int) {
        sent += count
        if sent == bytes.count {
            removeAll()
        } else if sent >= Self.compactionThreshold, sent * 2 > bytes.count {
            let (start, left) = (sent, bytes.count - sent)
            bytes.withMutableBytes { all in all.baseAddress!.copyMemory(from: all.baseAddress! + start, byteCount: left) }
            bytes.truncate(to: left)
            sent = 0
        }
    }

    mutating func removeAll() {
        bytes.removeAll(keepingAtMost: Self.kept)
        sent = 0
    }
}
