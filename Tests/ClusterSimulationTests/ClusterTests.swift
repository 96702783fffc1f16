import ClusterSimulation
import EtcdAPI
import Host
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
}
