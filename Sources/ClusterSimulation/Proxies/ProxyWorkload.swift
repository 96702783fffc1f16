import Balancing
import EtcdAPI
import Forwarding
import Host
import Raft

/// Clients of proxies, and what they may expect: no event lost, repeated or out of order, no write done twice, none done that was
/// said not to have been sent, answers to keep-alives one for one, and an end to every call.
final class ProxyWorkload {
    private unowned let run: SimulationRun
    private let cluster: SimulatedCluster
    let proxies: [SimulatedProxy]
    private var watchers: [ProxiedWatcher] = []
    private var keepers: [ProxiedKeeper] = []
    private var random: SeededRandom
    private let seed: UInt64
    private var pending: [Int: Instant] = [:]
    private(set) var nextCall = 0
    /// Nothing new is asked, and then nothing at all.
    private var isQuiet = false
    private var isStopped = false

    private enum Fate { case asked, done, notSent, unknown }
    private var fates: [Int: Fate] = [:]
    private var applied: Set<Int> = []
    private(set) var writes = 0
    private(set) var answered = 0

    /// A call's retries last ten seconds, its connections time out after one, and members' own requests after seven.
    private static let patience = Instant.Span.seconds(40)
    static let key = Array("proxied".utf8)

    init(_ run: SimulationRun, seed: UInt64) {
        self.run = run
        self.seed = seed
        cluster = run.cluster
        var random = SeededRandom(seed: seed ^ 0x7072_6f78_6965_7300)
        let founders = run.cluster.members.map(\.id)
        let count = Int.random(in: 1...2, using: &random)
        proxies = (0..<count).map { number in
            var upstreams = founders.map { ProxyUpstream(run.cluster, member: $0) }
            for number in 0..<Int.random(in: 0...3, using: &random) {
                upstreams.append(
                    ProxyUpstream(run.cluster, bad: number, nature: UpstreamTemper.bad(&random)))
            }
            return SimulatedProxy(
                number, run.cluster, run.clients, upstreams: upstreams, seed: seed &+ UInt64(number) &* 0x9e37,
                bug: run.settings.bug)
        }
        self.random = random
        run.log.onPut = { [unowned self] in try sawPut($0) }
    }

    /// After the cluster's first second, when endpoints have been looked at.
    func begin() {
        cluster.schedule(after: .seconds(1)) { [unowned self] in
            for proxy in proxies {
                for number in 0..<2 { watchers.append(try ProxiedWatcher(run, proxy, number, &random)) }
                keepers.append(try ProxiedKeeper(run, proxy, lease: 0x7000 + Int64(keepers.count)))
            }
            try ask()
            try tick()
        }
    }

    // MARK: faults

    func strike(_ fault: Fault, _ temper: UpstreamTemper) {
        let proxy = proxies[fault.number % proxies.count]
        guard case .any(let number) = fault.target else { return }
        let upstream = proxy.upstreams[number % proxy.upstreams.count]
        guard upstream.nature == .sound else { return }
        if temper == .foreign {
            // More than half in another cluster for long, and that is the one to serve.
            let strangers = proxy.upstreams.count { $0.temper == .foreign }
            guard (strangers + 1) * 2 <= proxy.upstreams.count else { return }
        }
        cluster.say { "\(fault.description): \(upstream.address)" }
        upstream.change(to: temper)
        cluster.schedule(after: fault.length) { upstream.heal() }
    }

    func memberEnded(_ member: SimulatedMember) { for proxy in proxies { proxy.memberEnded(member) } }
    func memberStarted(_ member: SimulatedMember) { for proxy in proxies { proxy.memberStarted(member) } }

    // MARK: requests

    private func ask() throws {
        guard !isQuiet else { return }
        let gap = Instant.Span(nanoseconds: Int64.random(in: 5_000_000...120_000_000, using: &random))
        cluster.schedule(after: gap) { [unowned self] in try ask() }
        if nextCall - answered > 200 { return }
        let number = nextCall
        nextCall += 1
        let choice = Int.random(in: 0..<10, using: &random)
        if run.settings.withoutOperations.contains(-1 - number) { return answered += 1 }
        let proxy = proxies[number % proxies.count]
        switch choice {
        case 0..<6: try write(number, proxy)
        case 6..<9: try read(number, proxy, serializable: false)
        default: try read(number, proxy, serializable: true)
        }
    }

    private func key(_ number: Int) -> [UInt8] { ProxyWorkload.key + Array("\(number % 5)".utf8) }

    private func write(_ number: Int, _ proxy: SimulatedProxy, then: ((CallEnd) -> Void)? = nil) throws {
        writes += 1
        proxy.count(\.writes)
        pending[number] = cluster.now
        fates[number] = .asked
        let operation = Operation.propose(.put(PutRequest(key: key(number), value: Array("\(number)".utf8))))
        try ProxyUnaryCall(proxy, CallKind(.kvPut), operation) { [unowned self] end in
            ended(number)
            then?(end)
            switch end {
            case .answered(.done):
                guard applied.contains(number) else {
                    throw Violation("proxy-durability", "write \(number) was answered, and is in nobody's log")
                }
                fates[number] = .done
            case .noConnection:
                guard !applied.contains(number) else {
                    throw Violation("proxy-write", "write \(number) was said not to have been sent, and has been done")
                }
                fates[number] = .notSent
            default: fates[number] = .unknown
            }
        }.begin()
    }

    private func read(
        _ number: Int, _ proxy: SimulatedProxy, serializable: Bool, then: ((CallEnd) -> Void)? = nil
    ) throws {
        pending[number] = cluster.now
        var kind = CallKind(.kvRange)
        if serializable { kind.balancing = .serializableRead }
        let request = RangeRequest(key: key(number), serializable: serializable)
        try ProxyUnaryCall(proxy, kind, .range(request)) { [unowned self] end in
            ended(number)
            then?(end)
        }.begin()
    }

    private func ended(_ number: Int) {
        answered += 1
        pending[number] = nil
    }

    private func sawPut(_ put: PutRequest) throws {
        guard put.key.starts(with: ProxyWorkload.key), let number = Int(String(decoding: put.value, as: UTF8.self)) else {
            return
        }
        guard applied.insert(number).inserted else {
            throw Violation("proxy-write", "write \(number), asked once, is in the log twice")
        }
        guard fates[number] != .notSent else {
            throw Violation("proxy-write", "write \(number) was said not to have been sent, and is done now")
        }
    }

    // MARK: watching over it

    private func tick() throws {
        guard !isStopped else { return }
        cluster.schedule(after: .seconds(1)) { [unowned self] in try tick() }
        try lookForStarved()
        for proxy in proxies { try proxy.checkStays() }
        for watcher in watchers { try watcher.tick(&random) }
        for keeper in keepers { try keeper.tick() }
    }

    private func lookForStarved() throws {
        for (number, begun) in pending.sorted(by: { $0.key < $1.key }) where cluster.now - begun > Self.patience {
            throw Violation("proxy-starved", "call \(number) has no end after \((cluster.now - begun).seconds) s")
        }
    }

    // MARK: the end

    /// The members' ports work again. Endpoints that are bad by nature stay as they are.
    func heal() {
        for proxy in proxies { for upstream in proxy.upstreams { upstream.heal() } }
    }

    /// Every proxy serves: writes and reads succeed, streams catch up, keep-alives are answered.
    func checkAfterHealing() throws {
        for proxy in proxies {
            try proxy.checkCluster()
            proxy.nameMembersIfLost()
            try attemptUntilDone(proxy, "write", attempts: 150) { [unowned self] number, done in
                try write(number, proxy, then: done)
            }
            // The good endpoint may be looked at seconds later only; once it serves it is for the proxy to try again.
            try attemptUntilDone(proxy, "read", attempts: 1) { [unowned self] number, done in
                try read(number, proxy, serializable: false, then: done)
            }
        }
        isQuiet = true
        let caughtUp = try cluster.run(within: .seconds(30)) { [unowned self] _ in watchers.allSatisfy(\.isCaughtUp) }
        try run.throwEarly()
        guard caughtUp else {
            let behind = watchers.filter { !$0.isCaughtUp }.map(\.summary) + proxies.map(\.summary)
            throw Violation("proxy-starved", "watchers at proxies do not catch up: \(behind)")
        }
        for keeper in keepers { try keeper.askAfterHealing() }
        let kept = try cluster.run(within: .seconds(30)) { [unowned self] _ in keepers.allSatisfy(\.isAnswered) }
        guard kept else { throw Violation("proxy-starved", "keep-alives at proxies are not answered") }
        isStopped = true
        let isIdle = try cluster.run(within: Self.patience) { [unowned self] _ in pending.isEmpty }
        guard isIdle else { throw Violation("proxy-starved", "calls \(pending.keys.sorted()) have no end") }
        for keeper in keepers { keeper.stop() }
    }

    /// - Parameter attempts: those that are swallowed are none: their clients ask again.
    private func attemptUntilDone(
        _ proxy: SimulatedProxy, _ what: String, attempts: Int,
        _ body: @escaping (Int, @escaping (CallEnd) -> Void) throws -> Void
    ) throws {
        let begun = cluster.now
        var left = attempts
        while left > 0, cluster.now - begun < .seconds(120) {
            var end: CallEnd?
            let number = nextCall
            nextCall += 1
            try body(number) { end = $0 }
            _ = try cluster.run(within: .seconds(15)) { _ in end != nil }
            if end == .answered(.done) { return }
            if end != .givenUp { left -= 1 }
            // Writes whose connection breaks are in doubt, and not tried again for the client.
            try cluster.run(for: .milliseconds(200))
        }
        throw Violation("proxy-starved", "no \(what) succeeds through a proxy after healing")
    }

    func close() {
        for watcher in watchers { watcher.close() }
        for keeper in keepers { keeper.stop() }
        for proxy in proxies { proxy.close() }
        run.clients.forget()
    }

    var watchEvents: Int { watchers.reduce(0) { $0 + $1.events } }
    var counts: ProxyCounts {
        var sum = ProxyCounts()
        for proxy in proxies {
            for path in ProxyCounts.paths { sum[keyPath: path] += proxy.counts[keyPath: path] }
        }
        sum.watchEvents = watchEvents
        sum.renewals = keepers.reduce(0) { $0 + $1.answers }
        return sum
    }
}

extension ProxyCounts {
    static var paths: [WritableKeyPath<ProxyCounts, Int>] {
        [\.calls, \.retries, \.failures, \.probes, \.left, \.moves, \.outOfStep, \.writes]
    }
}
