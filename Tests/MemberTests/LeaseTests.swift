import EtcdAPI
import Host
import Records
import Simulation
import Testing

@testable import MVCC
@testable import Member

@Suite struct LeaseTests {
    private func grant(_ id: Int64, _ ttl: Int64) -> InternalRaftRequest.Request {
        .leaseGrant(LeaseGrantRequest(ttl: ttl, id: id))
    }

    private func remaining(_ bench: Bench, _ id: Int64) throws -> Int64? {
        if case .leaseTimes(let remaining, _, _)? = try bench.answer(to: .leaseTimeToLive(id, keys: false)) { return remaining }
        return nil
    }

    @Test func aLeaseEndsAtItsTimeAndItsKeysGoInOneRevision() throws {
        let bench = Bench()
        try bench.start()
        _ = try bench.propose([
            grant(5, 10), put("c", "1", lease: 5), put("a", "1", lease: 5), put("b", "1", lease: 5), put("d", "1"),
        ])
        let began = bench.now
        try bench.run(to: began + .milliseconds(9_900))
        #expect(try bench.value("a") != nil && bench.published.status.leaseCount == 1)
        let revision = bench.published.view.currentRevision
        try bench.run(to: began + .milliseconds(10_100))
        #expect(bench.published.status.leaseCount == 0)
        #expect(bench.published.view.currentRevision == revision + 1)
        #expect(try bench.range(RangeRequest(key: [0], rangeEnd: [0])).kvs.map(\.key) == [Array("d".utf8)])
        #expect(try bench.answer(to: .leaseTimeToLive(5, keys: true))?.refusal == .leaseNotFound)
    }

    @Test func anEndedLeaseStaysEndedAfterACrash() throws {
        let bench = Bench()
        try bench.start()
        _ = try bench.propose([grant(5, 3), put("a", "1", lease: 5)])
        try bench.run(to: bench.now + .seconds(4))
        var random = SeededRandom(seed: 2)
        bench.crash(.lost, &random)
        try bench.start()
        #expect(try bench.value("a") == nil)
        #expect(bench.published.view.currentRevision == 3 && bench.published.status.leaseCount == 0)
    }

    @Test func renewalsKeepALease() throws {
        let bench = Bench()
        try bench.start()
        _ = try bench.propose([grant(5, 10), put("a", "1", lease: 5)])
        for _ in 0..<5 {
            try bench.run(to: bench.now + .seconds(8))
            guard case .leaseRenewed(10)? = try bench.answer(to: .renewLease(5)) else { Issue.record("not renewed"); return }
            #expect(try remaining(bench, 5) == 10)
        }
        try bench.run(to: bench.now + .milliseconds(10_200))
        #expect(try bench.value("a") == nil)
        #expect(try bench.answer(to: .renewLease(5))?.refusal == .leaseNotFound)
    }

    @Test func withoutACheckpointARestartGivesTheWholeTimeAgain() throws {
        let bench = Bench()
        try bench.start()
        _ = try bench.propose([grant(5, 200)])
        try bench.run(to: bench.now + .seconds(75))
        var random = SeededRandom(seed: 3)
        bench.crash(.lost, &random)
        try bench.start()
        let left = try #require(try remaining(bench, 5))
        #expect((198...201).contains(left))
    }

    @Test(arguments: [false, true])
    func remainingTimeIsWrittenDownAndSurvivesARestart(twice: Bool) throws {
        let bench = Bench()
        try bench.start()
        try bench.run(to: bench.now + .seconds(1))
        #expect(bench.published.status.membership.clusterVersion == ClusterVersion(3, 6))
        _ = try bench.propose([grant(5, 1000)])
        try bench.run(to: bench.now + .seconds(400))
        var random = SeededRandom(seed: 4)
        bench.crash(.lost, &random)
        try bench.start()
        // Written down after five minutes, and an election timeout on top.
        #expect((698...702).contains(try #require(try remaining(bench, 5))))
        guard twice else { return }
        // The leader after a restart goes on writing it down.
        try bench.run(to: bench.now + .seconds(400))
        bench.crash(.lost, &random)
        try bench.start()
        #expect((323...330).contains(try #require(try remaining(bench, 5))))
    }

    @Test func aRenewalClearsTheCheckpoint() throws {
        let bench = Bench()
        try bench.start()
        try bench.run(to: bench.now + .seconds(1))
        _ = try bench.propose([grant(5, 1000)])
        try bench.run(to: bench.now + .seconds(400))
        guard case .leaseRenewed(1000)? = try bench.answer(to: .renewLease(5)) else { Issue.record("not renewed"); return }
        try bench.run(to: bench.now + .seconds(1))
        var random = SeededRandom(seed: 5)
        bench.crash(.lost, &random)
        try bench.start()
        #expect((998...1001).contains(try #require(try remaining(bench, 5))))
    }

    /// Members of cluster version 3.5 do not store remaining times, and their log holds bare v2 requests.
    @Test func asVersion35NothingIsWrittenDown() throws {
        let bench = Bench()
        bench.settings.behavesAs = ClusterVersion(3, 5)
        try bench.start()
        try bench.run(to: bench.now + .seconds(1))
        #expect(bench.published.status.membership.clusterVersion == ClusterVersion(3, 5))
        _ = try bench.propose([grant(5, 1000)])
        // The entry itself is in the log, which a start applies again: what counts is the page file.
        try bench.run(to: bench.now + .seconds(400))
        let pages = try bench.committer.file.beginRead()
        let stored = try #require(try pages.bucket(Array("lease".utf8))?.value([0, 0, 0, 0, 0, 0, 0, 5]).map { [UInt8]($0) })
        #expect(stored == [0x08, 5, 0x10, 0xe8, 0x07])
        var random = SeededRandom(seed: 6)
        bench.crash(.lost, &random)
        try bench.start()
        #expect(bench.published.status.membership.members.map(\.name) == ["m"])
    }

    // MARK: stops

    /// Stops in good order, and starts again.
    private func restart(_ bench: Bench) throws {
        try stop(bench)
        try bench.start()
    }

    private func stop(_ bench: Bench) throws {
        bench.member.settle()
        var isSettled = false
        for _ in 0..<20 where !isSettled {
            isSettled = try bench.turnOutput().isSettled
            bench.advance(.milliseconds(1))
        }
        #expect(isSettled)
        var random = SeededRandom(seed: 3)
        bench.crash(.lost, &random)
    }

    /// Remaining seconds that the log and the page file tell whoever opens the directory.
    private func checkpointed(_ bench: Bench) -> [Int64] { bench.member.machine.leases.checkpointed(limit: 100) }

    @Test(arguments: [5, 6]) func remainingTimesSurviveAStopWithoutBeingInTheLog(minor: Int) throws {
        let bench = Bench()
        bench.settings.behavesAs = ClusterVersion(3, minor, 0)
        try bench.start()
        _ = try bench.propose([grant(5, 1000), grant(6, 2000), grant(7, 10)])
        // Long enough for a checkpoint of each long one.
        for _ in 0..<40 {
            try bench.run(to: bench.now + .seconds(8))
            _ = try bench.answer(to: .renewLease(7))
        }
        #expect(checkpointed(bench) == [5, 6])
        let before = try #require(try remaining(bench, 5))
        #expect(before < 690)
        bench.member.settle()
        for _ in 0..<5 {
            try bench.turn()
            bench.advance(.milliseconds(1))
        }
        #expect(checkpointed(bench).isEmpty)
        var random = SeededRandom(seed: 3)
        bench.crash(.lost, &random)
        try bench.open()
        // What the log says to anybody else is the whole time.
        #expect(bench.member.restoredRemainders.map(\.id) == [5, 6])
        try bench.run(until: { $0.isReady }, within: .seconds(10))
        let after = try #require(try remaining(bench, 5))
        #expect((before - 5...before + 2).contains(after), "\(before) s before, \(after) s after")
        try bench.run(to: bench.now + .seconds(1))
        // And a crash does not lose it again.
        #expect(checkpointed(bench) == [5, 6])
    }

    @Test func whatWasLeftAtAStopDoesNotCountOnceTheLogWentOn() throws {
        let bench = Bench()
        try bench.start()
        _ = try bench.propose([grant(5, 1000)])
        try bench.run(to: bench.now + .seconds(100))
        try restart(bench)
        #expect(try #require(try remaining(bench, 5)) < 910)
        // Renewed, then a crash: what was left at the stop is no longer true.
        guard case .leaseRenewed? = try renewed(bench, 5) else { Issue.record("not renewed"); return }
        var random = SeededRandom(seed: 3)
        bench.crash(.lost, &random)
        try bench.start()
        #expect(try #require(try remaining(bench, 5)) > 990)
    }

    private func renewed(_ bench: Bench, _ id: Int64) throws -> MemberAnswer? {
        if let answer = try bench.answer(to: .renewLease(id)) { return answer }
        try bench.turn()
        return bench.answers.values.first { if case .leaseRenewed = $0 { true } else { false } }
    }

    @Test func beforeAnotherMemberJoinsAllLeasesHaveTheirWholeTime() throws {
        let bench = Bench()
        try bench.start()
        _ = try bench.propose([grant(5, 1000), grant(6, 2000)])
        try bench.run(to: bench.now + .seconds(301))
        #expect(checkpointed(bench) == [5, 6])
        let joining = MemberRecord(id: 8, peerURLs: ["http://127.0.0.1:2390"], isLearner: true)
        let answer = try bench.answer(to: .changeMembership(.add(joining)))
        guard case .members(let members)? = answer else { Issue.record("\(String(describing: answer))"); return }
        #expect(members.count == 2 && checkpointed(bench).isEmpty)
        try bench.run(to: bench.now + .seconds(400))
    }

    @Test func aMemberWithoutLeasesSettlesOnceThePageFileHoldsEverything() throws {
        let bench = Bench()
        try bench.start()
        _ = try bench.propose([put("a", "1")])
        let applied = bench.member.machine.appliedIndex
        try stop(bench)
        try bench.open()
        #expect(bench.member.machine.appliedIndex == applied)
    }

    @Test func aClosedLogTellsWhatWasCommitted() throws {
        let bench = Bench()
        try bench.start()
        _ = try bench.propose([put("a", "1")])
        let commit = bench.member.raft.commit
        try bench.member.close()
        var random = SeededRandom(seed: 3)
        bench.crash(.lost, &random)
        try bench.open()
        #expect(bench.member.raft.commit == commit)
    }
}
