import Glibc
import Host
import Simulation
import Testing
import WAL

@testable import Member

/// The log's next segment is prepared away from the turn, whatever becomes of it.
@Suite struct SegmentTests {
    private func bench() -> Bench {
        let bench = Bench()
        bench.segmentSize = 8_000
        return bench
    }

    private func write(_ rounds: Int, _ client: inout Client, to bench: Bench) throws {
        let value = String(repeating: "v", count: 300)
        for round in 0..<rounds {
            try client.send((0..<3).map { put("k\($0)", "\(round) \(value)") }, to: bench)
            try bench.run(to: bench.now + .milliseconds(20))
        }
    }

    private func restart(_ bench: Bench, _ unsynced: UnsyncedWrites, seed: UInt64, _ client: inout Client) throws {
        var random = SeededRandom(seed: seed)
        bench.crash(unsynced, &random)
        try bench.start()
        try client.compare(with: bench)
        #expect(try bench.disk.list("/data/member/wal").count { $0.hasSuffix(".tmp") } <= 1)
    }

    @Test(arguments: UnsyncedWrites.allCases) func everyCutUsesWhatWasPrepared(unsynced: UnsyncedWrites) throws {
        let bench = bench()
        var client = Client()
        try bench.start()
        try write(30, &client, to: bench)
        // The turn itself allocates nothing: one preparation for each segment but the first, and one more at the most.
        let segments = try bench.disk.list("/data/member/wal").filter { $0.hasSuffix(".wal") }.count
        #expect(segments >= 4 && (segments - 1...segments).contains(bench.preparations))
        for seed in UInt64(1)...5 { try restart(bench, unsynced, seed: seed, &client) }
    }

    @Test func aPreparationThatNeverReportsHoldsNothingUp() throws {
        let bench = bench()
        var client = Client()
        var lost: [PreparedSegment?] = []
        bench.prepares = { preparation in
            lost.append(try? preparation.run())
            return nil
        }
        try bench.start()
        try write(30, &client, to: bench)
        #expect(try bench.disk.list("/data/member/wal").filter { $0.hasSuffix(".wal") }.count >= 4)
        lost.removeAll()
        try restart(bench, .lost, seed: 1, &client)
    }

    @Test func afterAFailureTheNextIsTriedLater() throws {
        let bench = bench()
        var client = Client()
        bench.prepares = { _ in nil }
        try bench.start()
        // A little over half a segment, in many turns.
        try write(6, &client, to: bench)
        for _ in 0..<20 { try bench.turn() }
        #expect(bench.preparations == 1)
        try bench.run(to: bench.now + .seconds(2))
        try bench.turn()
        #expect(bench.preparations == 2)
    }
}
