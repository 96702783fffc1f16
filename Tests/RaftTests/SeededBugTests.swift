import Host
import Testing

@testable import Raft

/// The checkers are worth something only if they find mistakes: each is made on purpose here.
struct SeededBugTests {
    /// Starts near a seed that finds the bug, to be quick.
    @Test(arguments: zip(SeededBug.allCases, [UInt64(1), 29, 30, 3]))
    func isFound(bug: SeededBug, firstSeed: UInt64) throws {
        for seed in firstSeed..<firstSeed + 60 {
            // Bugs may also run into the room's own defences, which throw a RaftError.
            var simulation = try ClusterSimulation(founders: 3, spares: 0, seed: seed, bug: bug)
            do {
                try simulation.run(until: simulation.now + .seconds(4))
                try simulation.heal()
                try simulation.checkLiveness()
            } catch {
                print("seed \(seed) finds \(bug): \(error)")
                return
            }
        }
        Issue.record("\(bug) was not found")
    }
}
