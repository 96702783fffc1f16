import Balancing
import Bytes
import EtcdAPI
import Forwarding
import GRPC
import HTTP2
import Host
import NIOCore

/// One gRPC call on its way through the proxy: the client's stream, and the attempt at a member. What differs between unary calls and
/// streams is in the subclasses. Confined to the event loop of both connections.
class ForwardedCall: HTTP2ResponseReceiver, EndpointUser {
    /// Held, for that is what costs least on each of its many uses. The circle by way of the streams that wait to be used again ends when
    /// their loop is drained.
    final let forwarder: CallForwarder
    /// nil once the client's stream is closed.
    final var client: HTTP2Stream?
    final var kind = CallKind.unknown
    final var procedure: Procedure?
    final var rule = RetryRule()
    /// Endpoints tried in this round.
    final var tried: [EndpointID] = []

    // The attempt.
    final var upstream: HTTP2ClientStream?
    final var endpoint: EndpointID?
    private final var entry: Upstreams.Entry?
    private final var connection: HTTP2ClientConnection?
    private final var attemptBegan: UInt64 = 0
    private final var firstByteAt: UInt64 = 0
    private final var isRetry = false
    private final var pause: DelayedCall?
    /// What the last member that could not answer said.
    final var refusal: GRPCStatus?
    /// Response bytes that the client has not taken: the member's window is held back by them.
    final var uncredited = 0
    /// nil unless requests are recorded.
    final var note: RequestNote?

    init(_ forwarder: CallForwarder) { self.forwarder = forwarder }

    // MARK: From the client, for subclasses to do

    func begin(_ client: HTTP2Stream, _ kind: CallKind, _ procedure: Procedure?) {
        self.client = client
        self.kind = kind
        self.procedure = procedure
        rule.reset()
        isRetry = false
        uncredited = 0
        refusal = nil
        note = forwarder.note(of: client)
    }

    func requestBody(_ bytes: UnsafeRawBufferPointer) { preconditionFailure("left to subclasses") }
    func requestEnded() { preconditionFailure("left to subclasses") }
    /// A new attempt has been opened: send what there is of the request.
    func sendRequest(_ upstream: HTTP2ClientStream) { preconditionFailure("left to subclasses") }
    /// The attempt is over, and another one is to be made.
    func prepareAgain() {}

    // MARK: Attempts

    final func attempt() { attempt(now: forwarder.loop.now) }

    private final func attempt(now: UInt64) {
        pause = nil
        guard let client else { return }
        guard let id = pick(now) else {
            // Nothing left in this round, or nothing at all.
            if tried.isEmpty {
                forwarder.balancer.countWithoutEndpoint()
                return answer(GRPCStatus(.unavailable, Self.noConnection))
            }
            return decide(.neverProcessed, endpointsLeft: false)
        }
        guard let entry = forwarder.upstreams.entry(of: id), let connection = forwarder.upstreams.connection(id, entry),
            let stream = connection.open(self, { fill($0, client, entry) })
        else {
            tried.append(id)
            return decide(.neverProcessed)
        }
        self.entry = entry
        self.connection = connection
        endpoint = id
        upstream = stream
        note?.sent(to: entry.address)
        attemptBegan = now
        firstByteAt = 0
        forwarder.balancer.began(id)
        if kind.shape == .unary { entry.waitingCalls += 1 }
        sendRequest(stream)
    }

    private final func pick(_ now: UInt64) -> EndpointID? {
        if tried.isEmpty, !isRetry { return forwarder.balancer.pickInBurst(kind.balancing, at: Instant(nanoseconds: now)) }
        return forwarder.balancer.pick(kind.balancing, excluding: tried)
    }

    /// clientv3 takes exactly this text for proof that nothing was sent, and tries again even what changes something.
    static let noConnection = "there is no connection available"

    private final func fill(_ head: HeaderBlock, _ client: HTTP2Stream, _ entry: Upstreams.Entry) {
        head.append(":method", "POST")
        head.append(":scheme", entry.scheme)
        if let path = client.header(":path") { head.append(":path", path) }
        head.append(":authority", entry.authority)
        let replacesTimeout = isRetry && deadline != nil
        client.head.forEach { name, value in
            if name.first == UInt8(ascii: ":") || name.matches("host") { return }
            if replacesTimeout, name.matches("grpc-timeout") { return }
            head.append(name, value)
        }
        if replacesTimeout, let deadline {
            let left = deadline.nanoseconds - min(deadline.nanoseconds, forwarder.loop.now)
            head.append("grpc-timeout", GRPCTimeout.text(.nanoseconds(Int64(clamping: left))))
        }
    }

    /// The client's deadline. Only known from the first failure on: before that nobody needs it.
    private final var deadline: Instant?

    private final func noteDeadline() {
        guard deadline == nil, let text = client?.header("grpc-timeout"), let timeout = try? GRPCTimeout.nanoseconds(text) else {
            return
        }
        let (at, overflow) = callBegan.addingReportingOverflow(timeout)
        if !overflow { deadline = Instant(nanoseconds: at) }
    }

    private final var callBegan: UInt64 = 0

    /// To be called when the request is complete enough for a first attempt.
    final func firstAttempt() {
        // When its last bytes were read: the clock need not be looked at for each of the requests that came with them.
        callBegan = client?.receivedAt ?? forwarder.loop.now
        deadline = nil
        tried.removeAll(keepingCapacity: true)
        attempt(now: callBegan)
    }

    /// The attempt's accounts are closed; the stream may still be open.
    final func endAttempt(_ outcome: Outcome) {
        guard let id = endpoint else { return }
        if kind.shape == .unary { entry?.waitingCalls -= 1 }
        let latency: Duration? =
            firstByteAt > attemptBegan ? .nanoseconds(Int64(clamping: firstByteAt - attemptBegan)) : nil
        forwarder.balancer.finished(id, outcome, latency: latency)
        endpoint = nil
        entry = nil
        connection = nil
        upstream = nil
        uncredited = 0
    }

    /// Breaks the attempt off.
    final func abandonAttempt(_ outcome: Outcome) {
        let stream = upstream
        endAttempt(outcome)
        stream?.abandon()
    }

    /// What to do after the attempt failed.
    final func decide(_ failure: AttemptFailure, endpointsLeft: Bool = true) {
        guard client != nil else { return }
        noteDeadline()
        let decision = rule.attemptFailed(
            failure, repeats: kind.repeats, endpointsLeft: endpointsLeft, budget: forwarder.balancer.mayRetry,
            now: Instant(nanoseconds: forwarder.loop.now), deadline: deadline)
        carryOut(decision, failure)
    }

    private final func carryOut(_ decision: RetryDecision, _ failure: AttemptFailure) {
        switch decision {
        case .again(let after, let anywhere):
            isRetry = true
            prepareAgain()
            if anywhere { tried.removeAll(keepingCapacity: true) }
            guard after.nanoseconds > 0 else { return attempt() }
            pause = DelayedCall(forwarder.loop.eventLoop, .nanoseconds(after.nanoseconds)) { [weak self] in self?.attempt() }
        case .passOn: answer(refusal ?? GRPCStatus(.unavailable, "quorate proxy: no member could answer"))
        case .unavailable: answer(GRPCStatus(.unavailable, Self.noConnection))
        case .inDoubt:
            let text =
                kind.isWrite
                ? "quorate proxy: the member was lost while it worked on the request, which may or may not have taken effect"
                : "quorate proxy: the member was lost"
            answer(GRPCStatus(.unavailable, text))
        case .breakOff: breakOff()
        }
    }

    // MARK: From the member

    func responseBegan(_ stream: HTTP2ClientStream) { firstByteAt = stream.receivedAt }
    func responseBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2ClientStream) {}
    func responseEnded(_ stream: HTTP2ClientStream) {}
    func outputDrained(_ stream: HTTP2ClientStream) {}

    final func streamClosed(_ stream: HTTP2ClientStream, _ end: ClientStreamEnd) {
        guard stream === upstream else { return }
        if end == .reset(code: HTTP2ErrorCode.cancel), isPastDeadline { return deadlineEnded() }
        let (outcome, failure) = judge(end)
        if let endpoint { tried.append(endpoint) }
        endAttempt(outcome)
        attemptFailed(failure)
    }

    func attemptFailed(_ failure: AttemptFailure) { decide(failure) }

    /// A status can still be told: nothing of the reply has been passed on, or nothing but whole messages.
    var takesStatus: Bool { !rule.passedOn }

    private final var isPastDeadline: Bool {
        noteDeadline()
        return deadline.map { $0.nanoseconds <= forwarder.loop.now } ?? false
    }

    /// Of its status and its reset at the deadline grpc-go's server may send the reset alone, which its own clients take for what it is:
    /// the member has not failed.
    private final func deadlineEnded() {
        endAttempt(.abandoned)
        if takesStatus { answer(GRPCStatus(.deadlineExceeded, "context deadline exceeded")) } else { breakOff() }
    }

    private final func judge(_ end: ClientStreamEnd) -> (Outcome, AttemptFailure) {
        switch (end, connection?.end?.kind) {
        case (.neverProcessed, .connectFailed): (.connectFailed, .neverProcessed)
        case (.neverProcessed, .connectTimedOut): (.connectTimedOut, .neverProcessed)
        // A GOAWAY without an error is no failure: the member goes in good order.
        case (.neverProcessed, _): (.abandoned, .neverProcessed)
        case (.connectionLost, .pingTimedOut): (.timedOut, .lost)
        case (.connectionLost, .notNeeded): (.abandoned, .lost)
        case (.connectionLost, _): (.connectionLost, .lost)
        case (.reset, _), (.finished, _): (.unavailable, .lost)
        }
    }

    /// The member takes no more requests on this connection; what it carries goes on.
    func memberIsLeaving() {}

    func endpointLeft(_ reason: LeaveReason) {
        let isGone = reason == .hung || reason == .unreachable
        guard isGone || (kind.repeats == .always && !kind.isMemberSpecific) else { return }
        leaveEndpoint()
    }

    /// Turns away from a member that owes an answer, or that nothing has reached yet.
    final func leaveEndpoint() {
        let failure: AttemptFailure = upstream?.hasBeenSent ?? true ? .endpointLeft : .neverProcessed
        if let endpoint { tried.append(endpoint) }
        abandonAttempt(.abandoned)
        attemptFailed(failure)
    }

    // MARK: Answering

    /// Ends the call with a status of the proxy's own.
    final func answer(_ status: GRPCStatus) {
        abandonAttempt(.abandoned)
        guard let client else { return }
        note?.answered(status.code.rawValue)
        let fields = [HTTPField("grpc-status", "\(status.code.rawValue)"), HTTPField("grpc-message", status.encodedMessage)]
        if client.hasResponse {
            client.end(trailers: fields)
        } else {
            client.takeBackOutput()
            client.begin([HTTPField(":status", "200"), HTTPField("content-type", "application/grpc")] + fields)
            client.end()
        }
    }

    /// The client has part of a message: no status could follow that.
    final func breakOff() {
        abandonAttempt(.abandoned)
        note?.brokenOff()
        client?.reset(HTTP2ErrorCode.internalError)
    }

    private static let plainHead: [(name: StaticString, value: StaticString)] = [
        (":status", "200"), ("content-type", "application/grpc"),
    ]
    private static let plainHeadTemplate = HeaderTemplate(plainHead)

    /// Passes the member's header fields on.
    final func passOnHead(_ upstream: HTTP2ClientStream) {
        guard let client else { return }
        if kind.isMemberSpecific {
            client.begin(copying: upstream.responseHead, adding: memberFields())
        } else if upstream.responseHead.equals(Self.plainHead) {
            client.begin(Self.plainHeadTemplate)
        } else {
            client.begin(copying: upstream.responseHead)
        }
    }

    /// Who answered, for calls that speak of one member.
    private final func memberFields() -> [HTTPField] {
        guard let endpoint, let entry else { return [] }
        var fields = [HTTPField("quorate-endpoint", entry.address.description)]
        if let member = forwarder.balancer.memberID(of: endpoint) {
            fields.append(HTTPField("quorate-member", String(member, radix: 16)))
        }
        return fields
    }

    private static let okTrailers: [(name: StaticString, value: StaticString)] = [("grpc-status", "0"), ("grpc-message", "")]
    private static let okTrailersTemplate = HeaderTemplate(okTrailers)

    /// Passes the end of the member's response on; its head has been.
    final func passOnEnd(_ upstream: HTTP2ClientStream) {
        guard let client else { return }
        note?.answered(upstream.trailers.statusCode ?? upstream.responseHead.statusCode)
        if upstream.trailers.count == 0 {
            client.end()
        } else if upstream.trailers.equals(Self.okTrailers) {
            client.end(trailers: Self.okTrailersTemplate)
        } else {
            client.end(copyingTrailers: upstream.trailers)
        }
    }

    /// Whether the member's response says that it cannot answer now.
    final func saysUnavailable(_ upstream: HTTP2ClientStream) -> Bool {
        let status = upstream.trailers.first("grpc-status") ?? upstream.responseHead.first("grpc-status")
        return status?.matches("14") ?? false
    }

    /// Takes up `count` bytes of the member's: at once, or when the client has room again.
    final func credit(_ count: Int, _ upstream: HTTP2ClientStream) {
        if client?.isWritable ?? true {
            upstream.credit(count)
        } else {
            uncredited += count
        }
    }

    /// The client has room again.
    func clientDrained() {
        upstream?.credit(uncredited)
        uncredited = 0
    }

    /// The client's stream is closed, by its end or before.
    func clientClosed(_ end: StreamEnd) {
        pause?.cancel()
        pause = nil
        client = nil
        abandonAttempt(.abandoned)
        note?.finish()
        note = nil
    }
}
