import Balancing
import Bytes
import EtcdAPI
import Forwarding
import GRPC
import HTTP2

/// A call with one message each way. The request is taken up whole, so that it can be read and sent again; the reply is held back in
/// the client's stream, which has not begun, until all of it is there or it has become too long for that.
final class UnaryCall: ForwardedCall {
    private enum Request {
        case collecting
        case complete
        /// Too long to be held whole: passed on as it comes, from the moment on in which a member takes what is held.
        case streaming
    }

    private var request = Request.collecting
    /// The request, all of it from its beginning until `rule.canReplay` ends; nothing from then on.
    private var body = ByteWriter(capacity: 256)
    /// How much of `body` the attempt has been given: no more than its stream queues.
    private var given = 0
    private var heldReply = 0
    /// Request bytes that the member has not taken: the client's window is held back by them.
    private var requestUncredited = 0
    /// Where the forwarder keeps the call while its request is not complete; nil once it is.
    var unfinishedIndex: Int?
    /// Nanoseconds of the loop's clock: since when the client has been sending without an end.
    var sendingSince: UInt64 = 0

    /// Memory an idle call keeps for the next request.
    private static let bodyKept = 1_024
    /// Bytes given to the member's stream at once.
    private static let piece = 64 << 10

    override func begin(_ client: HTTP2Stream, _ kind: CallKind, _ procedure: Procedure?) {
        super.begin(client, kind, procedure)
        request = .collecting
        heldReply = 0
        requestUncredited = 0
        given = 0
        body.removeAll(keepingAtMost: Self.bodyKept)
        if client.requestEnded { requestEnded() } else { forwarder.unfinished.add(self) }
    }

    // MARK: Request

    override func requestBody(_ bytes: UnsafeRawBufferPointer) {
        // Of a request that has been answered nothing counts any more.
        guard let client, client.acceptsOutput else { return }
        switch request {
        case .complete: break
        case .collecting:
            guard keep(bytes, client) else { return }
            client.credit(bytes.count)
            if body.count > forwarder.settings.heldRequestBytes { streamRequest() }
        case .streaming:
            requestUncredited += bytes.count
            if rule.canReplay {
                if keep(bytes, client) { passRequestOn() }
            } else if let upstream {
                upstream.write(bytes)
                if upstream.isWritable { creditClient() }
            }
        }
    }

    /// False when the connection keeps too much already: the call has been answered.
    private func keep(_ bytes: UnsafeRawBufferPointer, _ client: HTTP2Stream) -> Bool {
        body.append(bytes)
        if client.keepInput(bytes.count) { return true }
        answer(GRPCStatus(.resourceExhausted, "quorate proxy: too many request bytes wait on the connection"))
        return false
    }

    /// The request is too long to be kept for a second attempt once a member takes it.
    private func streamRequest() {
        request = .streaming
        if isAllowed() { firstAttempt() }
    }

    override func requestEnded() {
        forwarder.unfinished.remove(self)
        guard let client, client.acceptsOutput else { return }
        if case .streaming = request {
            guard rule.canReplay else {
                upstream?.end()
                return
            }
            // No member has taken it before its end: it is here, all of it.
            request = .complete
            return passRequestOn()
        }
        request = .complete
        if kind.dependsOnRequest, let procedure { inspect(procedure) }
        if isAllowed() { firstAttempt() }
    }

    /// The client has taken as long as it may to send its request. False if it is the member that does not take it.
    func sendingTookTooLong() -> Bool {
        if case .streaming = request, upstream == nil || requestUncredited > 0 { return false }
        answer(GRPCStatus(.deadlineExceeded, "quorate proxy: the request did not arrive in time"))
        return true
    }

    private func inspect(_ procedure: Procedure) {
        kind = body.withBytes { bytes in
            // A compressed message, or one that is not whole, is taken for the worst it could be.
            guard bytes.count >= MessageSplitter.prefixSize, bytes[0] == 0 else { return kind }
            return kind.inspecting(
                UnsafeRawBufferPointer(rebasing: bytes[MessageSplitter.prefixSize...]), procedure: procedure)
        }
    }

    private func isAllowed() -> Bool {
        guard kind.isWrite, forwarder.balancer.isReadOnly else { return true }
        answer(GRPCStatus(.permissionDenied, "quorate proxy: this proxy is read-only"))
        return false
    }

    override func sendRequest(_ upstream: HTTP2ClientStream) {
        given = 0
        passRequestOn()
    }

    override func outputDrained(_ stream: HTTP2ClientStream) { passRequestOn() }

    /// Gives the member what it takes. A connection that does not stand takes no more than a stream queues, and the rest stays here, with
    /// the client held back by its window: should connecting fail, all of it goes to somebody else.
    private func passRequestOn() {
        guard let upstream else { return }
        while given < body.count, upstream.isWritable {
            body.withBytes { bytes in
                let end = min(given + Self.piece, bytes.count)
                upstream.write(UnsafeRawBufferPointer(rebasing: bytes[given..<end]))
                given = end
            }
        }
        guard given == body.count else { return }
        if case .complete = request { return upstream.end() }
        if rule.canReplay, upstream.hasBeenSent { forgetRequest() }
        if !rule.canReplay, upstream.isWritable { creditClient() }
    }

    /// What follows passes through and is not kept: this attempt is the only one.
    private func forgetRequest() {
        rule.canReplay = false
        _ = client?.keepInput(-body.count)
        body.removeAll(keepingAtMost: Self.bodyKept)
        given = 0
    }

    private func creditClient() {
        client?.credit(requestUncredited)
        requestUncredited = 0
    }

    // MARK: Reply

    override func prepareAgain() {
        heldReply = 0
        client?.takeBackOutput()
    }

    override func responseBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2ClientStream) {
        guard let client, stream === upstream else { return }
        note?.responseBytes(bytes.count)
        guard !client.isConnectionFull else {
            if rule.passedOn { return breakOff() }
            return answer(GRPCStatus(.resourceExhausted, "quorate proxy: too much output waits on the connection"))
        }
        client.write { $0.append(bytes) }
        if rule.passedOn {
            credit(bytes.count, stream)
            return
        }
        stream.credit(bytes.count)
        heldReply += bytes.count
        if heldReply > forwarder.settings.replayBytes {
            rule.passedOn = true
            passOnHead(stream)
        }
    }

    override func responseEnded(_ stream: HTTP2ClientStream) {
        guard stream === upstream else { return }
        let isUnavailable = saysUnavailable(stream)
        if isUnavailable, kind.repeats == .always, !rule.passedOn {
            refusal = GRPCStatus(trailers: stream.trailers, head: stream.responseHead)
            if let endpoint { tried.append(endpoint) }
            stream.detach()
            endAttempt(.unavailable)
            return decide(.answeredUnavailable)
        }
        if !rule.passedOn { passOnHead(stream) }
        passOnEnd(stream)
        stream.detach()
        endAttempt(isUnavailable ? .unavailable : .succeeded)
    }

    override func clientClosed(_ end: StreamEnd) {
        super.clientClosed(end)
        forwarder.unfinished.remove(self)
        body.removeAll(keepingAtMost: Self.bodyKept)
    }
}
