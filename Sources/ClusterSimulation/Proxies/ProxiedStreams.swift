import EtcdAPI
import Forwarding
import Host

/// A client whose watches go through a proxy: some on one stream, each held against the model.
final class ProxiedWatcher {
    private unowned let run: SimulationRun
    private let proxy: SimulatedProxy
    private let sessions: [WatchSession]
    private var call: ProxyWatchCall?
    private var created: [Int64: WatchSession] = [:]
    /// Created in this order, not answered yet.
    private var waiting: [WatchSession] = []
    private var reopenings = 0
    /// Nobody opens a stream any more, also not one that broke a moment ago.
    private var isClosed = false

    init(_ run: SimulationRun, _ proxy: SimulatedProxy, _ number: Int, _ random: inout SeededRandom) throws {
        self.run = run
        self.proxy = proxy
        let count = Int.random(in: 1...3, using: &random)
        sessions = (0..<count).map { place in
            var request = WatchCreateRequest(key: ProxyWorkload.key, rangeEnd: Array("proxiee".utf8))
            if place == 1 { (request.key, request.rangeEnd) = (Array("key".utf8), Array("kez".utf8)) }
            if place == 2 { request.key = ProxyWorkload.key + Array("3".utf8); request.rangeEnd = [] }
            request.prevKv = Bool.random(using: &random)
            request.progressNotify = Bool.random(using: &random)
            return WatchSession(number: 1000 + number * 10 + place, request: request, checker: run.log, bug: nil, isProxied: true)
        }
        try open()
    }

    private func open() throws {
        guard call == nil, !isClosed else { return }
        reopenings += 1
        created = [:]
        waiting = sessions
        let call = ProxyWatchCall(proxy) { [unowned self] in
            try heard($0)
        } ended: { [unowned self] _ in
            self.call = nil
            run.cluster.schedule(after: .milliseconds(100)) { [weak self] in try self?.open() }
        }
        self.call = call
        try call.begin()
        for session in sessions { create(session) }
    }

    private func create(_ session: WatchSession) {
        call?.clientSaid(framed(WatchRequest(requestUnion: .createRequest(session.nextRequest))))
    }

    private func heard(_ messages: [UInt8]) throws {
        for message in split(messages) {
            let encoded = Array(message.dropFirst(MessageSplitter.prefixSize))
            guard let response = try? WatchResponse(decoding: encoded) else {
                throw Violation("proxy-watch", "a message that cannot be read")
            }
            try take(response, encoded)
        }
    }

    private func take(_ response: WatchResponse, _ encoded: [UInt8]) throws {
        run.cluster.say {
            "\(call.map { "\($0)" } ?? "a call") tells of watch \(response.watchId): \(response.events.count) events at "
                + "\(response.header?.revision ?? 0)\(response.created ? ", created" : "")\(response.canceled ? ", canceled" : "")"
        }
        if response.created {
            guard !waiting.isEmpty else { throw Violation("proxy-watch", "a watch was created that nobody asked for") }
            let session = waiting.removeFirst()
            created[response.watchId] = session
            session.begin(at: response.header?.revision ?? 0)
            return
        }
        if response.watchId == -1, response.events.isEmpty {
            for session in sessions where created.values.contains(where: { $0 === session }) { try tell(session, encoded) }
            return
        }
        guard let session = created[response.watchId] else {
            throw Violation("proxy-watch", "an answer for watch \(response.watchId), which is none: \(response)")
        }
        try tell(session, encoded)
        guard response.canceled else { return }
        created[response.watchId] = nil
        waiting.append(session)
        create(session)
    }

    private func tell(_ session: WatchSession, _ encoded: [UInt8]) throws {
        encoded.withUnsafeBytes { session.send($0) }
        if let failure = session.failure { throw Violation("proxy-watch", failure.description) }
    }

    func tick(_ random: inout SeededRandom) throws {
        switch Int.random(in: 0..<30, using: &random) {
        case 0: call?.clientSaid(framed(WatchRequest(requestUnion: .progressRequest(WatchProgressRequest()))))
        case 1...4: call?.askProgress()
        case 5:
            call?.abandon()
            call = nil
            try open()
        default: break
        }
    }

    var isCaughtUp: Bool { waiting.isEmpty && sessions.allSatisfy { $0.next != nil && $0.expected(upTo: .max).isEmpty } }
    var events: Int { sessions.reduce(0) { $0 + $1.eventCount } }
    var summary: String {
        "opened \(reopenings) times, \(waiting.count) not created, endpoint \(call?.endpoint?.rawValue ?? 0), next "
            + sessions.map { "\($0.next ?? 0) of \($0.expected(upTo: .max).count)" }.joined(separator: " ")
    }

    func close() {
        isClosed = true
        call?.abandon()
        call = nil
    }
}

/// A client that keeps a lease alive through a proxy: an answer for each request, in order, and none besides.
final class ProxiedKeeper {
    private unowned let run: SimulationRun
    private let proxy: SimulatedProxy
    private let lease: Int64
    private var call: ProxyKeepAliveCall?
    /// Times of the requests on the present stream that are not answered.
    private var unanswered: [Instant] = []
    private(set) var answers = 0
    /// Nothing new is asked: what was asked has to be answered.
    private var isQuiet = false
    private var isStopped = false
    private var ticks = 0
    private static let ttl: Int64 = 9
    private static let patience = Instant.Span.seconds(40)

    init(_ run: SimulationRun, _ proxy: SimulatedProxy, lease: Int64) throws {
        self.run = run
        self.proxy = proxy
        self.lease = lease
    }

    private func open() throws {
        guard call == nil, !isStopped else { return }
        unanswered = []
        let call = ProxyKeepAliveCall(proxy) { [unowned self] in
            try heard($0)
        } ended: { [unowned self] _ in
            self.call = nil
        }
        self.call = call
        try call.begin()
    }

    private func heard(_ message: [UInt8]) throws {
        guard let response = try? LeaseKeepAliveResponse(decoding: Array(message.dropFirst(MessageSplitter.prefixSize))) else {
            throw Violation("proxy-keep-alive", "a message that cannot be read")
        }
        guard !unanswered.isEmpty else { throw Violation("proxy-keep-alive", "lease \(lease) is answered without a request") }
        guard response.id == lease else { throw Violation("proxy-keep-alive", "lease \(response.id) instead of \(lease)") }
        unanswered.removeFirst()
        answers += 1
        // Expired while nobody could renew it: granted again with the next tick.
        if response.ttl == 0 { try grant() }
    }

    private func grant() throws {
        guard !isStopped, let leader = run.cluster.leaders.first else { return }
        try run.clients.run(.propose(.leaseGrant(LeaseGrantRequest(ttl: Self.ttl, id: lease))), at: leader.id)
    }

    private func ask() throws {
        try open()
        guard let call, unanswered.count < 64 else { return }
        unanswered.append(run.cluster.now)
        try call.clientSaid(framed(LeaseKeepAliveRequest(id: lease)))
    }

    func tick() throws {
        guard !isStopped else { return }
        if ticks == 0 { try grant() }
        ticks += 1
        if let first = unanswered.first, call != nil, run.cluster.now - first > Self.patience {
            throw Violation(
                "proxy-starved", "a keep-alive of lease \(lease) has no answer after \((run.cluster.now - first).seconds) s")
        }
        // A stream that broke forgets what it was asked.
        if isQuiet ? call == nil : ticks % 3 == 0 { try ask() }
    }

    func askAfterHealing() throws {
        isQuiet = true
        try ask()
    }

    /// Every request on the stream has its answer.
    var isAnswered: Bool { call != nil && unanswered.isEmpty }

    func stop() {
        isStopped = true
        call?.abandon()
        call = nil
    }
}
