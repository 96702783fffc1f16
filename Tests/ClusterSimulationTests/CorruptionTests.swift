import ClusterSimulation
import EtcdAPI
import Host
import Member
import Simulation
import Testing

/// One member of a cluster holds other data than the rest.
@Suite struct CorruptionTests {
    private static let file = DataDirectory("/data").pageFilePath

    private func cluster(founders: Int, _ adjust: @escaping (inout MemberSettings) -> Void) throws -> SimulatedCluster {
        let cluster = try SimulatedCluster(ClusterOptions(founders: founders, seed: 11, adjust: adjust))
        try cluster.run(within: .seconds(20)) { $0.leaders.first?.published?.status.isReady == true }
        let leader = try #require(cluster.leaders.first)
        for text in ["right value", "second", "third"] {
            cluster.propose(.put(PutRequest(key: Array("key \(text)".utf8), value: Array(text.utf8))), on: leader.id)
        }
        try cluster.run(for: .seconds(2))
        return cluster
    }

    private func damage(_ id: UInt64, of cluster: SimulatedCluster) throws {
        let member = try #require(cluster.members.first { $0.id == id })
        try cluster.stop(id, .kept)
        var bytes = try #require(member.disk.contents(CorruptionTests.file))
        let (right, wrong) = (Array("right value".utf8), Array("wrong value".utf8))
        var places = 0
        for start in 0...(bytes.count - right.count) where bytes[start..<start + right.count].elementsEqual(right) {
            bytes.replaceSubrange(start..<start + right.count, with: wrong)
            places += 1
        }
        #expect(places > 0)
        member.disk.setContents(CorruptionTests.file, bytes)
        try cluster.start(id)
        try cluster.run(within: .seconds(20)) { $0.leaders.first?.published?.status.isReady == true }
        try cluster.run(for: .seconds(1))
    }

    private func compact(_ cluster: SimulatedCluster) throws {
        let leader = try #require(cluster.leaders.first)
        cluster.propose(.compaction(CompactionRequest(revision: 3)), on: leader.id)
    }

    private func alarms(_ cluster: SimulatedCluster) -> Set<UInt64> {
        Set(cluster.members.flatMap { $0.published?.status.alarms ?? [] }.filter { $0.alarm == .corrupt }.map(\.memberID))
    }

    @Test(arguments: [false, true])
    func theMinorityIsAccusedAtTheNextCompaction(leads: Bool) throws {
        let cluster = try cluster(founders: 3) { $0.corruption.compactionInterval = .seconds(1) }
        let leader = try #require(cluster.leaders.first).id
        let victim = leads ? leader : leader % 3 + 1
        try damage(victim, of: cluster)
        if leads {
            let now = try #require(cluster.leaders.first).id
            cluster.call(.moveLeader(to: victim), on: now)
            try cluster.run(within: .seconds(5)) { $0.leaders.first?.id == victim }
        }
        try cluster.run(for: .seconds(3))
        #expect(alarms(cluster).isEmpty)
        try compact(cluster)
        #expect(try cluster.run(within: .seconds(5)) { alarms($0) == [victim] })
        try cluster.run(for: .seconds(3))
        // Writes are refused; a leader with wrong data has handed over.
        let last = try #require(cluster.leaders.first)
        #expect(last.id != victim)
        let call = cluster.propose(.put(PutRequest(key: [1], value: [1])), on: last.id).call
        try cluster.run(within: .seconds(5)) { $0.answer(call) != nil }
        guard case .applied(.refused(.corrupt))? = cluster.answer(call) else {
            Issue.record("\(String(describing: cluster.answer(call)))")
            return
        }
    }

    @Test func aScanNeedsNoCompaction() throws {
        let cluster = try cluster(founders: 3) { $0.corruption.scanInterval = .seconds(2) }
        let victim = try #require(cluster.leaders.first).id % 3 + 1
        try damage(victim, of: cluster)
        #expect(try cluster.run(within: .seconds(10)) { alarms($0) == [victim] })
    }

    @Test func withoutAMajorityNobodyIsAccused() throws {
        let cluster = try cluster(founders: 2) { $0.corruption.scanInterval = .seconds(2) }
        let leader = try #require(cluster.leaders.first).id
        try damage(3 - leader, of: cluster)
        #expect(
            try cluster.run(within: .seconds(10)) {
                $0.leaders.first?.published?.status.differences.map(\.verdict) == [.undecided]
            })
        #expect(alarms(cluster).isEmpty)
    }
}
