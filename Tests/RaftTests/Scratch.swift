import Host
import Glibc
import Testing
@testable import Raft
struct Scratch {
    @Test func look() throws {
        let seed = RandomisedClusterTests.environment("LOOK") ?? 0
        if seed == 0 { return }
        var s = try ClusterSimulation(founders: Int(RandomisedClusterTests.environment("F") ?? 1), spares: 2, seed: seed)
        do {
        try s.run(until: s.now + .seconds(4))
        try s.heal()
        print("MODE", s.preVote, s.checkQuorum)
        for m in s.members { if let st = m.node?.status { print(st) ; print(m.machine) } else { print(m.id, "down") } }
        try s.checkLiveness()
        } catch { print("ERR", error) }
        for m in s.members { if let st = m.node?.status { print(st) ; print(m.machine) } else { print(m.id, "down") } }
    }
}
