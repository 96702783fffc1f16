import Glibc
import Host
import Testing

@testable import Raft

/// Whole clusters under random faults. `RAFT_CAMPAIGN=N` runs N seeds per size, `RAFT_SEED=S` starts at seed S.
struct RandomisedClusterTests {
    static func environment(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

    static let firstSeed = environment("RAFT_SEED") ?? 1

    static func seeds(_ usual: UInt64) -> Range<UInt64> { firstSeed..<firstSeed + (environment("RAFT_CAMPAIGN") ?? usual) }

    private func run(founders: Int, spares: Int, seed: UInt64) throws -> ClusterSimulation {
        var simulation = try ClusterSimulation(founders: founders, spares: spares, seed: seed)
        try simulation.run(until: simulation.now + .seconds(4))
        try simulation.heal()
        try simulation.checkLiveness()
        return simulation
    }

    @Test(arguments: [(1, 2, UInt64(20)), (3, 2, 50), (5, 2, 25)])
    func keepsItsPromises(founders: Int, spares: Int, usual: UInt64) {
        var applied: LogIndex = 0
        var reads = 0
        var routine = 0
        var heldUp = 0
        for seed in Self.seeds(usual) {
            do {
                let simulation = try run(founders: founders, spares: spares, seed: seed)
                applied += simulation.checker.maximumApplied
                reads += simulation.answeredReads
                routine += simulation.routine
                if simulation.heldUp { heldUp += 1 }
            } catch {
                Issue.record("seed \(seed), \(founders) founders: \(error)")
            }
        }
        #expect(heldUp * 100 <= max(100, Self.seeds(usual).count), "\(heldUp) clusters waited for a former voter")
        // The world must not be so bad that nothing was tested.
        #expect(applied > 100 && reads > 20, "applied \(applied), reads \(reads)")
        #expect(founders == 1 || routine > 1000, "\(routine) routine messages")
    }

    @Test func sameSeedSameHistory() throws {
        let first = try run(founders: 3, spares: 1, seed: Self.firstSeed)
        let second = try run(founders: 3, spares: 1, seed: Self.firstSeed)
        #expect(first.delivered == second.delivered)
        #expect(first.members.map(\.machine) == second.members.map(\.machine))
    }
}
