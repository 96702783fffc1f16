import Host
import Lease

/// Times the lease table with 100,000 leases: what a grant, a renewal, a leased put, a turn's look for expired leases and a change
/// of leaders cost. Prints one line for each.
func runLeaseBenchmark() {
    var benchmark = LeaseBenchmark(leases: 100_000)
    benchmark.run()
}

private struct LeaseBenchmark {
    private let count: Int
    private var table = LeaseTable(electionTimeout: .milliseconds(1000))
    private var random = SeededRandom(seed: 42)
    private var now = Instant(nanoseconds: 1_000_000_000)
    /// In random order, as clients would name them.
    private let ids: [Int64]
    private let keys: [[UInt8]]

    init(leases: Int) {
        count = leases
        ids = (1...Int64(leases)).shuffled(using: &random)
        keys = (0..<leases).map { Array("/registry/leases/\($0)".utf8) }
        table.writesCheckpoints = true
    }

    mutating func run() {
        print("lease table, \(count) leases; figures per operation")
        table.promote(now: now, extend: .seconds(1))
        time("grant", operations: count) { benchmark in
            for id in benchmark.ids { benchmark.grant(id, ttl: 60) }
        }
        time("renew", operations: 10 * count) { benchmark in
            for _ in 0..<10 {
                benchmark.now = benchmark.now + .seconds(20)
                for id in benchmark.ids { benchmark.renew(id) }
                _ = benchmark.table.expired(now: benchmark.now, limit: 500)
            }
        }
        time("attach a key", operations: count) { benchmark in
            for (key, id) in zip(benchmark.keys, benchmark.ids) { benchmark.table.move(key, to: id) }
        }
        time("move a key without lease", operations: 1_000_000) { benchmark in
            for _ in 0..<1_000_000 { benchmark.table.move([1, 2, 3], to: 0) }
        }
        time("look for expired leases, none there", operations: 1_000_000) { benchmark in
            for _ in 0..<1_000_000 { _ = benchmark.table.expired(now: benchmark.now, limit: 500) }
        }
        time("demote and promote", operations: 1) { benchmark in
            benchmark.table.demote()
            benchmark.table.promote(now: benchmark.now, extend: .seconds(1))
        }
        time("list all", operations: 1) { benchmark in _ = benchmark.table.list(now: benchmark.now) }
        time("expire and revoke", operations: count) { benchmark in benchmark.revokeAll() }
    }

    private mutating func grant(_ id: Int64, ttl: Int64) {
        do { _ = try table.grant(id: id, ttl: ttl, now: now) } catch { preconditionFailure("\(error)") }
        _ = table.takeChanges()
    }

    private mutating func renew(_ id: Int64) {
        let renewal = table.renewal(of: id, now: now)
        precondition(renewal == .renewed(ttl: 60), "leases are renewed before they end")
    }

    private mutating func revokeAll() {
        now = now + .seconds(1000)
        while !table.isEmpty {
            now = now + .milliseconds(500)
            for id in table.expired(now: now, limit: 500) {
                do { _ = try table.revoke(id) } catch { preconditionFailure("\(error)") }
                _ = table.takeChanges()
            }
        }
    }

    private mutating func time(_ name: String, operations: Int, _ body: (inout LeaseBenchmark) -> Void) {
        let taken = ContinuousClock().measure { body(&self) }
        let nanoseconds = Double(taken.components.seconds) * 1e9 + Double(taken.components.attoseconds) / 1e9
        let each = Int(nanoseconds / Double(operations) * 10)
        print("  \(name): \(each / 10).\(each % 10) ns")
    }
}
