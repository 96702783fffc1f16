import EtcdAPI
import Host
import Member
import Raft
import Simulation
import Testing

@testable import ClusterSimulation

/// What the simulator found in the real code, as scripts that lead there whatever seeds come to mean.
@Suite struct RegressionTests {
    /// Keeps the model of what members apply.
    private final class Witness: ClusterObserver {
        let log = LogChecker(smallestTTL: 2)
        private(set) var violation: (any Error)?

        func wiped(_ member: SimulatedMember) {}
        func started(_ member: SimulatedMember, _ cluster: SimulatedCluster) {}
        func applying(_ entry: Entry, _ member: SimulatedMember, _ cluster: SimulatedCluster) {
            do { try log.sawApplying(entry, by: member.id) } catch { violation = error }
        }
        func sent(_ message: Raft.Message, _ cluster: SimulatedCluster) {}
        func saw(_ event: MemberEvent, _ member: SimulatedMember, _ cluster: SimulatedCluster) {}
        func published(_ member: SimulatedMember, _ cluster: SimulatedCluster) {}
        func ended(_ member: SimulatedMember, _ cluster: SimulatedCluster) {}
        func answered(
            _ reply: ReplyAddress, _ answer: MemberAnswer, _ member: SimulatedMember, _ cluster: SimulatedCluster
        ) {}
    }

    private func cluster(
        seed: UInt64, seenBy observer: (any ClusterObserver)? = nil, _ adjust: @escaping (inout MemberSettings) -> Void = { _ in }
    ) throws -> SimulatedCluster {
        let cluster = try SimulatedCluster(ClusterOptions(founders: 3, seed: seed, adjust: adjust), started: false)
        cluster.observer = observer
        for member in cluster.members { try cluster.start(member.id) }
        #expect(try cluster.run(within: .seconds(20)) { $0.leaders.first?.published?.status.isReady == true })
        return cluster
    }

    /// Snapshots are due again and again, and followers soon need one.
    private func clusterOfShortLogs(seed: UInt64, snapshotCount: UInt64) throws -> SimulatedCluster {
        try cluster(seed: seed) {
            $0.snapshotCount = snapshotCount
            $0.catchUpEntries = 5
            $0.commitInterval = .milliseconds(5)
        }
    }

    private func put(_ key: String, _ cluster: SimulatedCluster, on leader: MemberID, then span: Instant.Span) throws {
        cluster.propose(.put(PutRequest(key: Array(key.utf8), value: Array("value".utf8))), on: leader)
        try cluster.run(for: span)
    }

    /// A watcher missed changes that became visible in one turn with the compaction that removed them.
    @Test func changesCompactedBeforeTheyWereSeenEndTheWatch() throws {
        let witness = Witness()
        let cluster = try cluster(seed: 21, seenBy: witness)
        let leader = try #require(cluster.leaders.first)
        let far = try #require(cluster.members.first { $0 !== leader })
        let session = WatchSession(
            number: 1, request: WatchCreateRequest(key: Array("key".utf8)), checker: witness.log, bug: nil)
        session.attach(to: far)
        let revision = try #require(far.published?.view.currentRevision)
        cluster.network.block(leader.id, far.id)
        cluster.network.block(far.id, leader.id)
        for _ in 0..<3 { try put("key", cluster, on: leader.id, then: .milliseconds(50)) }
        cluster.propose(.compaction(CompactionRequest(revision: revision + 3)), on: leader.id)
        try cluster.run(for: .milliseconds(50))
        cluster.network.unblock(leader.id, far.id)
        cluster.network.unblock(far.id, leader.id)
        try cluster.run(for: .seconds(1))
        #expect(far.published?.view.compactRevision == revision + 3)
        #expect(session.failure == nil && witness.violation == nil)
        #expect(session.compactions == 1 && session.isCancelled)
    }

    /// A leader whose page file was ahead of the commit index in its log could not supply a snapshot, and without the follower that
    /// needed one nothing could be committed.
    @Test func aLeaderWhosePageFileIsAheadOfItsLogSuppliesSnapshots() throws {
        let cluster = try clusterOfShortLogs(seed: 22, snapshotCount: 20)
        let leader = try #require(cluster.leaders.first)
        let (absent, third) = try #require(cluster.members.filter { $0 !== leader }.pair)
        try cluster.stop(absent.id, .kept)
        for number in 0..<60 { try put("k\(number % 7)", cluster, on: leader.id, then: .milliseconds(10)) }
        try cluster.run(for: .milliseconds(100))
        try cluster.stop(third.id, .kept)
        try cluster.stop(leader.id, .lost)
        try cluster.start(leader.id)
        try cluster.start(absent.id)
        #expect(try cluster.run(within: .seconds(20)) { $0.leaders.first?.id == leader.id })
        let call = cluster.propose(.put(PutRequest(key: Array("a".utf8), value: Array("1".utf8))), on: leader.id).call
        #expect(try cluster.run(within: .seconds(7)) { $0.answer(call) != nil })
        guard case .applied(.response)? = cluster.answer(call) else {
            Issue.record("not applied: \(String(describing: cluster.answer(call)))")
            return
        }
        #expect(cluster.counts.databasesReceived > 0)
    }

    /// A member that lost its power forgot that another's removal was committed, and waited for that one, which had been switched off.
    @Test func aRemovalThatWasShownIsNotForgotten() throws {
        let cluster = try SimulatedCluster(ClusterOptions(founders: 2, seed: 24))
        #expect(try cluster.run(within: .seconds(20)) { $0.leaders.first?.published?.status.isReady == true })
        try cluster.run(for: .seconds(6))
        let leader = try #require(cluster.leaders.first)
        let last = try #require(cluster.members.first { $0 !== leader })
        cluster.call(.changeMembership(.remove(leader.id)), on: leader.id)
        #expect(try cluster.run(within: .seconds(5)) { _ in last.published?.status.membership.removed == [leader.id] })
        try cluster.stop(leader.id, .kept)
        try cluster.stop(last.id, .lost)
        try cluster.start(last.id)
        #expect(try cluster.run(within: .seconds(20)) { $0.leaders.first === last })
    }

    /// A leader told the other of two members that its removal was committed, and failed before it had written that down itself: the other
    /// left, and the leader waited for it ever after.
    @Test func aRemovalIsWrittenDownBeforeItIsTold() throws {
        let cluster = try SimulatedCluster(ClusterOptions(founders: 2, seed: 32))
        #expect(try cluster.run(within: .seconds(20)) { $0.leaders.first?.published?.status.isReady == true })
        try cluster.run(for: .seconds(6))
        let leader = try #require(cluster.leaders.first)
        let other = try #require(cluster.members.first { $0 !== leader })
        cluster.network.block(other.id, leader.id)
        cluster.call(.changeMembership(.remove(other.id)), on: leader.id)
        try cluster.run(for: .milliseconds(200))
        leader.disk.inject(DiskFault(.write, pathSuffix: ".wal"))
        cluster.network.unblock(other.id, leader.id)
        try cluster.run(for: .seconds(3))
        #expect(!leader.isRunning)
        try cluster.start(leader.id)
        #expect(try cluster.run(within: .seconds(20)) { !$0.leaders.isEmpty })
    }

    /// Where nobody watched, the watches of a loop held on to the state of its start, and no page freed since was used again.
    @Test func whereNobodyWatchesPagesAreUsedAgain() throws {
        let cluster = try SimulatedCluster(ClusterOptions(founders: 1, seed: 25) { $0.commitInterval = .milliseconds(5) })
        #expect(try cluster.run(within: .seconds(20)) { $0.leaders.first?.published?.status.isReady == true })
        for number in 0..<100 {
            let put = PutRequest(key: Array("key\(number)".utf8), value: [UInt8](repeating: 1, count: 2000))
            cluster.propose(.put(put), on: 1)
            try cluster.run(for: .milliseconds(10))
        }
        try cluster.stop(1, .kept)
        try cluster.start(1)
        #expect(try cluster.run(within: .seconds(20)) { $0.leaders.first?.published?.status.isReady == true })
        let before = try #require(cluster.member(1).published?.status.pageFileSize)
        cluster.propose(.deleteRange(DeleteRangeRequest(key: [0], rangeEnd: [0])), on: 1)
        try cluster.run(for: .milliseconds(100))
        let revision = try #require(cluster.member(1).published?.view.currentRevision)
        cluster.propose(.compaction(CompactionRequest(revision: revision)), on: 1)
        for _ in 0..<3 {
            try cluster.run(for: .milliseconds(300))
            cluster.call(.defragment, on: 1)
        }
        try cluster.run(for: .seconds(1))
        let after = try #require(cluster.member(1).published?.status.pageFileSize)
        #expect(before > 200_000 && after < 50_000, "\(before) bytes, \(after) after everything was deleted")
    }

    /// A leader that could not hear of its successor went on renewing leases, for longer than the successor allowed for.
    @Test func aLeaderThatHearsNobodyRenewsNoLeases() throws {
        let cluster = try cluster(seed: 27) { $0.electionTimeout = .seconds(1) }
        let leader = try #require(cluster.leaders.first)
        cluster.propose(.leaseGrant(LeaseGrantRequest(ttl: 5, id: 7)), on: leader.id)
        try cluster.run(for: .milliseconds(100))
        let kept = cluster.call(.renewLease(7), on: leader.id)
        try cluster.run(for: .milliseconds(100))
        guard case .leaseRenewed(5)? = cluster.answer(kept) else { Issue.record("not renewed"); return }
        let others = cluster.members.filter { $0 !== leader }
        for other in others { cluster.network.block(other.id, leader.id) }
        cluster.call(.moveLeader(to: others[0].id), on: leader.id)
        try cluster.run(for: .milliseconds(600))
        #expect(cluster.leaders.contains { $0 === others[0] } && cluster.leaders.contains { $0 === leader })
        let late = cluster.call(.renewLease(7), on: leader.id)
        try cluster.run(for: .seconds(5))
        if case .leaseRenewed? = cluster.answer(late) { Issue.record("renewed") }
        #expect(cluster.answer(late) != nil)
    }

    /// A client revoked a lease and granted another one under its id; while neither could be committed the first one's time was up,
    /// and the leader's revocation of it, behind them in the log, ended the second.
    @Test func aLeaseGrantedAgainIsNotRevokedForTheOneBefore() throws {
        let cluster = try cluster(seed: 28) { $0.electionTimeout = .seconds(1) }
        let leader = try #require(cluster.leaders.first)
        let grant = InternalRaftRequest.Request.leaseGrant(LeaseGrantRequest(ttl: 2, id: 7))
        cluster.propose(grant, on: leader.id)
        try cluster.run(for: .milliseconds(1700))
        let others = cluster.members.filter { $0 !== leader }
        for other in others { cluster.network.block(leader.id, other.id) }
        cluster.propose(.leaseRevoke(LeaseRevokeRequest(id: 7)), on: leader.id)
        cluster.propose(grant, on: leader.id)
        try cluster.run(for: .milliseconds(600))
        for other in others { cluster.network.unblock(leader.id, other.id) }
        try cluster.run(for: .seconds(1))
        #expect(leader.published?.status.leaseCount == 1 && cluster.leaders.contains { $0 === leader })
        try cluster.run(for: .seconds(4))
        #expect(leader.published?.status.leaseCount == 0)
    }

    /// A lease whose time was up while the lead was being handed over, in vain, lived for three seconds longer.
    @Test func leasesEndSoonAfterAHandoverThatFails() throws {
        let cluster = try cluster(seed: 29) { $0.electionTimeout = .seconds(1) }
        let leader = try #require(cluster.leaders.first)
        cluster.propose(.leaseGrant(LeaseGrantRequest(ttl: 2, id: 7)), on: leader.id)
        try cluster.run(for: .milliseconds(1500))
        let target = try #require(cluster.members.first { $0 !== leader })
        cluster.network.block(leader.id, target.id)
        cluster.call(.moveLeader(to: target.id), on: leader.id)
        try cluster.run(for: .milliseconds(1000))
        cluster.network.unblock(leader.id, target.id)
        #expect(leader.published?.status.leaseCount == 1)
        try cluster.run(for: .milliseconds(800))
        #expect(leader.published?.status.leaseCount == 0 && cluster.leaders.contains { $0 === leader })
    }

    /// A member that started with a page file ahead of the commit index in its log wrote a snapshot first of all. Its marker did not count at
    /// the next start, and the segments from which the log would have had to be read instead were purged.
    @Test func aSnapshotRightAfterAStartCounts() throws {
        let cluster = try clusterOfShortLogs(seed: 30, snapshotCount: 20)
        let leader = try #require(cluster.leaders.first)
        leader.crashOnDiskFault = .lost
        leader.disk.inject(DiskFault(.write, pathSuffix: ".snap"))
        for number in 0..<40 where leader.isRunning { try put("k\(number)", cluster, on: leader.id, then: .milliseconds(10)) }
        #expect(!leader.isRunning)
        for other in cluster.members where other !== leader { try cluster.stop(other.id, .kept) }
        try cluster.start(leader.id)
        #expect(try cluster.run(within: .milliseconds(50)) { _ in leader.events.contains { $0.isSnapshotSaved } })
        try cluster.stop(leader.id, .lost)
        try cluster.start(leader.id)
        #expect(leader.notices.contains { if case .restarted(_, let snapshot) = $0 { snapshot >= 20 } else { false } })
    }

    /// A learner showed what an only voter, whose disk was slow to read from, had committed and not published yet; a read there then went back.
    @Test func anOnlyVoterWithALearnerAsksForEachRead() throws {
        let cluster = try SimulatedCluster(ClusterOptions(founders: 1, seed: 31))
        #expect(try cluster.run(within: .seconds(20)) { $0.leaders.first?.published?.status.isReady == true })
        let leader = try #require(cluster.leaders.first)
        #expect(leader.published?.status.readsAreLinearizable == true)
        var learner = cluster.options.record(2)
        learner.isLearner = true
        cluster.call(.changeMembership(.add(learner)), on: leader.id)
        #expect(try cluster.run(within: .seconds(5)) { _ in leader.published?.status.membership.members.count == 2 })
        #expect(leader.published?.status.readsAreLinearizable == false)
        cluster.call(.changeMembership(.remove(2)), on: leader.id)
        #expect(try cluster.run(within: .seconds(5)) { _ in leader.published?.status.readsAreLinearizable == true })
    }

    /// Snapshots that came faster than a slow disk took them over waited without bound, each with its database.
    @Test func snapshotsThatComeTooFastAreNotAllInstalled() throws {
        let cluster = try clusterOfShortLogs(seed: 23, snapshotCount: 15)
        let leader = try #require(cluster.leaders.first)
        let slow = try #require(cluster.members.first { $0 !== leader })
        try cluster.stop(slow.id, .kept)
        for number in 0..<60 { try put("k\(number % 7)", cluster, on: leader.id, then: .milliseconds(5)) }
        slow.pageDelay = .seconds(2)
        try cluster.start(slow.id)
        var jobs = 0
        for number in 0..<500 {
            // Whenever it is reached again, what it lacks is in the leader's log no more.
            if number % 50 == 10 { cluster.network.block(leader.id, slow.id) }
            if number % 50 == 40 { cluster.network.unblock(leader.id, slow.id) }
            try put("k\(number % 7)", cluster, on: leader.id, then: .milliseconds(4))
            jobs = max(jobs, slow.process?.pageJobs.count ?? 0)
        }
        let received = slow.events.count { if case .snapshotReceived = $0 { true } else { false } }
        #expect(received > 4 && jobs <= 2, "\(received) snapshots received, \(jobs) jobs of the page file at a time")
        slow.pageDelay = .milliseconds(0)
        try cluster.run(for: .seconds(5))
        #expect(slow.published?.view.currentRevision == leader.published?.view.currentRevision)
    }
}

extension Array {
    /// The only two.
    fileprivate var pair: (Element, Element)? { count == 2 ? (self[0], self[1]) : nil }
}

extension MemberEvent {
    fileprivate var isSnapshotSaved: Bool { if case .snapshotSaved = self { true } else { false } }
}
