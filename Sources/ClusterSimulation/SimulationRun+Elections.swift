import EtcdAPI
import Host
import Member
import Raft
import Simulation

/// How long a lease may live that nobody renews, told by times alone; ``RemainingTimeChecker`` says why.
struct LongestLife {
    let ttl: Int64
    let electionTimeout: Instant.Span
    private(set) var end: Instant
    /// Since when the present leader has counted.
    private var counting: Instant
    private var isWritten = false

    init(ttl: Int64, electionTimeout: Instant.Span, granted: Instant) {
        self.ttl = ttl
        self.electionTimeout = electionTimeout
        counting = granted
        end = granted + RemainingTimeChecker.slow(.seconds(ttl))
    }

    /// - Parameters:
    ///   - wholeSince: since when nothing had been wrong before, should that have been so.
    ///   - lost: when something went wrong.
    ///   - next: when the next leader applied its first entry.
    mutating func leaderChanged(wholeSince whole: Instant?, lost: Instant, next: Instant) {
        let lag =
            RemainingTimeChecker.slow(RemainingTimeChecker.interval(ttl, isFirst: !isWritten)) + RemainingTimeChecker.reaction
        var written = counting
        if let whole, lost - whole >= RemainingTimeChecker.reaction, lost - counting >= lag {
            written = lost + Instant.Span(nanoseconds: -lag.nanoseconds)
            isWritten = true
        }
        end = end + RemainingTimeChecker.slow((next - written) + .seconds(1) + electionTimeout)
        counting = next
    }
}

/// At the end of some runs: a lease passes through elections, and nobody renews it.
extension SimulationRun {
    private static let lease: Int64 = 0x6000
    private static let patience = Instant.Span.seconds(40)

    private enum Loss: CaseIterable { case power, process, handOver, isolation }

    /// Looks at what the log says of leases, from now on.
    func scheduleLeaseChecks() {
        cluster.schedule(after: .milliseconds(250)) { [unowned self] in
            if cluster.leaders.count == 1 { try leases.times.check(now: cluster.now) }
            scheduleLeaseChecks()
        }
    }

    func checkTimesAcrossElections() throws {
        var random = SeededRandom(seed: settings.seed ^ 0x6c65_6173_6573_0000)
        let ttl: Int64 = [10, 16, 30][Int.random(in: 0..<3, using: &random)]
        try grant(ttl)
        var life = LongestLife(ttl: ttl, electionTimeout: leases.times.electionTimeout, granted: cluster.now)
        var known = leases.times.promotions.count
        func takePromotions(since whole: Instant? = nil, lost: Instant) {
            for (number, next) in leases.times.promotions[known...].enumerated() {
                life.leaderChanged(wholeSince: number == 0 ? whole : nil, lost: lost, next: next)
            }
            known = leases.times.promotions.count
        }
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            try cluster.run(for: .milliseconds(Int64.random(in: 200...ttl * 500, using: &random)))
            takePromotions(lost: cluster.now)
            let (whole, lost) = (leases.times.wholeSince, cluster.now)
            guard log.model.leases[Self.lease] != nil else { break }
            try changeLeader(Loss.allCases[Int.random(in: 0..<4, using: &random)], &random)
            takePromotions(since: whole, lost: lost)
        }
        // One that was cut off may call for an election a little later.
        try cluster.run(for: .seconds(3))
        takePromotions(lost: cluster.now)
        let end = life.end + RemainingTimeChecker.reaction
        let hasEnded = try cluster.run(within: end - cluster.now) { [log] _ in log.model.leases[Self.lease] == nil }
        try throwEarly()
        guard hasEnded || end < cluster.now else {
            throw Violation("lease-late", "a lease of \(ttl) s that nobody renewed lives on after elections: \(summary)")
        }
    }

    private func grant(_ ttl: Int64) throws {
        for _ in 0..<20 where log.model.leases[Self.lease] == nil {
            if let leader = cluster.leaders.first {
                try clients.run(.propose(.leaseGrant(LeaseGrantRequest(ttl: ttl, id: Self.lease))), at: leader.id)
            }
            try cluster.run(within: .seconds(2)) { [log] _ in log.model.leases[Self.lease] != nil }
        }
        guard log.model.leases[Self.lease] != nil else { throw Violation("liveness", "no lease is granted: \(summary)") }
    }

    /// Returns when another leader is found, should there be one, and everything is whole again.
    private func changeLeader(_ loss: Loss, _ random: inout SeededRandom) throws {
        guard let leader = cluster.leaders.first else { return }
        let others = driver.membership.present.map(\.id).filter { $0 != leader.id }
        let away = Instant.Span.milliseconds(Int64.random(in: 50...3000, using: &random))
        cluster.say { "elections: \(loss) of m\(leader.id)" }
        leases.times.wasDisturbed()
        switch loss {
        case .power: try cluster.stop(leader.id, .lost)
        case .process: try cluster.stop(leader.id, .kept)
        case .handOver:
            if let other = others.randomElement(using: &random) { clients.call(.moveLeader(to: other), at: leader.id) }
        case .isolation: for other in others { block(leader.id, other) }
        }
        cluster.schedule(after: away) { [unowned self] in
            try cluster.start(leader.id)
            if loss == .isolation { for other in others { unblock(leader.id, other) } }
        }
        try cluster.run(for: away + .milliseconds(1))
        let isBack = try cluster.run(within: Self.patience) { [unowned self] in
            $0.leaders.count == 1 && $0.leaders.first?.published?.status.isReady == true && isLevel
        }
        try throwEarly()
        guard isBack else { throw Violation("liveness", "no leader after \(loss): \(summary)") }
        leases.times.becameWhole(now: cluster.now)
    }

    private func block(_ one: MemberID, _ other: MemberID) {
        cluster.network.block(one, other)
        cluster.network.block(other, one)
    }

    private func unblock(_ one: MemberID, _ other: MemberID) {
        cluster.network.unblock(one, other)
        cluster.network.unblock(other, one)
    }
}
