import Bytes
import Host
import Testing

@testable import Lease

@Suite struct GrantTests {
    /// A leader whose last lease was revoked took one turn after the other from the moment in which a checkpoint would have been due.
    @Test func withoutLeasesNothingIsDue() throws {
        var table = makeTable()
        table.promote(now: at(0), extend: .seconds(1))
        table.writesCheckpoints = true
        table.add(1, ttl: 60)
        #expect(table.nextWake != nil)
        _ = try table.revoke(1)
        #expect(table.nextWake == nil)
    }

    @Test func grantsFollowEtcdsRules() throws {
        var table = makeTable()
        #expect(try table.grant(id: 7, ttl: 60, now: at(0)) == LeaseState(id: 7, ttl: 60, remaining: .seconds(60)))
        #expect(refusal { () throws(LeaseRefusal) in try table.grant(id: 7, ttl: 60, now: at(0)) } == .exists)
        #expect(refusal { () throws(LeaseRefusal) in try table.grant(id: 0, ttl: 60, now: at(0)) } == .notFound)
        // A time too long is found before the id is looked up, as in etcd.
        #expect(
            refusal { () throws(LeaseRefusal) in try table.grant(id: 7, ttl: 9_000_000_001, now: at(0)) } == .timeToLiveTooLarge)
        #expect(try table.grant(id: 8, ttl: 9_000_000_000, now: at(0)).ttl == 9_000_000_000)
        #expect(try table.grant(id: -9, ttl: -5, now: at(0)).ttl == 2)
        #expect(table.count == 3)
        #expect(table.contains(-9))
    }

    /// 3 * ticks / 2 in whole ticks, then seconds rounded up (etcd's server.go).
    @Test(arguments: [
        (1000, 100, 2), (500, 100, 1), (1250, 100, 2), (10, 1, 1), (50_000, 500, 75), (1500, 500, 2), (1300, 260, 2),
    ])
    func theShortestLease(_ election: Int64, _ heartbeat: Int64, _ expected: Int64) {
        let table = LeaseTable(electionTimeout: .milliseconds(election), heartbeatInterval: .milliseconds(heartbeat))
        #expect(table.smallestTTL == expected)
    }

    @Test func keysMoveBetweenLeases() throws {
        var table = makeTable()
        table.add(1, ttl: 60)
        table.add(2, ttl: 60)
        for key in ["b", "a", "c"] { table.move(Array(key.utf8), to: 1) }
        table.move(Array("c".utf8), to: 2)
        table.move(Array("c".utf8), to: 2)
        #expect(table.keys(of: 1) == [Array("a".utf8), Array("b".utf8)])
        #expect(table.keys(of: 2) == [Array("c".utf8)])
        #expect(table.owner(of: Array("c".utf8)) == 2)
        table.move(Array("a".utf8), to: 0)
        table.move(Array("b".utf8), to: 99)
        #expect(table.keys(of: 1).isEmpty)
        #expect(table.owner(of: Array("b".utf8)) == 0)
        #expect(table.keys(of: 99).isEmpty)
    }

    @Test func revocationGivesTheKeysInOrder() throws {
        var table = makeTable()
        table.add(1, ttl: 60)
        let keys = ["z", "", "a\u{0}", "a", "ab", "B"].map { Array($0.utf8) }
        for key in keys { table.move(key, to: 1) }
        #expect(try table.revoke(1) == ["", "B", "a", "a\u{0}", "ab", "z"].map { Array($0.utf8) })
        #expect(refusal { () throws(LeaseRefusal) in try table.revoke(1) } == .notFound)
        #expect(keys.allSatisfy { table.owner(of: $0) == 0 })
    }
}

@Suite struct RecordTests {
    @Test func changesAreTheBucketsOfEtcd() throws {
        var table = makeTable()
        table.add(0x0102, ttl: 60)
        table.add(-1, ttl: 1)
        _ = try table.revoke(0x0102)
        // leasepb.Lease{ID: 258, TTL: 60} and {ID: -1, TTL: 2} as protobuf writes them.
        #expect(
            table.takeChanges() == [
                .put(key: [0, 0, 0, 0, 0, 0, 1, 2], value: [0x08, 0x82, 0x02, 0x10, 60]),
                .put(
                    key: [255, 255, 255, 255, 255, 255, 255, 255],
                    value: [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0x10, 2]),
                .delete(key: [0, 0, 0, 0, 0, 0, 1, 2]),
            ])
        #expect(table.takeChanges().isEmpty)
    }

    @Test func checkpointsAreStoredWhereTheClusterDoes() throws {
        var table = makeTable()
        table.add(5, ttl: 600)
        _ = table.takeChanges()
        table.applyCheckpoint(5, remainingTTL: 300)
        #expect(table.takeChanges().isEmpty)
        table.storesRemainingTTL = true
        table.applyCheckpoint(5, remainingTTL: 200)
        table.applyCheckpoint(6, remainingTTL: 200)
        table.applyCheckpoint(5, remainingTTL: 0)
        let key: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 5]
        #expect(
            table.takeChanges() == [
                .put(key: key, value: [0x08, 5, 0x10, 0xd8, 0x04, 0x18, 0xc8, 0x01]),
                .put(key: key, value: [0x08, 5, 0x10, 0xd8, 0x04]),
            ])
    }

    @Test func restoredLeasesLiveOn() throws {
        var table = makeTable()
        table.storesRemainingTTL = true
        var bucket = Bucket()
        for id in 1...20 as ClosedRange<Int64> { table.add(id, ttl: 100 * id) }
        table.applyCheckpoint(9, remainingTTL: 50)
        _ = try table.revoke(3)
        bucket.take(table.takeChanges())
        var restored = try bucket.restored()
        #expect(restored.count == 19)
        #expect(restored.takeChanges().isEmpty)
        restored.promote(now: at(0), extend: .seconds(1))
        #expect(restored.lease(9, now: at(0))?.remaining == .seconds(51))
        #expect(restored.lease(20, now: at(0))?.remaining == .seconds(2001))
    }

    /// Cut short, without an id, with a time beyond etcd's bound, with an id that is no number.
    @Test func damagedRecordsAreRefused() {
        let records: [[UInt8]] = [[0x08], [0x10, 60], [0x08, 1, 0x10, 0x81, 0xb4, 0xc4, 0xc3, 0x21], [0x0a, 0]]
        for record in records {
            #expect(throws: DecodeError.self, "\(record)") {
                var table = makeTable()
                try record.withUnsafeBytes { try table.restore($0) }
            }
        }
    }

    @Test func shortTimesOnDiskAreRaised() throws {
        var table = makeTable()
        try ([0x08, 4, 0x10, 1] as [UInt8]).withUnsafeBytes { try table.restore($0) }
        #expect(table.lease(4, now: at(0))?.ttl == 2)
    }
}

@Suite struct LeadershipTests {
    @Test func nothingEndsOnAFollower() {
        var table = makeTable()
        table.add(1, ttl: 5)
        #expect(table.expired(now: at(1000), limit: 10).isEmpty)
        #expect(table.nextWake == nil)
        #expect(table.renewal(of: 1, now: at(0)) == .notLeading)
        #expect(table.lease(1, now: at(1000))?.remaining == .seconds(5))
    }

    @Test func leasesEndAtTheirTimeAndAreAskedForAgain() throws {
        var table = makeTable()
        table.promote(now: at(0), extend: .seconds(1))
        table.add(1, ttl: 5, now: at(0))
        table.add(2, ttl: 4, now: at(1))
        table.add(3, ttl: 60, now: at(1))
        #expect(table.nextWake == at(5))
        #expect(table.expired(now: at(4.999), limit: 10).isEmpty)
        #expect(table.expired(now: at(5), limit: 10) == [1, 2])
        #expect(table.expired(now: at(7.9), limit: 10).isEmpty)
        #expect(table.renewal(of: 1, now: at(5)) == .ending)
        _ = try table.revoke(1)
        #expect(table.nextWake == at(8))
        #expect(table.expired(now: at(8), limit: 10) == [2])
        #expect(table.lease(2, now: at(8))?.remaining == .seconds(-3))
        table.demote()
        #expect(table.expired(now: at(100), limit: 10).isEmpty)
    }

    @Test func revocationsThatCannotBeAskedForComeUpAgainShortly() {
        var table = makeTable()
        table.promote(now: at(0), extend: .seconds(0))
        table.add(1, ttl: 5, now: at(0))
        table.add(2, ttl: 5, now: at(0))
        #expect(table.expired(now: at(5), limit: 10) == [1, 2])
        table.postponeRevocations(of: [2, 3], now: at(5))
        #expect(table.nextWake == at(5.5))
        #expect(table.expired(now: at(5.5), limit: 10) == [2])
        #expect(table.expired(now: at(8), limit: 10) == [1])
        #expect(table.expired(now: at(8.5), limit: 10) == [2])
    }

    @Test func renewalStartsTheWholeTimeAnew() {
        var table = makeTable()
        table.add(1, ttl: 10)
        table.promote(now: at(0), extend: .seconds(2))
        #expect(table.lease(1, now: at(0))?.remaining == .seconds(12))
        // The extension is not part of a renewal: the lease may end earlier than before it.
        #expect(table.renewal(of: 1, now: at(1)) == .renewed(ttl: 10))
        #expect(table.nextWake == at(11))
        #expect(table.expired(now: at(11), limit: 10) == [1])
        #expect(table.renewal(of: 2, now: at(1)) == .notFound)
    }

    @Test func aNewLeaderGivesTheWholeTimeAgain() {
        var table = makeTable()
        table.promote(now: at(0), extend: .seconds(1))
        table.add(1, ttl: 10, now: at(0))
        table.demote()
        table.promote(now: at(9), extend: .seconds(1))
        #expect(table.expired(now: at(19), limit: 10).isEmpty)
        #expect(table.expired(now: at(20), limit: 10) == [1])
    }

    @Test func revocationsAreLimitedInTime() {
        var table = makeTable()
        table.promote(now: at(0), extend: .seconds(0))
        for id in 1...1200 as ClosedRange<Int64> { table.add(id, ttl: 5) }
        #expect(table.expired(now: at(5), limit: 16) == Array(1...16))
        #expect(table.expired(now: at(5.1), limit: 10_000) == Array(17...500))
        #expect(table.expired(now: at(5.4), limit: 10_000).isEmpty)
        #expect(table.nextWake == at(5.5))
        #expect(table.expired(now: at(5.5), limit: 10_000) == Array(501...1000))
        #expect(table.expired(now: at(6), limit: 10_000) == Array(1001...1200))
    }

    /// 3,000 leases that would end together end at most 750 a second, none earlier than it would have.
    @Test func endsAreSpread() {
        var table = makeTable()
        for id in 1...3000 as ClosedRange<Int64> { table.add(id, ttl: id % 2 == 0 ? 10 : 11) }
        table.add(5000, ttl: 100)
        table.promote(now: at(0), extend: .seconds(1))
        let ends = table.list(now: at(0)).map { table.lease($0, now: at(0))!.remaining.nanoseconds }
        #expect(ends == ends.sorted())
        for (first, later) in zip(ends, ends.dropFirst(750)) { #expect(later - first >= 1_000_000_000) }
        #expect(ends[0] == 11_000_000_000)
        #expect(ends[2999] == 14_000_000_000)
        #expect(ends.last == 101_000_000_000)
    }

    @Test func listsFollowTheEnds() {
        var table = makeTable()
        for (id, ttl) in [(4, 50), (3, 20), (9, 20), (1, 90)] as [(Int64, Int64)] { table.add(id, ttl: ttl) }
        #expect(table.list(now: at(0)) == [1, 3, 4, 9])
        table.promote(now: at(0), extend: .seconds(0))
        #expect(table.list(now: at(0)) == [3, 9, 4, 1])
        #expect(table.renewal(of: 3, now: at(10)) == .renewed(ttl: 20))
        #expect(table.list(now: at(10)) == [9, 3, 4, 1])
    }

    /// The longest lease on a clock that has run for centuries.
    @Test func timesDoNotOverflow() {
        var table = makeTable()
        table.add(1, ttl: LeaseTable.largestTTL)
        let late = Instant(nanoseconds: 9_000_000_000_000_000_000)
        table.promote(now: late, extend: .seconds(50))
        #expect(table.renewal(of: 1, now: late) == .renewed(ttl: LeaseTable.largestTTL))
        #expect(table.expired(now: late, limit: 1).isEmpty)
        #expect(table.lease(1, now: at(0))!.remaining > .seconds(8_000_000_000))
    }
}

@Suite struct CheckpointTests {
    private func leader() -> LeaseTable {
        var table = makeTable()
        table.writesCheckpoints = true
        table.promote(now: at(0), extend: .seconds(0))
        return table
    }

    private func due(_ table: inout LeaseTable, _ now: Instant, limit: Int = 1000) -> [[Int64]] {
        table.dueCheckpoints(now: now, limit: limit).map { [$0.id, $0.remainingTTL] }
    }

    /// After two fifths, and then every eighth; what is left is rounded up to seconds.
    @Test func theFirstIsDueWhenNobodyRenews() {
        var table = leader()
        table.add(1, ttl: 100)
        #expect(table.nextWake == at(40))
        #expect(due(&table, at(39.9)).isEmpty)
        #expect(due(&table, at(40.5)) == [[1, 60]])
        #expect(due(&table, at(52.9)).isEmpty)
        #expect(due(&table, at(53)) == [[1, 47]])
        #expect(due(&table, at(99)) == [[1, 1]])
        #expect(due(&table, at(99.9)).isEmpty)
    }

    @Test func neitherTooOftenNorTooSeldom() {
        var table = leader()
        table.add(1, ttl: 100_000)
        #expect(due(&table, at(299)).isEmpty)
        #expect(due(&table, at(300)) == [[1, 99_700]])
        #expect(due(&table, at(600)) == [[1, 99_400]])
        var short = leader()
        short.add(1, ttl: 2)
        #expect(due(&short, at(0.9)).isEmpty)
        #expect(due(&short, at(1)) == [[1, 1]])
        #expect(due(&short, at(1.9)).isEmpty)
    }

    @Test func whoRenewsEveryThirdNeverWrites() {
        var table = leader()
        table.add(1, ttl: 30)
        for round in 1...20 {
            let now = at(Double(10 * round))
            #expect(due(&table, now).isEmpty)
            #expect(table.renewal(of: 1, now: now) == .renewed(ttl: 30))
        }
    }

    /// What is on its way through the log counts for a later leader too.
    @Test func aRenewalWaitsForACheckpointOnItsWay() {
        var table = leader()
        table.add(1, ttl: 100)
        #expect(due(&table, at(40)) == [[1, 60]])
        #expect(table.renewal(of: 1, now: at(41)) == .checkpointed)
        table.applyCheckpoint(1, remainingTTL: 60)
        #expect(table.renewal(of: 1, now: at(42)) == .checkpointed)
        table.applyCheckpoint(1, remainingTTL: 0)
        #expect(table.renewal(of: 1, now: at(43)) == .renewed(ttl: 100))
    }

    /// Reset because of somebody else, its time has passed all the same.
    @Test func whatIsTakenBackIsWrittenAgainAsSoonAsMayBe() {
        var table = leader()
        table.add(1, ttl: 100)
        #expect(due(&table, at(40)) == [[1, 60]])
        table.applyCheckpoint(1, remainingTTL: 60)
        table.applyCheckpoint(1, remainingTTL: 0)
        table.writesCheckpoints = false
        #expect(due(&table, at(45)).isEmpty && table.nextWake == at(100))
        table.writesCheckpoints = true
        #expect(due(&table, at(50)) == [[1, 50]])
    }

    @Test func beforeAHandoverAllIsWrittenThatIsNotRenewed() {
        var table = leader()
        table.add(1, ttl: 100)
        table.add(2, ttl: 100)
        table.add(3, ttl: 1000)
        #expect(due(&table, at(40)) == [[1, 60], [2, 60]])
        table.applyCheckpoint(1, remainingTTL: 60)
        table.applyCheckpoint(2, remainingTTL: 0)
        #expect(table.renewal(of: 2, now: at(41)) == .renewed(ttl: 100))
        #expect(table.checkpointsBeforeHandover(now: at(45)).map { [$0.id, $0.remainingTTL] } == [[1, 55]])
    }

    @Test func theyAreOffByDefault() {
        var table = makeTable()
        table.promote(now: at(0), extend: .seconds(0))
        table.add(1, ttl: 1000)
        #expect(table.dueCheckpoints(now: at(400), limit: 10).isEmpty)
        #expect(table.nextWake == at(1000))
    }

    @Test func whatHasAllItsTimeLeftIsNotWrittenDown() {
        var table = leader()
        table.add(1, ttl: 1000)
        #expect(table.renewal(of: 1, now: at(300)) == .renewed(ttl: 1000))
        #expect(due(&table, at(300)).isEmpty)
        #expect(due(&table, at(600)) == [[1, 700]])
        // Extended by so much that it has all of its time left.
        table.demote()
        table.promote(now: at(1000), extend: .seconds(700))
        #expect(due(&table, at(1300)).isEmpty)
    }

    @Test func aLaterLeaderGrantsWhatIsLeft() {
        var table = leader()
        table.add(1, ttl: 1000)
        table.applyCheckpoint(1, remainingTTL: 400)
        table.demote()
        table.promote(now: at(500), extend: .seconds(1))
        #expect(table.lease(1, now: at(500))?.remaining == .seconds(401))
        #expect(table.nextWake == at(625))
    }

    @Test func aCheckpointIsClearedBeforeARenewalIsConfirmed() {
        var table = leader()
        table.add(1, ttl: 1000)
        table.applyCheckpoint(1, remainingTTL: 400)
        #expect(table.renewal(of: 1, now: at(310)) == .checkpointed)
        #expect(table.lease(1, now: at(310))?.remaining == .seconds(690))
        table.applyCheckpoint(1, remainingTTL: 0)
        #expect(table.renewal(of: 1, now: at(311)) == .renewed(ttl: 1000))
        table.demote()
        table.promote(now: at(400), extend: .seconds(0))
        #expect(table.lease(1, now: at(400))?.remaining == .seconds(1000))
    }

    @Test func batchesAreBounded() {
        var table = leader()
        for id in 1...2500 as ClosedRange<Int64> { table.add(id, ttl: 1000) }
        #expect(due(&table, at(300)).map(\.[0]) == Array(1...1000))
        #expect(due(&table, at(300)).map(\.[0]) == Array(1001...2000))
        #expect(due(&table, at(300)).map(\.[0]) == Array(2001...2500))
        #expect(due(&table, at(300)).isEmpty)
    }

    @Test func remainingTimesOfAnySizeAreTaken() {
        var table = leader()
        table.add(1, ttl: 1000)
        for remaining in [.max, .min, -1] as [Int64] {
            table.applyCheckpoint(1, remainingTTL: remaining)
            table.promote(now: at(0), extend: .seconds(0))
            #expect(table.lease(1, now: at(0))!.remaining >= .seconds(1000))
        }
    }
}

@Suite struct QueueTests {
    @Test(arguments: [1, 2, 3] as [UInt64])
    func deadlinesComeOutInOrder(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let all = (0..<500).map { Deadline(at: at(Double(Int.random(in: 0..<50, using: &random))), id: $0) }.shuffled(
            using: &random)
        var queue = DeadlineQueue(Array(all[..<250]))
        for deadline in all[250...] { queue.insert(deadline) }
        let popped = all.map { _ in queue.removeFirst() }
        #expect(popped == all.sorted(), "seed \(seed)")
        #expect(queue.first == nil)
    }

    @Test func queuesStaySmall() throws {
        var table = makeTable()
        table.writesCheckpoints = true
        table.promote(now: at(0), extend: .seconds(0))
        for id in 1...100 as ClosedRange<Int64> { table.add(id, ttl: 1000) }
        for round in 1...100 as ClosedRange<Int64> {
            for id in 1...100 as ClosedRange<Int64> {
                #expect(table.renewal(of: id, now: at(Double(round))) == .renewed(ttl: 1000))
                table.add(1000 + id, ttl: 100_000)
            }
            for id in 1...100 as ClosedRange<Int64> { _ = try table.revoke(1000 + id) }
            #expect(table.revocations.count <= 2 * table.count + 100 + 64)
            #expect(table.checkpoints.count <= 2 * table.count + 100 + 64)
        }
    }
}
