import ClusterSimulation
import EtcdAPI
import Host
import MVCC
import Member
import Simulation
import Testing

@Suite struct ClusterTests {
    @Test(arguments: [1, 3, 5])
    func aClusterElectsALeaderAndAppliesWrites(founders: Int) throws {
        let cluster = try SimulatedCluster(ClusterOptions(founders: founders, seed: 1))
        #expect(try cluster.run(within: .seconds(20)) { $0.leaders.first?.published?.status.isReady == true })
        let leader = try #require(cluster.leaders.first)
        let put = PutRequest(key: Array("a".utf8), value: Array("1".utf8))
        let call = cluster.propose(.put(put), on: leader.id).call
        #expect(try cluster.run(within: .seconds(5)) { $0.answer(call) != nil })
        guard case .applied(.response)? = cluster.answer(call) else { Issue.record("not applied"); return }
        try cluster.run(for: .seconds(1))
        #expect(cluster.members.allSatisfy { $0.published?.view.currentRevision == 2 })
    }

    @Test func anotherLeaderIsFoundWhenOneFails() throws {
        let cluster = try SimulatedCluster(ClusterOptions(founders: 3, seed: 2))
        try cluster.run(within: .seconds(20)) { !$0.leaders.isEmpty }
        let first = try #require(cluster.leaders.first)
        try cluster.stop(first.id, .torn)
        #expect(try cluster.run(within: .seconds(20)) { !$0.leaders.isEmpty })
        try cluster.start(first.id)
        try cluster.run(for: .seconds(2))
        #expect(cluster.leaders.count == 1)
        #expect(cluster.members.allSatisfy { $0.published?.status.leader == cluster.leaders.first?.id })
    }

    @Test func aMemberThatIsFarBehindGetsASnapshot() throws {
        let options = ClusterOptions(founders: 3, seed: 3) {
            $0.snapshotCount = 20
            $0.catchUpEntries = 5
        }
        let cluster = try SimulatedCluster(options)
        #expect(try cluster.run(within: .seconds(20)) { $0.leaders.first?.published?.status.isReady == true })
        let leader = try #require(cluster.leaders.first)
        let absent = try #require(cluster.members.first { $0.id != leader.id })
        try cluster.stop(absent.id, .lost)
        for number in 0..<100 {
            cluster.propose(.put(PutRequest(key: Array("k\(number % 7)".utf8), value: [UInt8(number)])), on: leader.id)
            try cluster.run(for: .milliseconds(30))
        }
        try cluster.start(absent.id)
        try cluster.run(for: .seconds(5))
        #expect(cluster.counts.installations == 1)
        #expect(absent.published?.view.currentRevision == 101)
        let hashes = try cluster.members.map { try $0.published?.view.hashKeyValues(at: 0) }
        #expect(Set(hashes.map { $0?.hash }).count == 1)
    }
}
