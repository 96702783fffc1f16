import Bytes
import Host
import Testing

@testable import Lease

/// The same rules by scanning everything.
private struct Model {
    struct Lease {
        var ttl: Int64
        var remainingTTL: Int64 = 0
        var expiry: Instant?
        var revocation: Instant?
        var checkpoint: Instant?
        var isBeingWritten = false

        func interval(_ part: Int64) -> Instant.Span { .milliseconds(max(1000, min(300_000, ttl * part))) }

        mutating func checkpoint(at due: Instant) { checkpoint = due < expiry! ? due : nil }
    }
    var leases: [Int64: Lease] = [:]
    var owners: [[UInt8]: Int64] = [:]
    var isLeading = false
    var window: (end: Instant, left: Int) = (at(-1), 0)

    mutating func renewal(of id: Int64, now: Instant) -> LeaseRenewal {
        guard isLeading else { return .notLeading }
        guard let lease = leases[id] else { return .notFound }
        if lease.expiry! <= now { return .ending }
        if lease.remainingTTL > 0 || lease.isBeingWritten { return .checkpointed }
        start(id, now)
        return .renewed(ttl: lease.ttl)
    }

    mutating func start(_ id: Int64, _ now: Instant) {
        guard isLeading else { return }
        leases[id]!.expiry = now + .seconds(leases[id]!.ttl)
        leases[id]!.revocation = leases[id]!.expiry
        leases[id]!.checkpoint(at: now + leases[id]!.interval(400))
    }

    mutating func apply(_ id: Int64, _ remaining: Int64) {
        guard leases[id] != nil else { return }
        leases[id]!.remainingTTL = remaining
        leases[id]!.isBeingWritten = false
        guard let expiry = leases[id]!.expiry, remaining == 0 else { return }
        let began = Int64(expiry.nanoseconds) - leases[id]!.ttl * 1_000_000_000
        leases[id]!.checkpoint(at: Instant(nanoseconds: UInt64(max(0, began))) + leases[id]!.interval(400))
    }

    mutating func promote(_ now: Instant, _ extend: Instant.Span) {
        isLeading = true
        for (id, lease) in leases {
            let left = lease.remainingTTL > 0 ? lease.remainingTTL : lease.ttl
            leases[id]!.expiry = now + .seconds(left) + extend
            leases[id]!.revocation = leases[id]!.expiry
            leases[id]!.checkpoint(at: now + lease.interval(lease.remainingTTL > 0 ? 125 : 400))
        }
    }

    mutating func demote() {
        isLeading = false
        for id in leases.keys {
            leases[id]!.expiry = nil
            leases[id]!.revocation = nil
            leases[id]!.checkpoint = nil
            leases[id]!.isBeingWritten = false
        }
    }

    private func due(_ moment: KeyPath<Lease, Instant?>, _ now: Instant) -> [Int64] {
        leases.compactMap { id, lease in lease[keyPath: moment].map { (at: $0, id: id) } }.filter { $0.at <= now }
            .sorted { ($0.at.nanoseconds, $0.id) < ($1.at.nanoseconds, $1.id) }.map(\.id)
    }

    mutating func expired(_ now: Instant, limit: Int) -> [Int64] {
        guard isLeading else { return [] }
        if now >= window.end { window = (now + .milliseconds(500), 500) }
        let ids = Array(due(\.revocation, now).prefix(min(limit, window.left)))
        for id in ids { leases[id]!.revocation = now + .seconds(3) }
        window.left -= ids.count
        return ids
    }

    mutating func checkpoints(_ now: Instant) -> [[Int64]] {
        guard isLeading else { return [] }
        var result: [[Int64]] = []
        for id in due(\.checkpoint, now) {
            let left = Int64(((leases[id]!.expiry! - now).seconds).rounded(.up))
            leases[id]!.checkpoint(at: now + leases[id]!.interval(125))
            guard left > 0, left < leases[id]!.ttl else { continue }
            leases[id]!.isBeingWritten = true
            result.append([id, left])
        }
        return result
    }

    /// The first moment at which ``expired`` or ``checkpoints`` would give or change something.
    var wake: Instant? {
        guard isLeading else { return nil }
        return leases.values.flatMap { [$0.revocation, $0.checkpoint].compactMap(\.self) }.min()
    }
}

@Suite struct LeaseModelTests {
    @Test(arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func theTableDoesWhatTheModelSays(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var run = Run(seed: seed)
        for step in 0..<4000 { try run.step(step, &random) }
        #expect(run.revoked > 50 && run.checkpointed > 20 && run.renewed > 50, "seed \(seed): \(run.revoked) \(run.checkpointed)")
    }
}

private struct Run {
    let seed: UInt64
    var table = makeTable()
    var model = Model()
    var bucket = Bucket()
    var now = at(0)
    var revoked = 0
    var checkpointed = 0
    var renewed = 0
    /// Checkpoints on their way.
    var log: [[Int64]] = []

    init(seed: UInt64) {
        self.seed = seed
        table.writesCheckpoints = true
        table.storesRemainingTTL = true
    }

    mutating func step(_ step: Int, _ random: inout SeededRandom) throws {
        let id = Int64.random(in: -3..<40, using: &random)
        let comment: Comment = "seed \(seed), step \(step)"
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<20: grant(id, ttl: [1, 5, 30, 300, 800, 2000].randomElement(using: &random)!, comment)
        case 20..<25: revoke(id, comment)
        case 25..<45: move("k\(Int.random(in: 0..<30, using: &random))", to: id)
        case 45..<65: renew(id, comment)
        case 65..<80:
            pass(Int64.random(in: 0..<[1, 3000, 60_000, 200_000].randomElement(using: &random)!, using: &random), comment)
        case 80..<92: expire(limit: [1, 3, 1000].randomElement(using: &random)!, revoking: Bool.random(using: &random), comment)
        case 92..<96: checkpoint(comment)
        case 96: lead(extend: .seconds(Int64.random(in: 0..<3, using: &random)))
        case 97: resign()
        case 98: try restart(comment)
        case 99: applyLog()
        default: compare(comment)
        }
        bucket.take(table.takeChanges())
    }

    private mutating func grant(_ id: Int64, ttl: Int64, _ comment: Comment) {
        let refused = refusal { () throws(LeaseRefusal) in try table.grant(id: id, ttl: ttl, now: now) }
        #expect(refused == (id == 0 ? .notFound : model.leases[id] != nil ? .exists : nil), comment)
        guard refused == nil else { return }
        model.leases[id] = Model.Lease(ttl: max(ttl, 2))
        model.start(id, now)
    }

    private mutating func revoke(_ id: Int64, _ comment: Comment) {
        let keys = try? table.revoke(id)
        let expected = model.owners.filter { $0.value == id }.map(\.key).sorted { $0.lexicographicallyPrecedes($1) }
        #expect(keys == (model.leases[id] == nil ? nil : expected), comment)
        model.leases[id] = nil
        model.owners = model.owners.filter { $0.value != id }
        revoked += keys == nil ? 0 : 1
    }

    private mutating func move(_ key: String, to id: Int64) {
        table.move(Array(key.utf8), to: id)
        model.owners[Array(key.utf8)] = model.leases[id] == nil ? nil : id
    }

    private mutating func renew(_ id: Int64, _ comment: Comment) {
        let renewal = table.renewal(of: id, now: now)
        #expect(renewal == model.renewal(of: id, now: now), comment)
        if case .renewed = renewal { renewed += 1 }
        guard renewal == .checkpointed else { return }
        applyLog()
        apply(id, 0)
    }

    private mutating func apply(_ id: Int64, _ remaining: Int64) {
        table.applyCheckpoint(id, remainingTTL: remaining)
        model.apply(id, remaining)
    }

    /// What was written down comes out of the log some time later, in order.
    private mutating func applyLog() {
        for item in log { apply(item[0], item[1]) }
        log = []
    }

    /// Time passes, but not unnoticed: the table has to ask for attention in time.
    private mutating func pass(_ milliseconds: Int64, _ comment: Comment) {
        if let wake = model.wake {
            #expect(table.nextWake != nil, comment)
            if model.window.left > 0 { #expect(table.nextWake! <= wake, comment) }
        } else {
            #expect(table.nextWake == nil || table.isLeading, comment)
        }
        now = now + .milliseconds(milliseconds)
    }

    private mutating func expire(limit: Int, revoking: Bool, _ comment: Comment) {
        let ids = table.expired(now: now, limit: limit)
        #expect(ids == model.expired(now, limit: limit), comment)
        if revoking { for id in ids { revoke(id, comment) } }
    }

    private mutating func checkpoint(_ comment: Comment) {
        let due = table.dueCheckpoints(now: now, limit: 1000).map { [$0.id, $0.remainingTTL] }
        #expect(due.sorted { $0[0] < $1[0] } == model.checkpoints(now).sorted { $0[0] < $1[0] }, comment)
        log += due
        checkpointed += due.count
    }

    private mutating func lead(extend: Instant.Span) {
        table.promote(now: now, extend: extend)
        model.promote(now, extend)
    }

    private mutating func resign() {
        table.demote()
        model.demote()
    }

    /// What the bucket holds is all that a restart needs, beside the keys' own records of their leases.
    private mutating func restart(_ comment: Comment) throws {
        applyLog()
        bucket.take(table.takeChanges())
        table = try bucket.restored()
        table.writesCheckpoints = true
        table.storesRemainingTTL = true
        for (key, id) in model.owners { table.move(key, to: id) }
        model.demote()
        model.window = (at(-1), 0)
        compare(comment)
    }

    private func compare(_ comment: Comment) {
        #expect(table.count == model.leases.count, comment)
        let ids = model.leases.sorted { a, b in
            ((a.value.expiry ?? now).nanoseconds, a.key) < ((b.value.expiry ?? now).nanoseconds, b.key)
        }.map(\.key)
        #expect(table.list(now: now) == ids, comment)
        for (id, lease) in model.leases {
            #expect(
                table.lease(id, now: now)
                    == LeaseState(id: id, ttl: lease.ttl, remaining: lease.expiry.map { $0 - now } ?? .seconds(lease.ttl)),
                comment)
            #expect(Set(table.keys(of: id)) == Set(model.owners.filter { $0.value == id }.map(\.key)), comment)
        }
    }
}
