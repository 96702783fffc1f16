import Balancing
import Bytes
import EtcdAPI
import Forwarding
import Host
import Watch

/// What a member's client port says to a proxy.
enum UpstreamEvent {
    /// The whole answer of a unary call.
    case answered(FrontReply)
    /// Some bytes of a stream.
    case bytes([UInt8])
    /// The stream ended with Unavailable.
    case unavailable
    /// Nothing comes, and the client's own deadline has passed.
    case deadline
}

/// How a member answered a unary request, as far as proxies and clients care.
enum FrontReply: Equatable {
    case done
    /// The member is sure, and a second attempt would be told the same.
    case refused
    case unavailable
}

/// What a proxy sends to a member.
enum UpstreamRequest {
    case operation(Operation)
    case watch([UInt8])
    case keepAlive([UInt8])
}

/// One attempt of a proxied call at one endpoint: a connection, a stream on it, and what the member's client port does there.
final class ProxyAttempt {
    unowned let cluster: SimulatedCluster
    let clients: Clients
    let endpoint: EndpointID
    let upstream: ProxyUpstream
    let began: Instant
    private(set) var isOver = false
    private(set) var member: SimulatedMember?
    private var life = 0
    private let hear: (UpstreamEvent) throws -> Void
    private let fail: (AttemptFailure, Outcome) throws -> Void
    /// Sent before the connection stands.
    private var early: [UpstreamRequest] = []
    private var toMember: Lane<UpstreamRequest>?
    private var fromMember: Lane<UpstreamEvent>?
    private var watch: FrontWatch?
    private var renewals: [Int64] = []
    private var isRenewing = false
    private var silentLooks = 0

    static let connectTimeout = Instant.Span.seconds(1)
    /// Of clients whose requests are swallowed.
    private static let deadline = Instant.Span.seconds(2)
    /// Between two looks at a connection that may be dead; three in a row end it.
    private static let lookInterval = Instant.Span.seconds(5)

    init(
        _ cluster: SimulatedCluster, _ clients: Clients, _ endpoint: EndpointID, _ upstream: ProxyUpstream,
        hear: @escaping (UpstreamEvent) throws -> Void, fail: @escaping (AttemptFailure, Outcome) throws -> Void
    ) {
        self.cluster = cluster
        self.clients = clients
        self.endpoint = endpoint
        self.upstream = upstream
        self.hear = hear
        self.fail = fail
        began = cluster.now
        cluster.schedule(after: upstream.delay) { [self] in try connect() }
    }

    private func connect() throws {
        guard !isOver else { return }
        if upstream.isSilent {
            return cluster.schedule(after: Self.connectTimeout) { [self] in try end(.neverProcessed, .connectTimedOut) }
        }
        guard !upstream.refuses, let member = upstream.backing else { return try end(.neverProcessed, .connectFailed) }
        self.member = member
        life = member.life
        let isSilent = { [upstream] in upstream.isSilent }
        // What is on its way arrives, whether or not the proxy still waits for the answer.
        toMember = Lane(cluster, delay: upstream.delay, isSilent: isSilent) { [self] in try arrive($0) }
        fromMember = Lane(cluster, delay: upstream.delay, isSilent: isSilent) { [self] event in
            if !isOver { try hear(event) }
        }
        for request in early { toMember?.put(request) }
        early = []
        look()
    }

    func send(_ request: UpstreamRequest) {
        guard !isOver else { return }
        if let toMember { toMember.put(request) } else { early.append(request) }
    }

    /// The proxy has no more use for it.
    func abandon() {
        guard !isOver else { return }
        isOver = true
        closeStream()
    }

    /// What may still have been on its way is gone.
    func forget() {
        toMember = nil
        fromMember = nil
    }

    func end(_ failure: AttemptFailure, _ outcome: Outcome) throws {
        guard !isOver else { return }
        abandon()
        try fail(failure, outcome)
    }

    private func closeStream() {
        fromMember?.close()
        watch?.close()
        watch = nil
    }

    /// HTTP/2's pings.
    private func look() {
        cluster.schedule(after: Self.lookInterval) { [self] in
            guard !isOver, let member else { return }
            if member.life != life || !member.isRunning && !upstream.isUnplugged { return try end(.lost, .connectionLost) }
            silentLooks = upstream.isSilent ? silentLooks + 1 : 0
            if silentLooks >= 3 { return try end(.lost, .timedOut) }
            look()
        }
    }

    // MARK: at the member

    private func arrive(_ request: UpstreamRequest) throws {
        guard let member, member.life == life, let process = member.process else { return }
        switch upstream.temper {
        case .unavailable:
            if case .operation = request { fromMember?.put(.answered(.unavailable)) } else { fromMember?.put(.unavailable) }
            return
        case .refusing: return try end(.lost, .connectionLost)
        case .swallowing:
            guard case .operation = request else { break }
            return cluster.schedule(after: Self.deadline) { [self] in if !isOver { try hear(.deadline) } }
        default: break
        }
        switch request {
        case .operation(let operation):
            try clients.run(operation, at: member.id) { [self] in fromMember?.put(.answered($0)) }
        case .watch(let message): takeWatch(message, member, process)
        case .keepAlive(let message):
            guard let request = try? LeaseKeepAliveRequest(decoding: Array(message.dropFirst(MessageSplitter.prefixSize))) else {
                return
            }
            renewals.append(request.id)
            renew()
        }
        if upstream.temper == .breaking { try end(.lost, .connectionLost) }
    }

    private func takeWatch(_ message: [UInt8], _ member: SimulatedMember, _ process: MemberProcess) {
        guard !isOver, let request = try? WatchRequest(decoding: Array(message.dropFirst(MessageSplitter.prefixSize))) else {
            return
        }
        if watch == nil {
            process.hub.advance(to: process.published.view, term: process.published.status.term)
            watch = FrontWatch(process.hub) { [weak self] bytes in self?.fromMember?.put(.bytes(bytes)) }
        }
        if upstream.temper == .lying { watch?.lie = .otherID }
        if upstream.temper == .repeating { watch?.lie = .earlier }
        watch?.handle(request, compactRevision: process.published.view.compactRevision)
    }

    /// One after the other, so that answers come in order. A member that does not lead asks the one that does.
    private func renew() {
        guard !isRenewing, let lease = renewals.first, !isOver else { return }
        guard let member, member.life == life, let leader = member.published?.status.leader,
            cluster.runningMember(leader) != nil
        else { return fromMember?.put(.unavailable) ?? () }
        isRenewing = true
        clients.renew(lease, at: leader) { [weak self] ttl in
            guard let self, !isOver else { return }
            guard let ttl else { return fromMember?.put(.unavailable) ?? () }
            isRenewing = false
            renewals.removeFirst()
            fromMember?.put(.bytes(framed(LeaseKeepAliveResponse(id: lease, ttl: ttl))))
            renew()
        }
        cluster.schedule(after: .seconds(5)) { [weak self] in
            guard let self, !isOver, isRenewing, renewals.first == lease else { return }
            fromMember?.put(.unavailable)
        }
    }
}

/// A watch stream of a member, as its client port serves it to a proxy.
final class FrontWatch: WatchOutput {
    private let hub: WatchHub
    private var stream: WatchStream?
    private let pass: ([UInt8]) -> Void
    /// About watches that ask for an id, as resumed ones do.
    enum Lie { case otherID, earlier }
    var lie: Lie?
    var isWritable: Bool { true }

    init(_ hub: WatchHub, pass: @escaping ([UInt8]) -> Void) {
        self.hub = hub
        self.pass = pass
        stream = hub.open(self)
    }

    func handle(_ request: WatchRequest, compactRevision: Int64) {
        guard let stream else { return }
        var request = request
        if let lie, case .createRequest(var create) = request.requestUnion, create.watchId > 0 {
            switch lie {
            case .otherID: create.watchId += 1000
            // Not what is compacted: the client would be sent back and forth.
            case .earlier where create.startRevision > max(1, compactRevision): create.startRevision -= 1
            case .earlier: break
            }
            request = WatchRequest(requestUnion: .createRequest(create))
        }
        hub.handle(request, on: stream)
    }

    func close() {
        if let stream { hub.close(stream) }
        stream = nil
    }

    func send(_ encoded: UnsafeRawBufferPointer) {
        var writer = ByteWriter(capacity: encoded.count + MessageSplitter.prefixSize)
        appendMessagePrefix(encoded.count, to: &writer)
        writer.append(encoded)
        pass(writer.array())
    }
}

/// As it travels over gRPC.
func framed(_ message: some EtcdAPI.Message) -> [UInt8] {
    let encoded = message.encoded()
    var writer = ByteWriter(capacity: encoded.count + MessageSplitter.prefixSize)
    appendMessagePrefix(encoded.count, to: &writer)
    writer.append(encoded)
    return writer.array()
}
