import EtcdAPI
import Host
import Simulation
import Testing

@testable import Member

@Suite struct SpaceTests {
    private func fill(_ bench: Bench) throws -> EtcdError? {
        let value = String(repeating: "v", count: 8000)
        for number in 0..<100 {
            let answer = try bench.propose([put("k\(number)", value)])[0]
            try bench.run(to: bench.now + .milliseconds(150))
            if let refusal = answer?.refusal { return refusal }
        }
        return nil
    }

    @Test func overTheQuotaWritesAreRefusedUntilSpaceIsMade() throws {
        let bench = Bench()
        bench.settings.quota = 256 << 10
        try bench.start()
        #expect(try fill(bench) == .noSpace)
        #expect(bench.published.status.isRaised(.nospace))
        var random = SeededRandom(seed: 1)
        bench.crash(.lost, &random)
        try bench.start()
        // The alarm outlives a restart.
        #expect(bench.published.status.isRaised(.nospace))
        #expect(try bench.propose([put("a", "1")])[0]?.refusal == .noSpace)
        #expect(try bench.propose([.deleteRange(DeleteRangeRequest(key: [0], rangeEnd: [0]))])[0]?.response != nil)
        let revision = bench.published.view.currentRevision
        #expect(try bench.propose([.compaction(CompactionRequest(revision: revision))])[0]?.response != nil)
        try bench.run(to: bench.now + .seconds(1))
        let before = bench.published.status.pageFileSize
        _ = try bench.answer(to: .defragment)
        try bench.run(to: bench.now + .seconds(1))
        #expect(bench.published.status.pageFileSize < before)
        #expect(bench.published.status.isRaised(.nospace))
        try bench.run(to: bench.now + .seconds(31))
        #expect(!bench.published.status.isRaised(.nospace))
        #expect(try bench.propose([put("a", "1")])[0]?.response != nil)
    }

    @Test func whatIsTooMuchAtATimeIsRefused() throws {
        let bench = Bench()
        try bench.start()
        let most = ParkedProposals.largestCount
        let answers = try bench.propose((0..<most + 2).map { put("k\($0)", "v") })
        #expect(answers[most]?.refusal == .tooManyRequests && answers[most + 1]?.refusal == .tooManyRequests)
        #expect(answers[..<most].allSatisfy { $0?.refusal == nil })
        try bench.run(to: bench.now + .seconds(1))
        #expect(bench.published.view.currentRevision == Int64(most) + 1)
        #expect(try bench.propose([put("a", "1")])[0]?.response != nil)
    }

    /// One that stays, for `--nospace-auto-disarm=false` or because it is another member's to lift.
    @Test(arguments: [false, true])
    func anAlarmThatIsNotItsOwnToLiftStays(isItsOwn: Bool) throws {
        let bench = Bench()
        bench.settings.quota = 100 << 20
        bench.settings.liftsNoSpace = !isItsOwn
        try bench.start()
        let raised = AlarmRequest(action: .activate, memberID: isItsOwn ? 7 : 8, alarm: .nospace)
        _ = try bench.propose([.alarm(raised)])
        try bench.run(to: bench.now + .seconds(120))
        #expect(bench.published.status.isRaised(.nospace))
    }

    @Test func roomHasToLast() {
        var guardian = SpaceGuard()
        let start = Instant(nanoseconds: 1_000_000_000)
        func isBelow(_ size: Int64, _ seconds: Int64) -> Bool {
            guardian.isBelow(size: size, quota: 1000, now: start + .seconds(seconds))
        }
        #expect(!isBelow(899, 0) && !isBelow(899, 29))
        // Nine tenths are too much, for a moment already.
        #expect(!isBelow(900, 29) && !isBelow(899, 30) && !isBelow(0, 59))
        #expect(isBelow(899, 60))
    }

    @Test func defragmentationIsAnsweredAndKeepsEverything() throws {
        let bench = Bench()
        var client = Client()
        try bench.start()
        let value = String(repeating: "v", count: 3000)
        for round in 0..<20 {
            try client.send((0..<20).map { put("k\($0)", "\(round) \(value)") }, to: bench)
            try bench.run(to: bench.now + .milliseconds(150))
        }
        try client.send([.compaction(CompactionRequest(revision: client.model.revision))], to: bench)
        try bench.run(to: bench.now + .seconds(1))
        let before = bench.published.status
        let count = bench.answers.count
        _ = try bench.answer(to: .defragment)
        try bench.run(to: bench.now + .seconds(1))
        #expect(bench.answers.count == count + 1)
        #expect(bench.published.status.pageFileSize < before.pageFileSize / 2)
        try client.compare(with: bench)
        var random = SeededRandom(seed: 1)
        bench.crash(.lost, &random)
        try bench.start()
        try client.compare(with: bench)
    }

    @Test func aPhysicalCompactionIsAnsweredAtItsEnd() throws {
        let bench = Bench()
        var client = Client()
        try bench.start()
        for round in 0..<15 { try client.send((0..<100).map { put("k\($0)", "\(round)") }, to: bench) }
        let request = InternalRaftRequest(
            header: RequestHeader(id: 99), request: .compaction(CompactionRequest(revision: 1400, physical: true)))
        let answer = try bench.answer(to: .propose(payload: request.encoded(), id: 99, afterCompaction: true))
        #expect(answer?.response == nil && bench.published.status.isCompacting)
        let count = bench.answers.count
        try bench.turn()
        #expect(bench.published.status.isCompacting && bench.answers.count == count)
        try bench.run(to: bench.now + .seconds(1))
        #expect(!bench.published.status.isCompacting && bench.answers.count == count + 1)
    }
}
