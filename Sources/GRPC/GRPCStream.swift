import Bytes
import HTTP2
import NIOCore

/// One call. Confined to its connection's event loop.
///
/// Messages and the status may be sent from within a handler's call or later on the same loop; nothing is written to the socket before
/// the burst of reads or the turn of the loop is over. Whatever is done after the end, or after ``finish(_:trailers:)``, is without
/// effect, so a late answer needs no check. An object somebody holds is never used for another call.
public final class GRPCStream {
    static let responseHead = HeaderTemplate([(":status", "200"), ("content-type", "application/grpc")])
    static let okTrailers = HeaderTemplate([("grpc-status", "0")])

    /// The HTTP/2 stream while the call is open.
    var transport: HTTP2Stream?
    /// Unmanaged: only used while the call is open, and then the session that carries it holds its sink, the dispatcher. An object
    /// that outlived its dispatcher is told apart by the address.
    let dispatcher: Unmanaged<GRPCDispatcher>
    var handler: (any GRPCStreamHandler)?
    var methodNumber = -1
    /// Nanoseconds of the loop's clock; only where somebody wants to know how long calls take.
    var startedAt: UInt64 = 0
    var attachment: AnyObject?
    var finished = false
    var reason: GRPCStreamEnd?
    var timeIsUp: UInt64?
    /// Where the stream is in the dispatcher's ``DeadlineWheel``; nil if it is not.
    var wheelPosition: DeadlineWheel.Position?
    var input = MessageBuffer()
    /// What is still to come of a message begun with ``beginMessage(length:)``.
    private var messageBytesLeft = 0

    init(_ dispatcher: GRPCDispatcher) { self.dispatcher = Unmanaged.passUnretained(dispatcher) }

    // MARK: The call

    /// The number of the method, as the router's table has it.
    public var method: Int { methodNumber }
    /// The handler's own; forgotten when the call closes.
    public var userData: AnyObject? {
        get { attachment }
        set { attachment = newValue }
    }
    /// The status has been decided. It may not have been sent.
    public var isFinished: Bool { finished }
    /// Why the call is over; nil while it is open.
    public var end: GRPCStreamEnd? { reason }
    /// When the call's time is up, in nanoseconds of the event loop's clock (`NIODeadline.uptimeNanoseconds`); nil without a timeout.
    public var deadline: UInt64? { timeIsUp }

    /// The call can still be answered.
    public var isOpen: Bool { !finished && transport?.acceptsOutput == true }
    public var eventLoop: (any EventLoop)? { transport?.session?.connection.eventLoop }
    /// nil once the call is closed.
    public var connection: ConnectionInfo? { transport?.session?.connection }
    public var peerDescription: String { connection?.peerDescription ?? "unknown" }
    public var path: String { transport?.head.firstString(":path") ?? "" }

    // MARK: Answering

    /// Bytes of answers that have not been written to the socket.
    public var queuedBytes: Int { transport?.queuedBytes ?? 0 }
    /// False from the high-water mark on, until ``GRPCStreamHandler/drained(_:)``. Messages sent meanwhile are kept.
    public var isWritable: Bool { transport?.isWritable ?? false }

    /// Frames what `write` appends as one message, straight into the output.
    ///
    /// - Parameter write: Must not touch this stream.
    public func send(_ write: (inout ByteWriter) -> Void) {
        guard let transport = transportForMessage() else { return }
        var length = 0
        transport.write { output in
            output.append(0)
            let lengthAt = output.count
            output.appendBigEndian(UInt32(0))
            write(&output)
            length = output.count - lengthAt - 4
            output.patchBigEndian(UInt32(length), at: lengthAt)
        }
        tellSent(length)
    }

    private func tellSent(_ bytes: Int) { dispatcher._withUnsafeGuaranteedRef { $0.observer?.sent(methodNumber, bytes: bytes) } }

    /// Once a call, when its status is decided or will never be.
    func tellEnd(_ code: GRPCCode) {
        guard methodNumber >= 0 else { return }
        dispatcher._withUnsafeGuaranteedRef { dispatcher in
            let took = dispatcher.measuresTime ? dispatcher.loop.now &- startedAt : 0
            dispatcher.observer?.ended(methodNumber, code, nanoseconds: took)
        }
    }

    /// Sends a message that is encoded already.
    public func sendEncoded(_ message: UnsafeRawBufferPointer) { send { $0.append(message) } }

    /// Begins a message of `length` bytes that ``continueMessage(_:)`` appends piece by piece, so that a long one need not wait in
    /// memory whole. The stream cannot be finished well before all of it is there.
    public func beginMessage(length: Int) {
        guard let transport = transportForMessage() else { return }
        messageBytesLeft = length
        tellSent(length)
        transport.write { output in
            output.append(0)
            output.appendBigEndian(UInt32(length))
        }
    }

    public func continueMessage(_ write: (inout ByteWriter) -> Void) {
        guard let transport, isOpen else { return }
        var written = 0
        transport.write { output in
            let before = output.count
            write(&output)
            written = output.count - before
        }
        messageBytesLeft -= written
        precondition(messageBytesLeft >= 0, "more was written than the message's length")
    }

    /// The stream to write a message to, its response begun; nil if the call is over, or the connection takes no more.
    func transportForMessage() -> HTTP2Stream? {
        guard !finished, let transport else { return nil }
        precondition(messageBytesLeft == 0, "a message was sent inside another one")
        if transport.isConnectionFull {
            dispatcher._withUnsafeGuaranteedRef { $0.outputRefused() }
            finish(GRPCStatus(.resourceExhausted, "grpc: too much output waits on the connection"))
            return nil
        }
        if !transport.hasResponse { transport.begin(Self.responseHead) }
        dispatcher._withUnsafeGuaranteedRef { $0.counters.add(.messagesSent) }
        return transport
    }

    /// Sends the response's header fields now, with `metadata` in them. Otherwise they go with the first message.
    public func sendHeaders(_ metadata: [HTTPField] = []) {
        guard !finished, let transport, !transport.hasResponse else { return }
        if metadata.isEmpty {
            transport.begin(Self.responseHead)
        } else {
            transport.begin([HTTPField(":status", "200"), HTTPField("content-type", "application/grpc")] + metadata)
        }
    }

    /// Ends the call with OK.
    public func finish() {
        guard beginFinish(.ok), let transport else { return }
        if messageBytesLeft > 0 {
            transport.reset(HTTP2ErrorCode.internalError)
        } else if transport.hasResponse {
            transport.end(trailers: Self.okTrailers)
        } else {
            finishWithoutMessage(.ok, [])
        }
    }

    /// Ends the call with a status, after what was sent.
    public func finish(_ status: GRPCStatus, trailers: [HTTPField] = []) {
        if status.code == .ok, trailers.isEmpty { return finish() }
        guard beginFinish(status.code), let transport else { return }
        if messageBytesLeft > 0 {
            // Trailers after half a message would be a broken message, not an error that the client can read.
            transport.reset(HTTP2ErrorCode.internalError)
        } else if transport.hasResponse {
            transport.end(trailers: statusFields(status) + trailers)
        } else {
            finishWithoutMessage(status, trailers)
        }
    }

    /// "Trailers-Only": one header block is the whole answer.
    private func finishWithoutMessage(_ status: GRPCStatus, _ trailers: [HTTPField], httpStatus: Int = 200) {
        let head = [HTTPField(":status", "\(httpStatus)"), HTTPField("content-type", "application/grpc")]
        transport?.begin(head + statusFields(status) + trailers)
        transport?.end()
    }

    /// Answers a request that is not a proper call, with an HTTP status beside gRPC's.
    func refuse(_ status: GRPCStatus, httpStatus: Int) {
        guard beginFinish(status.code) else { return }
        finishWithoutMessage(status, [], httpStatus: httpStatus)
    }

    /// Breaks the call off: the client sees it cancelled, and what was not sent yet is dropped.
    public func cancel() {
        guard beginFinish(reason == .deadlineExceeded ? .deadlineExceeded : .cancelled) else { return }
        transport?.reset(HTTP2ErrorCode.cancel)
    }

    /// The call's time is up. If the answer waits because the client does not read, a status would wait behind it.
    func deadlinePassed() {
        reason = .deadlineExceeded
        if queuedBytes > 0 {
            cancel()
        } else {
            finish(GRPCStatus(.deadlineExceeded, "context deadline exceeded"))
        }
    }

    private func beginFinish(_ code: GRPCCode) -> Bool {
        guard isOpen else { return false }
        finished = true
        tellEnd(code)
        if wheelPosition != nil { dispatcher._withUnsafeGuaranteedRef { $0.forgetDeadline(of: self) } }
        return true
    }

    private func statusFields(_ status: GRPCStatus) -> [HTTPField] {
        let code = HTTPField("grpc-status", "\(status.code.rawValue)")
        return status.message.isEmpty ? [code] : [code, HTTPField("grpc-message", status.encodedMessage)]
    }

    // MARK: Life

    func open(_ transport: HTTP2Stream) {
        self.transport = transport
        methodNumber = -1
        finished = false
        reason = nil
        timeIsUp = nil
        messageBytesLeft = 0
    }

    func close() {
        transport = nil
        handler = nil
        attachment = nil
        finished = true
        input.removeAll()
    }
}
