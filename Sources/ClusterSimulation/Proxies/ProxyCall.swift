import Balancing
import Bytes
import Forwarding
import Host

/// How a call ended for the client of a proxy.
enum CallEnd: Equatable {
    case answered(FrontReply)
    /// Nothing was sent anywhere.
    case noConnection
    case inDoubt
    case unavailable
    /// The client did not wait any longer.
    case givenUp
}

/// One call through a simulated proxy: what ``ForwardedCall`` of the real one does, without sockets.
class ProxyCall: CustomStringConvertible {
    final let number: Int
    unowned let proxy: SimulatedProxy
    let kind: CallKind
    var rule = RetryRule()
    private var tried: [EndpointID] = []
    private(set) final var attempt: ProxyAttempt?
    private(set) final var isOver = false
    private let ended: (CallEnd) throws -> Void

    init(_ proxy: SimulatedProxy, _ kind: CallKind, ended: @escaping (CallEnd) throws -> Void) {
        self.proxy = proxy
        number = proxy.counts.calls
        self.kind = kind
        self.ended = ended
    }

    final var description: String { "proxy's \(kind.shape) call \(number)" }

    /// A new attempt was opened: say what there is to say.
    func sendRequest(_ attempt: ProxyAttempt) throws {}
    func heard(_ event: UpstreamEvent) throws {}
    /// Calls of one number belong together where the proxy looks at that.
    var affinity: UInt64 { 1 }
    /// Whether the call can go on elsewhere.
    var canMove: Bool { true }

    final var endpoint: EndpointID? { attempt?.endpoint }

    final func begin() throws {
        proxy.opened(self)
        try tryEndpoint()
    }

    private func tryEndpoint() throws {
        guard !isOver else { return }
        guard let id = proxy.pick(kind.balancing, affinity: affinity, excluding: tried), let upstream = proxy.upstream(id) else {
            if tried.isEmpty { return try finish(.noConnection) }
            return try decide(.neverProcessed, endpointsLeft: false)
        }
        try proxy.checkChoice(upstream, id)
        let attempt = ProxyAttempt(proxy.cluster, proxy.clients, id, upstream) { [unowned self] event in
            try heard(event)
        } fail: { [unowned self] failure, outcome in
            try failed(failure, outcome)
        }
        self.attempt = attempt
        proxy.cluster.say { "\(self) tries \(upstream.address)" }
        proxy.began(id)
        try sendRequest(attempt)
    }

    /// The attempt's accounts are closed.
    final func endAttempt(_ outcome: Outcome) {
        guard let attempt else { return }
        self.attempt = nil
        attempt.abandon()
        proxy.finished(attempt, outcome)
    }

    final func failed(_ failure: AttemptFailure, _ outcome: Outcome) throws {
        proxy.cluster.say { "\(self) fails at endpoint \(endpoint?.rawValue ?? 0): \(failure), \(outcome)" }
        if let endpoint { tried.append(endpoint) }
        endAttempt(outcome)
        guard canMove else { return try finish(.unavailable) }
        try decide(failure)
    }

    private func decide(_ failure: AttemptFailure, endpointsLeft: Bool = true) throws {
        guard !isOver else { return }
        let decision = rule.attemptFailed(
            failure, repeats: repeats, endpointsLeft: endpointsLeft, budget: { proxy.mayRetry() }, now: proxy.cluster.now,
            deadline: nil)
        switch decision {
        case .again(let after, let anywhere):
            if anywhere { tried.removeAll() }
            if after.nanoseconds == 0 {
                try proxy.retried()
                return try tryEndpoint()
            }
            proxy.cluster.schedule(after: after) { [weak self] in try self?.tryEndpoint() }
        case .passOn, .breakOff: try finish(.unavailable)
        case .unavailable: try finish(.noConnection)
        case .inDoubt: try finish(.inDoubt)
        }
    }

    private var repeats: CallKind.Repeat { proxy.bug == .proxyRepeatsWrites ? .always : kind.repeats }

    final func endpointLeft(_ reason: LeaveReason) throws {
        let isGone = reason == .hung || reason == .unreachable
        guard isGone || kind.repeats == .always else { return }
        if proxy.bug == .proxyLosesCalls { return endAttempt(.abandoned) }
        try failed(.endpointLeft, .abandoned)
    }

    final func finish(_ end: CallEnd) throws {
        guard !isOver else { return }
        isOver = true
        proxy.cluster.say { "\(self) ends: \(end)" }
        endAttempt(end == .answered(.done) || end == .answered(.refused) ? .succeeded : .abandoned)
        proxy.closed(self)
        try ended(end)
    }

    /// The client leaves.
    final func abandon() {
        isOver = true
        endAttempt(.abandoned)
        proxy.closed(self)
    }
}

/// One request, one answer.
final class ProxyUnaryCall: ProxyCall {
    private let operation: Operation

    override var affinity: UInt64 { UInt64(number) }

    init(_ proxy: SimulatedProxy, _ kind: CallKind, _ operation: Operation, ended: @escaping (CallEnd) throws -> Void) {
        self.operation = operation
        super.init(proxy, kind, ended: ended)
    }

    override func sendRequest(_ attempt: ProxyAttempt) { attempt.send(.operation(operation)) }

    override func heard(_ event: UpstreamEvent) throws {
        if case .deadline = event { return try finish(.givenUp) }
        guard case .answered(let reply) = event else { return }
        if reply == .unavailable {
            if kind.repeats == .always { return try failed(.answeredUnavailable, .unavailable) }
            endAttempt(.unavailable)
        }
        try finish(.answered(reply))
    }
}

/// A stream that goes on at another member.
class ProxyRelayedCall: ProxyCall {
    private var splitter = MessageSplitter(limit: 16 << 20)

    /// One framed message of the member's. A text says why the stream cannot go on.
    func memberSaid(_ message: UnsafeRawBufferPointer, toClient: inout ByteWriter) -> String? { nil }
    /// Framed messages for the client.
    func tellClient(_ messages: [UInt8]) throws {}
    func moveOn(_ attempt: ProxyAttempt, toClient: inout ByteWriter) {}

    final override func sendRequest(_ attempt: ProxyAttempt) throws {
        splitter = MessageSplitter(limit: 16 << 20)
        var toClient = ByteWriter(capacity: 64)
        moveOn(attempt, toClient: &toClient)
        if toClient.count > 0 { try tellClient(toClient.array()) }
    }

    final override func heard(_ event: UpstreamEvent) throws {
        switch event {
        case .answered, .deadline: break
        case .unavailable: try failed(.answeredUnavailable, .unavailable)
        case .bytes(let bytes):
            var toClient = ByteWriter(capacity: 64)
            var problem: String?
            // In two pieces, as packets may cut them.
            let cut = bytes.count / 2
            for piece in [bytes[..<cut], bytes[cut...]] {
                do throws(MessageSplitter.Problem) {
                    try take(Array(piece)) { message in
                        if problem == nil { problem = memberSaid(message, toClient: &toClient) }
                    }
                } catch { throw Violation("proxy-stream", "a member's message cannot be read: \(error)") }
            }
            rule.succeeded()
            if toClient.count > 0 { try tellClient(toClient.array()) }
            if problem != nil { try finish(.unavailable) }
        }
    }

    private func take(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) -> Void) throws(MessageSplitter.Problem) {
        try bytes.withBytes { (raw) throws(MessageSplitter.Problem) in try splitter.take(raw, body) }
    }
}

final class ProxyWatchCall: ProxyRelayedCall {
    private var relay = WatchRelay()
    private let told: ([UInt8]) throws -> Void

    init(_ proxy: SimulatedProxy, told: @escaping ([UInt8]) throws -> Void, ended: @escaping (CallEnd) throws -> Void) {
        self.told = told
        super.init(proxy, CallKind(.watch), ended: ended)
    }

    override var canMove: Bool { relay.canMove }

    func clientSaid(_ message: [UInt8]) {
        var toMember = ByteWriter(capacity: 64)
        message.withBytes { relay.fromClient($0, toMember: &toMember) }
        if let attempt { send(toMember, attempt) }
    }

    func askProgress() {
        guard let attempt else { return }
        var toMember = ByteWriter(capacity: 16)
        relay.askProgress(toMember: &toMember)
        send(toMember, attempt)
    }

    override func memberSaid(_ message: UnsafeRawBufferPointer, toClient: inout ByteWriter) -> String? {
        do throws(WatchRelay.Problem) {
            try relay.fromMember(message, toClient: &toClient)
            return nil
        } catch {
            proxy.count(\.outOfStep)
            if proxy.bug == .proxyBelievesWatches {
                toClient.append(message)
                return nil
            }
            return "\(error)"
        }
    }

    override func moveOn(_ attempt: ProxyAttempt, toClient: inout ByteWriter) {
        var toMember = ByteWriter(capacity: 64)
        relay.moveOn(toMember: &toMember, toClient: &toClient)
        if toMember.count > 0 { proxy.count(\.moves) }
        send(toMember, attempt)
    }

    override func tellClient(_ messages: [UInt8]) throws { try told(messages) }

    private func send(_ messages: borrowing ByteWriter, _ attempt: ProxyAttempt) {
        for message in split(messages.array()) {
            attempt.send(.watch(proxy.bug == .proxyResumesLate ? BugSwitches.resumedLate(message) : message))
        }
    }
}

final class ProxyKeepAliveCall: ProxyRelayedCall {
    private var relay = KeepAliveRelay()
    private let told: ([UInt8]) throws -> Void

    init(_ proxy: SimulatedProxy, told: @escaping ([UInt8]) throws -> Void, ended: @escaping (CallEnd) throws -> Void) {
        self.told = told
        super.init(proxy, CallKind(.leaseKeepAlive), ended: ended)
    }

    func clientSaid(_ message: [UInt8]) throws {
        do throws(KeepAliveRelay.Problem) {
            try message.withBytes { (raw) throws(KeepAliveRelay.Problem) in try relay.asked(raw) }
        } catch { return try finish(.unavailable) }
        attempt?.send(.keepAlive(message))
    }

    override func memberSaid(_ message: UnsafeRawBufferPointer, toClient: inout ByteWriter) -> String? {
        relay.answered()
        toClient.append(message)
        return nil
    }

    override func moveOn(_ attempt: ProxyAttempt, toClient: inout ByteWriter) {
        if proxy.bug == .proxyForgetsKeepAlives { return }
        var toMember = ByteWriter(capacity: 64)
        relay.resume(toMember: &toMember)
        for message in split(toMember.array()) { attempt.send(.keepAlive(message)) }
    }

    override func tellClient(_ messages: [UInt8]) throws { for message in split(messages) { try told(message) } }
}

/// Framed messages in a row, one by one.
func split(_ bytes: [UInt8]) -> [[UInt8]] {
    var splitter = MessageSplitter(limit: 16 << 20)
    var messages: [[UInt8]] = []
    do throws(MessageSplitter.Problem) {
        try bytes.withBytes { (raw) throws(MessageSplitter.Problem) in try splitter.take(raw) { messages.append(Array($0)) } }
    } catch { preconditionFailure("what the proxy made is framed: \(error)") }
    return messages
}
