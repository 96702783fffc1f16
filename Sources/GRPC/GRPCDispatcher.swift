import Bytes
import HTTP2
import NIOCore

public struct GRPCConfiguration: Sendable {
    /// A request message longer than this ends its call with RESOURCE_EXHAUSTED.
    public var maximumMessageBytes = (1_536 << 10) + (512 << 10)
    public init() {}
}

/// Turns HTTP/2 requests into gRPC calls and hands them to a router; what is not gRPC goes to the HTTP router. One per event loop.
public final class GRPCDispatcher: HTTP2RequestSink {
    public let counters: CounterSet<GRPCCounter>
    private let router: any GRPCRouter
    private let methods: GRPCMethodTable
    private let plainHTTP: HTTPOverHTTP2?
    let loop: ServerLoop
    let observer: (any GRPCCallObserver)?
    let measuresTime: Bool
    let configuration: GRPCConfiguration
    private var deadlines = DeadlineWheel()
    private var deadlineTimer: DelayedCall?
    private var deadlineTimerTime: UInt64 = .max

    /// - Parameter http: Answers requests without gRPC's content type. Without it they are refused as grpc-go does.
    public init(
        router: any GRPCRouter, http: (any HTTPRouter)?, loop: ServerLoop, configuration: GRPCConfiguration = GRPCConfiguration(),
        counters: CounterSet<GRPCCounter> = CounterSet(), observer: (any GRPCCallObserver)? = nil
    ) {
        self.observer = observer
        measuresTime = observer?.measuresTime ?? false
        self.router = router
        self.loop = loop
        self.configuration = configuration
        self.counters = counters
        methods = router.methods
        plainHTTP = http.map { HTTPOverHTTP2(router: $0, loop: loop) }
    }

    // MARK: Beginning of a call

    public func requestBegan(_ stream: HTTP2Stream) {
        let contentType = stream.header("content-type")
        guard let contentType, isGRPC(contentType) else {
            if let plainHTTP { plainHTTP.requestBegan(stream) } else { refuseContentType(stream, contentType) }
            return
        }
        let call = openCall(stream)
        guard let timeout = checkedTimeout(call, stream) else { return }
        guard let handler = findHandler(call, stream) else { return }
        call.handler = handler
        if let timeout, !call.finished { watchDeadline(call, timeout) }
        if stream.requestEnded, !call.finished { handler.halfClosed(call) }
    }

    private func openCall(_ stream: HTTP2Stream) -> GRPCStream {
        let call: GRPCStream
        if let used = stream.application as? GRPCStream, used.dispatcher.toOpaque() == Unmanaged.passUnretained(self).toOpaque() {
            call = used
        } else {
            call = GRPCStream(self)
            stream.application = call
            counters.add(.streamObjectsMade)
        }
        call.open(stream)
        counters.add(.callsStarted)
        counters.add(.callsOpen)
        return call
    }

    /// "application/grpc", alone or followed by "+" or ";".
    private func isGRPC(_ contentType: UnsafeRawBufferPointer) -> Bool {
        let expected: StaticString = "application/grpc"
        let count = expected.utf8CodeUnitCount
        guard contentType.count >= count, UnsafeRawBufferPointer(rebasing: contentType[..<count]).matches(expected) else {
            return false
        }
        return contentType.count == count || contentType[count] == UInt8(ascii: "+") || contentType[count] == UInt8(ascii: ";")
    }

    private func refuseContentType(_ stream: HTTP2Stream, _ contentType: UnsafeRawBufferPointer?) {
        counters.add(.refusedRequests)
        let given = quoted(contentType ?? UnsafeRawBufferPointer(start: nil, count: 0))
        let status = GRPCStatus(.invalidArgument, "invalid gRPC request content-type \(given)")
        openCall(stream).refuse(status, httpStatus: 415)
    }

    /// The outer nil says that the request was refused, the inner one that it has no timeout.
    private func checkedTimeout(_ call: GRPCStream, _ stream: HTTP2Stream) -> UInt64?? {
        var timeout: UInt64?
        if let value = stream.header("grpc-timeout") {
            do throws(GRPCTimeout.Malformed) {
                timeout = try GRPCTimeout.nanoseconds(value)
            } catch {
                counters.add(.refusedRequests)
                let status = GRPCStatus(.internal, "malformed grpc-timeout: \(error.message(for: value))")
                call.refuse(status, httpStatus: 400)
                return nil
            }
        }
        if let method = stream.header(":method"), !method.matches("POST") {
            counters.add(.refusedRequests)
            let text = "Received a HEADERS frame with :method \(quoted(method)) which should be POST"
            call.refuse(GRPCStatus(.internal, text), httpStatus: 405)
            return nil
        }
        if timeout == 0 {
            call.deadlinePassed()
            counters.add(.deadlinesExceeded)
            return nil
        }
        return .some(timeout)
    }

    private func findHandler(_ call: GRPCStream, _ stream: HTTP2Stream) -> (any GRPCStreamHandler)? {
        guard let path = stream.header(":path") else { return nil }
        let match = methods.match(path)
        guard case .method(let number) = match else {
            refuseMethod(call, path, match)
            return nil
        }
        if let encoding = stream.header("grpc-encoding"), encoding.count > 0, !encoding.matches("identity") {
            counters.add(.unimplemented)
            let text = "grpc: Decompressor is not installed for grpc-encoding \(quoted(encoding))"
            call.finish(GRPCStatus(.unimplemented, text))
            return nil
        }
        call.methodNumber = number
        if measuresTime { call.startedAt = loop.now }
        if let handler = router.handler(for: number, stream: call) { return handler }
        if !call.finished { refuseMethod(call, path, .unknownMethod) }
        return nil
    }

    private func refuseMethod(_ call: GRPCStream, _ path: UnsafeRawBufferPointer, _ match: GRPCMethodTable.Match) {
        counters.add(.unimplemented)
        guard let (service, method) = GRPCMethodTable.split(path) else {
            call.finish(GRPCStatus(.unimplemented, "malformed method name: \(quoted(path))"))
            return
        }
        let serviceName = String(decoding: service, as: UTF8.self)
        if match == .unknownService {
            call.finish(GRPCStatus(.unimplemented, "unknown service \(serviceName)"))
        } else {
            let methodName = String(decoding: method, as: UTF8.self)
            call.finish(GRPCStatus(.unimplemented, "unknown method \(methodName) for service \(serviceName)"))
        }
    }

    // MARK: Messages

    public func requestBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2Stream) {
        guard let call = stream.application as? GRPCStream else { return }
        guard let handler = call.handler, !call.finished else { return stream.credit(bytes.count) }
        if call.input.count == 0, stream.mayTakeInput {
            // The usual case: whole messages, handed on where they lie.
            let taken = deliver(bytes, to: handler, of: call, stream)
            stream.credit(taken)
            if !call.finished, taken < bytes.count {
                keep(UnsafeRawBufferPointer(rebasing: bytes[taken...]), call, stream)
            }
        } else {
            keep(bytes, call, stream)
            deliverKept(to: handler, of: call, stream)
        }
    }

    /// Hands on the whole messages at the front; returns how many bytes they took. Stops early when the call finishes or must wait.
    private func deliver(
        _ bytes: UnsafeRawBufferPointer, to handler: any GRPCStreamHandler, of call: GRPCStream, _ stream: HTTP2Stream
    ) -> Int {
        var at = 0
        while !call.finished, stream.mayTakeInput {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
            guard let prefix = MessagePrefix(rest) else { break }
            if let refusal = check(prefix) {
                call.finish(refusal)
                break
            }
            let end = MessagePrefix.size + prefix.length
            guard rest.count >= end else { break }
            at += end
            counters.add(.messagesReceived)
            observer?.received(call.methodNumber, bytes: prefix.length)
            handler.received(UnsafeRawBufferPointer(rebasing: rest[MessagePrefix.size..<end]), on: call)
        }
        return at
    }

    /// Why a message with this prefix is not taken; nil if it is.
    private func check(_ prefix: MessagePrefix) -> GRPCStatus? {
        switch prefix.flag {
        case 0: break
        case 1:
            counters.add(.malformedMessages)
            return GRPCStatus(.internal, "grpc: compressed flag set with identity or empty encoding")
        default:
            counters.add(.malformedMessages)
            return GRPCStatus(.internal, "grpc: received unexpected payload format \(prefix.flag)")
        }
        guard prefix.length > configuration.maximumMessageBytes else { return nil }
        counters.add(.messagesTooLarge)
        let text = "grpc: received message larger than max (\(prefix.length) vs. \(configuration.maximumMessageBytes))"
        return GRPCStatus(.resourceExhausted, text)
    }

    /// Keeps bytes for later. Those of a message that is not complete go back to the client's window at once, for else a message larger
    /// than the window would never become complete; those of messages that wait do not, so that the client has to wait too.
    private func keep(_ bytes: UnsafeRawBufferPointer, _ call: GRPCStream, _ stream: HTTP2Stream) {
        call.input.append(bytes)
        if stream.mayTakeInput {
            stream.credit(bytes.count)
        } else {
            call.input.uncredited += bytes.count
            stream.holdInput()
        }
        if !stream.keepInput(bytes.count) {
            call.finish(GRPCStatus(.resourceExhausted, "grpc: too many request bytes wait on the connection"))
        }
    }

    private func deliverKept(to handler: any GRPCStreamHandler, of call: GRPCStream, _ stream: HTTP2Stream) {
        guard !call.finished, stream.mayTakeInput else { return }
        // The buffer does not change while messages in it are lent: input only arrives between two calls of this.
        let taken = deliver(call.input.contents, to: handler, of: call, stream)
        if taken > 0 {
            call.input.removeFirst(taken)
            _ = stream.keepInput(-taken)
        }
        if !call.finished, !stream.mayTakeInput, call.input.count > 0 { stream.holdInput() }
    }

    public func inputReleased(_ stream: HTTP2Stream) {
        guard let call = stream.application as? GRPCStream, let handler = call.handler else { return }
        stream.credit(call.input.uncredited)
        call.input.uncredited = 0
        deliverKept(to: handler, of: call, stream)
        if call.input.halfCloseWaits, stream.mayTakeInput { halfClose(call, handler) }
    }

    public func requestEnded(_ stream: HTTP2Stream) {
        guard let call = stream.application as? GRPCStream, let handler = call.handler, !call.finished else { return }
        if call.input.count > 0, !stream.mayTakeInput {
            call.input.halfCloseWaits = true
        } else {
            halfClose(call, handler)
        }
    }

    private func halfClose(_ call: GRPCStream, _ handler: any GRPCStreamHandler) {
        guard !call.finished else { return }
        call.input.halfCloseWaits = false
        if call.input.count > 0 {
            counters.add(.malformedMessages)
            call.finish(GRPCStatus(.internal, "unexpected EOF"))
        } else {
            handler.halfClosed(call)
        }
    }

    // MARK: Output and end

    public func outputDrained(_ stream: HTTP2Stream) {
        guard let call = stream.application as? GRPCStream, !call.finished else { return }
        call.handler?.drained(call)
    }

    func outputRefused() { loop.counters.add(.connectionOutputLimits) }

    public func streamClosed(_ stream: HTTP2Stream, _ end: StreamEnd) {
        close(stream.application as? GRPCStream, stream, end)
        // Somebody holds the call: leave it to them, and make a new one for the next request on this stream object.
        stream.releaseApplicationIfShared()
    }

    private func close(_ call: GRPCStream?, _ stream: HTTP2Stream, _ end: StreamEnd) {
        guard let call else { return }
        counters.add(.callsOpen, -1)
        forgetDeadline(of: call)
        if call.reason == nil {
            switch end {
            case .finished: call.reason = .finished
            case .reset(let code):
                counters.add(.cancelled)
                call.reason = .cancelled(code: code)
            case .connectionLost: call.reason = .connectionLost
            }
        }
        if !call.finished { call.tellEnd(.cancelled) }
        let handler = call.handler
        call.handler = nil
        handler?.closed(call)
        call.close()
    }

    public func readCompleted() { router.readCompleted() }

    // MARK: Deadlines

    private func watchDeadline(_ call: GRPCStream, _ timeout: UInt64) {
        let now = loop.now
        let (deadline, overflow) = now.addingReportingOverflow(timeout)
        // What does not fit a signed 64-bit clock is no deadline.
        guard !overflow, deadline < UInt64(Int64.max) else { return }
        call.timeIsUp = deadline
        let due = deadlines.insert(call, deadline: deadline, now: now)
        if due < deadlineTimerTime { armDeadlineTimer(at: due, now: now) }
    }

    func forgetDeadline(of call: GRPCStream) { deadlines.remove(call) }

    private func armDeadlineTimer(at time: UInt64, now: UInt64) {
        deadlineTimer?.cancel()
        deadlineTimerTime = time
        let delay = Duration.nanoseconds(Int64(clamping: time > now ? time - now : 0))
        // Not weak: a weak reference would make every later retain of the dispatcher a slow one.
        deadlineTimer = DelayedCall(loop.eventLoop, delay) { self.deadlinesDue() }
    }

    private func deadlinesDue() {
        deadlineTimerTime = .max
        for call in deadlines.removeExpired(now: loop.now) {
            counters.add(.deadlinesExceeded)
            call.deadlinePassed()
        }
        if let next = deadlines.nextWake { armDeadlineTimer(at: next, now: loop.now) }
    }
}
