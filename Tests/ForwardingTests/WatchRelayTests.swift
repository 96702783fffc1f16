import Bytes
import EtcdAPI
import Host
import Testing

@testable import Forwarding

@Suite struct WatchRelayTests {
    @Test func aWatchGoesOnWhereItWas() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        try harness.watch(1)
        try harness.pass()
        harness.member.revision = 20
        harness.member.deliver(limit: 100)
        try harness.pass()
        #expect(harness.revisions(0) == [13, 17])
        // The next member lags behind what the client has been told.
        try harness.move(to: ModelMember(revision: 15))
        try harness.pass()
        harness.member.deliver(limit: 100)
        harness.member.revision = 30
        harness.member.deliver(limit: 100)
        try harness.pass()
        #expect(harness.revisions(0) == [13, 17, 21, 25, 29])
        #expect(harness.told.filter(\.created).count == 1)
    }

    @Test func aWatchFromNowMissesNothingThatHappenedBetweenMembers() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        try harness.watch(1)
        try harness.pass()
        try harness.move(to: ModelMember(revision: 20))
        harness.member.deliver(limit: 100)
        try harness.pass()
        #expect(harness.revisions(0) == [13, 17])
    }

    @Test func idsStayAsTheyWere() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        for key in UInt8(0)..<4 { try harness.watch(key) }
        try harness.watch(2, id: 77)
        try harness.pass()
        try harness.cancel(1)
        try harness.pass()
        try harness.move(to: ModelMember(revision: 14))
        try harness.watch(3)
        try harness.pass()
        harness.member.revision = 18
        harness.member.deliver(limit: 100)
        try harness.pass()
        #expect(harness.revisions(0) == [12, 16])
        #expect(harness.revisions(1) == [])
        #expect(harness.revisions(2) == [14, 18])
        #expect(harness.revisions(77) == [14, 18])
        // No id is given a second time, not even that of a watch that has ended.
        #expect(harness.revisions(78) == [15])
        #expect(harness.told.last { $0.created }?.watchId == 78)
    }

    @Test func aCreationThatWasNotAnsweredIsAskedAgain() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        try harness.watch(1)
        try harness.watch(2)
        try harness.move(to: ModelMember(revision: 12))
        try harness.pass()
        #expect(harness.told.filter(\.created).map(\.watchId) == [0, 1])
        harness.member.revision = 14
        harness.member.deliver(limit: 100)
        try harness.pass()
        #expect(harness.revisions(0) == [13])
        #expect(harness.revisions(1) == [14])
    }

    @Test func aCancellationThatWasNotAnsweredIsAnswered() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        try harness.watch(1)
        try harness.watch(2)
        try harness.pass()
        try harness.cancel(0)
        try harness.move(to: ModelMember(revision: 14))
        try harness.pass()
        #expect(harness.told.filter(\.canceled).map(\.watchId) == [0])
        #expect(harness.told.last { $0.canceled }?.header?.clusterId == 1)
        #expect(harness.member.watches.keys.sorted() == [1])
    }

    @Test func compactedHistoryCancelsAsEtcdDoes() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        try harness.watch(1)
        try harness.pass()
        try harness.move(to: ModelMember(revision: 40, compacted: 30))
        try harness.pass()
        let last = try #require(harness.told.last)
        #expect(last.canceled && last.watchId == 0 && last.compactRevision == 30)
        #expect(harness.told.filter(\.created).count == 1)
    }

    @Test func aRefusedCreationEndsTheWatchThatWasResumed() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        try harness.watch(1)
        try harness.watch(2)
        try harness.pass()
        try harness.move(to: ModelMember(revision: 10))
        harness.member.outgoing = [
            WatchResponse(watchId: 0, created: true),
            WatchResponse(watchId: -1, created: true, canceled: true, cancelReason: "no"),
        ]
        try harness.pass()
        let last = try #require(harness.told.last)
        #expect(last.canceled && !last.created && last.watchId == 1 && last.cancelReason == "no")
    }

    /// Members before etcd 3.5.8 could report progress before the events it covers.
    @Test func progressCountsOnceMoreHasFollowed() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        try harness.watch(1)
        try harness.pass()
        harness.member.outgoing = [WatchResponse(header: ResponseHeader(revision: 20), watchId: 0)]
        try harness.pass()
        try harness.move(to: ModelMember(revision: 20))
        harness.member.deliver(limit: 100)
        try harness.pass()
        #expect(harness.revisions(0) == [13, 17])
        for revision: Int64 in [50, 60] {
            harness.member.outgoing = [WatchResponse(header: ResponseHeader(revision: revision), watchId: -1)]
            try harness.pass()
        }
        // Up to 50 is certain now, so that compaction up to there harms nobody.
        try harness.move(to: ModelMember(revision: 60, compacted: 50))
        harness.member.deliver(limit: 100)
        try harness.pass()
        #expect(harness.revisions(0) == [13, 17, 53, 57])
    }

    @Test func theRelaysOwnProgressRequestsAreNotHeardOf() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        try harness.watch(1)
        try harness.pass()
        var writer = ByteWriter()
        harness.relay.askProgress(toMember: &writer)
        #expect(writer.count > 0)
        harness.member.outgoing = [WatchResponse(header: ResponseHeader(revision: 20), watchId: -1)]
        let before = harness.told.count
        try harness.pass()
        #expect(harness.told.count == before)
        try harness.client(WatchRequest(requestUnion: .progressRequest(WatchProgressRequest())))
        try harness.pass()
        #expect(harness.told.last?.watchId == -1)
    }

    @Test func aProgressRequestWithoutAnswerIsAskedAgain() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        try harness.watch(1)
        try harness.pass()
        try harness.client(WatchRequest(requestUnion: .progressRequest(WatchProgressRequest())))
        try harness.move(to: ModelMember(revision: 10))
        try harness.pass()
        #expect(harness.told.last?.watchId == -1)
    }

    @Test func aResponseInPiecesCannotBeTakenUpInBetween() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        try harness.watch(1, from: 1)
        try harness.pass()
        harness.member.deliver(limit: 100, pieces: true)
        try harness.pass(1)
        #expect(!harness.relay.canMove)
        try harness.pass()
        #expect(harness.relay.canMove)
        try harness.move(to: ModelMember(revision: 14))
        harness.member.deliver(limit: 100)
        try harness.pass()
        #expect(harness.revisions(0) == [1, 5, 9, 13])
    }

    @Test func aMemberThatRepeatsEventsIsNotBelieved() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        try harness.watch(1, from: 1)
        harness.member.deliver(limit: 100)
        try harness.pass()
        try harness.move(to: ModelMember(revision: 10))
        try harness.pass()
        harness.member.outgoing = [WatchResponse(watchId: 0, events: [ModelMember.event(at: 9)])]
        #expect(throws: WatchRelay.Problem.self) { try harness.pass() }
    }

    @Test func whatCannotBeReadPassesButCannotMove() throws {
        var relay = WatchRelay()
        var out = ByteWriter()
        let broken: [UInt8] = [0, 0, 0, 0, 2, 0x0a, 0x7f]
        broken.withUnsafeBytes { relay.fromClient($0, toMember: &out) }
        #expect(out.array() == broken)
        #expect(!relay.canMove)
    }

    @Test func anIdAtTheEndOfAllNumbersHarmsNobody() throws {
        var harness = RelayHarness(ModelMember(revision: 10))
        try harness.watch(1, id: .max)
        try harness.pass()
        try harness.move(to: ModelMember(revision: 10))
        try harness.watch(2)
        try harness.pass()
        harness.member.revision = 14
        harness.member.deliver(limit: 10)
        try harness.pass()
        #expect(harness.revisions(.max) == [13])
        #expect(harness.told.filter { !$0.events.isEmpty }.count == 2)
    }

    /// Whatever happens between: every watch is told of every event of its key from its start on, once and in order.
    @Test(arguments: 0..<200)
    func nothingIsLostRepeatedOrReordered(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var revision: Int64 = 5
        var harness = RelayHarness(ModelMember(revision: revision))
        var asked: [(key: UInt8, start: Int64)] = []
        for _ in 0..<120 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0 where asked.count < 8:
                let key = UInt8.random(in: 0..<4, using: &random)
                // Named starts only: what "from now on" means depends on the member.
                let start = Int64.random(in: 1...(revision + 3), using: &random)
                asked.append((key, start))
                try harness.watch(key, from: start, id: Int64(asked.count) * 3)
            case 1...3:
                revision += Int64.random(in: 1...5, using: &random)
                harness.member.revision = revision
            case 4, 5: harness.member.deliver(limit: Int.random(in: 1...4, using: &random))
            case 6: harness.member.notifyProgress()
            case 7:
                guard harness.relay.canMove else { break }
                try harness.move(to: ModelMember(revision: max(1, revision - Int64.random(in: 0...6, using: &random))))
            default: try harness.pass(Int.random(in: 1...6, using: &random))
            }
        }
        harness.member.revision = revision
        harness.member.deliver(limit: .max)
        try harness.pass()
        for (index, (key, start)) in asked.enumerated() {
            let expected = (start...max(start, revision)).filter { $0 <= revision && $0 % ModelMember.keys == Int64(key) }
            let told = harness.revisions(Int64(index + 1) * 3)
            #expect(told == Array(expected), "seed \(seed), watch \(index) of key \(key) from \(start)")
        }
    }
}
