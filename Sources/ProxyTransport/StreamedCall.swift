import Balancing
import Bytes
import EtcdAPI
import Forwarding
import GRPC
import HTTP2

/// A call whose messages pass as they come: a snapshot, an observed election, or a procedure that is not known here.
class StreamedCall: ForwardedCall {
    /// The request so far, until something of the reply shows that a member works on it.
    private final var sentRequest = ByteWriter(capacity: 64)
    private final var requestIsComplete = false
    private final var boundary = MessageBoundary()
    /// Request bytes that the member has not taken: the client's window is held back by them.
    private final var requestUncredited = 0

    /// A request longer than this is not sent a second time once a member has begun to take it.
    private static let replayedRequestBytes = 64 << 10

    override func begin(_ client: HTTP2Stream, _ kind: CallKind, _ procedure: Procedure?) {
        super.begin(client, kind, procedure)
        if forwarder.isDraining { return answer(GRPCStatus(.unavailable, "quorate proxy: shutting down")) }
        if kind.isWrite, forwarder.balancer.isReadOnly {
            return answer(GRPCStatus(.permissionDenied, "quorate proxy: this proxy is read-only"))
        }
        forwarder.opened(self)
        requestIsComplete = client.requestEnded
        firstAttempt()
    }

    /// Now and then while the call is open.
    func intervalPassed() {}

    // MARK: Request

    final override func requestBody(_ bytes: UnsafeRawBufferPointer) {
        guard !isAnswered else { return }
        requestUncredited += bytes.count
        passRequest(bytes)
        creditClient()
    }

    func passRequest(_ bytes: UnsafeRawBufferPointer) {
        if rule.canReplay, !rule.passedOn { sentRequest.append(bytes) }
        upstream?.write(bytes)
    }

    /// Lets the client send more, unless what it sent waits: for room at the member, or, too long to be kept for a second attempt, for a
    /// first member that takes it.
    private final func creditClient() {
        if sentRequest.count > Self.replayedRequestBytes {
            guard upstream?.hasBeenSent ?? false else { return }
            rule.canReplay = false
            sentRequest.removeAll(keepingAtMost: 64)
        }
        guard upstream?.isWritable ?? true else { return }
        client?.credit(requestUncredited)
        requestUncredited = 0
    }

    final override func requestEnded() {
        requestIsComplete = true
        upstream?.end()
    }

    final override func sendRequest(_ upstream: HTTP2ClientStream) {
        sendMessages(upstream)
        if requestIsComplete { upstream.end() }
    }

    func sendMessages(_ upstream: HTTP2ClientStream) { sentRequest.withBytes { upstream.write($0) } }

    final override func outputDrained(_ stream: HTTP2ClientStream) { creditClient() }

    // MARK: Reply

    /// A status of the proxy's own has been written.
    final var isAnswered: Bool { !(client?.acceptsOutput ?? false) }

    final override func responseBegan(_ stream: HTTP2ClientStream) {
        super.responseBegan(stream)
        // A head with a status is the whole answer: it waits for the end, which comes at once.
        guard stream === upstream, stream.responseHead.first("grpc-status") == nil else { return }
        headArrived(stream)
    }

    func headArrived(_ stream: HTTP2ClientStream) {
        if kind.repeats == .ifNeverProcessed { passOn(stream) }
    }

    final func passOn(_ stream: HTTP2ClientStream) {
        guard !rule.passedOn else { return }
        rule.passedOn = true
        sentRequest.removeAll(keepingAtMost: 64)
        passOnHead(stream)
    }

    override func responseBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2ClientStream) {
        guard stream === upstream else { return }
        passOn(stream)
        boundary.pass(bytes)
        passToClient(bytes, stream)
    }

    final func passToClient(_ bytes: UnsafeRawBufferPointer, _ stream: HTTP2ClientStream) {
        guard let client else { return }
        note?.responseBytes(bytes.count)
        guard !client.isConnectionFull else { return breakOff() }
        client.write { $0.append(bytes) }
        credit(bytes.count, stream)
    }

    final override func responseEnded(_ stream: HTTP2ClientStream) {
        guard stream === upstream else { return }
        if saysUnavailable(stream), kind.repeats == .always, !rule.passedOn {
            refusal = GRPCStatus(trailers: stream.trailers, head: stream.responseHead)
            if let endpoint { tried.append(endpoint) }
            stream.detach()
            endAttempt(.unavailable)
            return attemptFailed(.answeredUnavailable)
        }
        if let client, client.hasResponse, let fields = statusInHead(stream) {
            note?.answered(stream.responseHead.statusCode)
            client.end(trailers: fields)
        } else {
            if !(client?.hasResponse ?? true) { passOnHead(stream) }
            passOnEnd(stream)
        }
        stream.detach()
        endAttempt(saysUnavailable(stream) ? .unavailable : .succeeded)
    }

    /// The whole answer of a member that said nothing but its status. Where an earlier member's header fields have been passed on, these
    /// have to follow as trailers: without a status the client could not tell how its call ended.
    private func statusInHead(_ stream: HTTP2ClientStream) -> [HTTPField]? {
        guard stream.trailers.count == 0, stream.responseHead.first("grpc-status") != nil else { return nil }
        var fields: [HTTPField] = []
        stream.responseHead.forEach { name, value in
            guard name.first != UInt8(ascii: ":"), !name.matches("content-type") else { return }
            fields.append(HTTPField(String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
        }
        return fields
    }

    override func attemptFailed(_ failure: AttemptFailure) {
        guard rule.passedOn else { return decide(failure) }
        end("quorate proxy: the member was lost")
    }

    /// Between two messages a status can follow, on which clients resume; within one it cannot.
    final func end(_ reason: String) {
        if takesStatus { answer(GRPCStatus(.unavailable, reason)) } else { breakOff() }
    }

    final override var takesStatus: Bool { boundary.isBetweenMessages }

    override func endpointLeft(_ reason: LeaveReason) {
        guard !kind.isMemberSpecific || reason == .hung || reason == .unreachable else { return }
        leaveEndpoint()
    }

    override func clientClosed(_ end: StreamEnd) {
        forwarder.closed(self)
        super.clientClosed(end)
    }
}
