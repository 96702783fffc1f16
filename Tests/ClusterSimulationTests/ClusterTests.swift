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

    /// How many of the two others are gone when the leader wants to stop.
    @Test(arguments: [0, 1, 2])
    func aLeaderThatStopsHandsOverToWhoeverIsThere(gone: Int) throws {
        let timeout = Instant.Span.seconds(1)
        let cluster = try SimulatedCluster(ClusterOptions(founders: 3, seed: 4) { $0.electionTimeout = timeout })
        #expect(try cluster.run(within: .seconds(20)) { $0.leaders.first?.published?.status.isReady == true })
        let leader = try #require(cluster.leaders.first)
        // The first to be asked are the first to go.
        for other in cluster.members.filter({ $0.id != leader.id }).sorted(by: { $0.id < $1.id }).prefix(gone) {
            try cluster.stop(other.id)
        }
        let call = cluster.call(.handOverLeadership, on: leader.id)
        let began = cluster.now
        #expect(try cluster.run(within: .seconds(20)) { $0.answer(call) != nil })
        guard case .done? = cluster.answer(call) else { Issue.record("\(cluster.answer(call)!)"); return }
        #expect((cluster.now - began).nanoseconds <= Int64(gone) * timeout.nanoseconds + timeout.nanoseconds / 5)
        if gone < 2 { #expect(cluster.leaders.contains { $0.id != leader.id }) }
    }

    /// Longer than an election timeout, or shorter.
    @Test(arguments: [4000, 300])
    func aLeaderWhoseDiskStallsStepsDown(milliseconds: Int64) throws {
        let cluster = try SimulatedCluster(ClusterOptions(founders: 3, seed: 5) { $0.electionTimeout = .seconds(1) })
        #expect(try cluster.run(within: .seconds(20)) { $0.leaders.first?.published?.status.isReady == true })
        let leader = try #require(cluster.leaders.first)
        let isLong = milliseconds > 1000
        leader.diskDelay = .milliseconds(milliseconds)
        cluster.propose(.put(PutRequest(key: Array("a".utf8), value: Array("1".utf8))), on: leader.id)
        try cluster.run(for: .milliseconds(10))
        leader.diskDelay = .milliseconds(0)
        // The others wait two election timeouts at most.
        #expect(try cluster.run(within: .milliseconds(2_300)) { $0.leaders.contains { $0.id != leader.id } } == isLong)
        let other = try #require(cluster.members.first { $0.id != leader.id })
        let put = PutRequest(key: Array("b".utf8), value: Array("1".utf8))
        let call = cluster.propose(.put(put), on: other.id).call
        #expect(try cluster.run(within: .milliseconds(500)) { $0.answer(call) != nil })
        guard case .applied(.response)? = cluster.answer(call) else { Issue.record("not applied"); return }
        try cluster.run(for: .seconds(5))
        let hasSteppedDown = leader.events.contains { if case .stalled = $0 { true } else { false } }
        #expect(hasSteppedDown == isLong)
        #expect(cluster.leaders.count == 1 && (cluster.leaders.first?.id != leader.id) == isLong)
        #expect(Set(cluster.members.map { $0.published?.view.currentRevision }) == [3])
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
