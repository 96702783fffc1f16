import EtcdAPI
import MVCC
import StoreTestKit
import Testing
import Watch

@Suite struct WatchHubTests {
    @Test func aTransactionComesInOneResponseAndInOrder() throws {
        let bench = try Bench()
        let peer = Peer()
        let stream = bench.hub.open(peer)
        try bench.watch(stream, WatchCreateRequest("a", end: "z"))
        let created = peer.take()
        #expect(created.count == 1 && created[0].created && created[0].watchId == 0 && created[0].events.isEmpty)
        #expect(created[0].header == ResponseHeader(clusterId: 1, memberId: 2, revision: 1))
        try bench.write(.put("b", "1"), .put("a", "1"), .put("zz", "no"))
        try bench.write(.delete("a", end: "z"))
        let told = peer.take()
        #expect(told.map(\.summary) == [["b=1", "a=1"], ["-a", "-b"]])
        #expect(told.map { $0.header?.revision } == [2, 3] && told[0].header?.raftTerm == 3)
        #expect(told[1].events.map { $0.kv?.modRevision } == [3, 3])
    }

    @Test func aWatchStartsInThePast() throws {
        let bench = try Bench { $0.sliceChanges = 2 }
        for value in 1...6 { bench.data.write(.put("k", "\(value)"), .put("l", "\(value)")) }
        try bench.data.commit()
        bench.data.write(.put("k", "7"))
        let peer = Peer()
        try bench.watch(bench.hub.open(peer), WatchCreateRequest("k", from: 4))
        try bench.write(.put("k", "8"))
        #expect(peer.take().flatMap(\.summary) == ["k=3", "k=4", "k=5", "k=6", "k=7", "k=8"])
        #expect(bench.hub.slowWatcherCount == 0)
    }

    /// As when a leader's snapshot takes the store's place: history that nobody was told of may be compacted in it.
    @Test(arguments: [false, true]) func anotherStoreGoesOnOrTellsOfTheHole(isCompacted: Bool) throws {
        let bench = try Bench()
        let peer = Peer()
        try bench.watch(bench.hub.open(peer), WatchCreateRequest("k"))
        try bench.write(.put("k", "1"))
        _ = peer.take()
        for value in 2...5 { bench.data.write(.put("k", "\(value)")) }
        if isCompacted {
            try bench.data.compact(at: 5)
            try bench.data.finishCompaction()
        }
        _ = try bench.data.reopen()
        try bench.deliver()
        let told = peer.take()
        if isCompacted {
            #expect(told.count == 1 && told[0].canceled && told[0].compactRevision == 5)
        } else {
            #expect(told.flatMap(\.summary) == ["k=2", "k=3", "k=4", "k=5"])
        }
    }

    @Test func filtersLeaveOut() throws {
        let bench = try Bench()
        let peers = [Peer(), Peer()]
        var request = WatchCreateRequest("k")
        request.filters = [.noput]
        try bench.watch(bench.hub.open(peers[0]), request)
        request.filters = [.nodelete]
        try bench.watch(bench.hub.open(peers[1]), request)
        for peer in peers { _ = peer.take() }
        try bench.write(.put("k", "1"))
        try bench.write(.delete("k"))
        #expect(peers[0].take().flatMap(\.summary) == ["-k"])
        #expect(peers[1].take().flatMap(\.summary) == ["k=1"])
    }

    @Test func previousValuesComeToThoseWhoAsked() throws {
        let bench = try Bench()
        let peers = [Peer(), Peer()]
        var request = WatchCreateRequest("k")
        try bench.watch(bench.hub.open(peers[0]), request)
        request.prevKv = true
        try bench.watch(bench.hub.open(peers[1]), request)
        for peer in peers { _ = peer.take() }
        try bench.write(.put("k", "1"))
        try bench.write(.put("k", "2"))
        try bench.write(.delete("k"))
        try bench.write(.put("k", "3"))
        let plain = peers[0].take().flatMap(\.events)
        #expect(plain.count == 4 && plain.allSatisfy { $0.prevKv == nil })
        let previous = peers[1].take().flatMap(\.events).map { $0.prevKv.map { String(decoding: $0.value, as: UTF8.self) } }
        #expect(previous == [nil, "1", "2", nil])
    }

    @Test func fragmentsTogetherHoldTheTransaction() throws {
        let bench = try Bench { $0.fragmentBytes = 500 }
        let peers = [Peer(), Peer()]
        var request = WatchCreateRequest("k", end: "l")
        try bench.watch(bench.hub.open(peers[0]), request)
        request.fragment = true
        try bench.watch(bench.hub.open(peers[1]), request)
        for peer in peers { _ = peer.take() }
        let value = String(repeating: "v", count: 100)
        bench.data.write((10..<30).map { .put("k\($0)", value) })
        try bench.deliver()
        let whole = peers[0].take()
        let parts = peers[1].take()
        #expect(whole.count == 1 && !whole[0].fragment && whole[0].events.count == 20)
        #expect(parts.count > 4 && parts.dropLast().allSatisfy(\.fragment) && parts.last?.fragment == false)
        #expect(parts.allSatisfy { $0.encoded().count <= 500 })
        #expect(parts.flatMap(\.events) == whole[0].events)
    }

    @Test func progressIsToldOnlyAfterCatchingUp() throws {
        let bench = try Bench()
        let peer = Peer()
        let stream = bench.hub.open(peer)
        try bench.watch(stream, WatchCreateRequest("k"))
        _ = peer.take()
        bench.data.write(.put("k", "1"))
        bench.hub.advance(to: bench.data.view, term: 3)
        bench.hub.handle(WatchRequest(requestUnion: .progressRequest(WatchProgressRequest())), on: stream)
        #expect(peer.responses.isEmpty)
        try bench.deliver()
        let told = peer.take()
        #expect(told.map(\.summary) == [["k=1"], []])
        #expect(told.last?.watchId == -1 && told.last?.header?.revision == 2)
    }

    @Test func progressWaitsForABlockedPeer() throws {
        let bench = try Bench()
        let peer = Peer()
        let stream = bench.hub.open(peer)
        try bench.watch(stream, WatchCreateRequest("k"))
        _ = peer.take()
        peer.isWritable = false
        try bench.write(.put("k", "1"))
        bench.hub.handle(WatchRequest(requestUnion: .progressRequest(WatchProgressRequest())), on: stream)
        try bench.deliver()
        #expect(peer.responses.isEmpty)
        peer.isWritable = true
        try bench.deliver()
        #expect(peer.take().map(\.summary) == [["k=1"], []])
    }

    /// A client that is told of a revision before its start would resume from there, and get events it never asked for.
    @Test func progressIsNotToldToWatchersOfTheFuture() throws {
        let bench = try Bench()
        let peer = Peer()
        let stream = bench.hub.open(peer)
        try bench.watch(stream, WatchCreateRequest("k", from: 100))
        _ = peer.take()
        bench.hub.handle(WatchRequest(requestUnion: .progressRequest(WatchProgressRequest())), on: stream)
        try bench.deliver()
        bench.hub.progressTick()
        bench.hub.progressTick()
        #expect(peer.responses.isEmpty)
    }

    @Test func theProgressTickSpeaksOnlyToTheIdleWhoAskedForIt() throws {
        let bench = try Bench()
        let peer = Peer()
        let stream = bench.hub.open(peer)
        var request = WatchCreateRequest("k")
        request.progressNotify = true
        try bench.watch(stream, request)
        try bench.watch(stream, WatchCreateRequest("k"))
        _ = peer.take()
        bench.hub.progressTick()
        _ = peer.take()
        bench.hub.progressTick()
        #expect(peer.take().map(\.watchId) == [0])
        try bench.write(.put("k", "1"))
        _ = peer.take()
        bench.hub.progressTick()
        #expect(peer.responses.isEmpty)
    }

    @Test func aCompactedStartIsCanceledWithTheCompactRevision() throws {
        let bench = try Bench()
        for value in 1...9 { bench.data.write(.put("k", "\(value)")) }
        try bench.data.compact(at: 5)
        try bench.data.finishCompaction()
        let peer = Peer()
        let stream = bench.hub.open(peer)
        try bench.watch(stream, WatchCreateRequest("k", from: 3))
        let told = peer.take()
        #expect(told.count == 2 && told[0].created && !told[0].canceled)
        #expect(told[1].canceled && told[1].compactRevision == 5 && told[1].watchId == told[0].watchId)
        #expect(bench.hub.watcherCount == 0)
        try bench.watch(stream, WatchCreateRequest("k", from: 5))
        #expect(peer.take().flatMap(\.summary) == ["k=4", "k=5", "k=6", "k=7", "k=8", "k=9"])
    }

    @Test func aFutureStartHearsNothingBefore() throws {
        let bench = try Bench()
        let peers = [Peer(), Peer()]
        try bench.watch(bench.hub.open(peers[0]), WatchCreateRequest("k", from: 5))
        for value in 1...3 { try bench.write(.put("k", "\(value)")) }
        // Another watcher is told of each revision as it comes, which must not change what the first one hears.
        try bench.watch(bench.hub.open(peers[1]), WatchCreateRequest("k"))
        for value in 4...6 { try bench.write(.put("k", "\(value)")) }
        #expect(peers[0].take().flatMap(\.summary) == ["k=4", "k=5", "k=6"])
        #expect(peers[1].take().flatMap(\.summary) == ["k=4", "k=5", "k=6"])
    }

    @Test func aBlockedPeerIsSentNothingAndLaterEverythingInOrder() throws {
        let bench = try Bench { $0.sliceChanges = 3 }
        let peers = [Peer(), Peer()]
        for peer in peers { try bench.watch(bench.hub.open(peer), WatchCreateRequest("k", end: "l")) }
        for peer in peers { _ = peer.take() }
        peers[0].isWritable = false
        for value in 0..<20 { try bench.write(.put("k\(value % 3)", "\(value)"), .put("kk", "\(value)")) }
        #expect(peers[0].responses.isEmpty && bench.hub.slowWatcherCount == 1)
        peers[0].isWritable = true
        try bench.deliver()
        let late = peers[0].take().flatMap(\.events)
        #expect(late.count == 40 && late == peers[1].take().flatMap(\.events))
        #expect(bench.hub.slowWatcherCount == 0)
    }

    @Test func cancelEndsAWatch() throws {
        let bench = try Bench()
        let peer = Peer()
        let stream = bench.hub.open(peer)
        var request = WatchCreateRequest("k")
        request.watchId = 7
        try bench.watch(stream, request)
        _ = peer.take()
        bench.hub.handle(WatchRequest(requestUnion: .cancelRequest(WatchCancelRequest(watchId: 7))), on: stream)
        bench.hub.handle(WatchRequest(requestUnion: .cancelRequest(WatchCancelRequest(watchId: 8))), on: stream)
        try bench.write(.put("k", "1"))
        let told = peer.take()
        #expect(told.count == 1 && told[0].canceled && told[0].watchId == 7)
        #expect(bench.hub.watcherCount == 0)
    }

    @Test(arguments: [
        (7, Int64(0), "", "mvcc: duplicate watch ID provided on the WatchStream"),
        (0, -1, "", "etcdserver: mvcc: required revision has been compacted"),
        (0, 0, "a", "mvcc: watcher range is empty"),
    ])
    func badRequestsAreRefused(id: Int64, start: Int64, end: String, reason: String) throws {
        let bench = try Bench()
        let peer = Peer()
        let stream = bench.hub.open(peer)
        var request = WatchCreateRequest("k")
        request.watchId = 7
        try bench.watch(stream, request)
        _ = peer.take()
        request = WatchCreateRequest("k", end: end, from: start)
        request.watchId = id
        try bench.watch(stream, request)
        let told = peer.take()
        #expect(told.count == 1 && told[0].created && told[0].canceled && told[0].watchId == -1)
        #expect(told[0].cancelReason == reason)
        #expect(bench.hub.watcherCount == 1)
    }

    @Test func idsAreGivenInOrderPastThoseTaken() throws {
        let bench = try Bench()
        let peer = Peer()
        let stream = bench.hub.open(peer)
        for wanted in [Int64(1), 0, 0, 0] {
            var request = WatchCreateRequest("k")
            request.watchId = wanted
            try bench.watch(stream, request)
        }
        #expect(peer.take().map(\.watchId) == [1, 0, 2, 3])
        bench.hub.close(stream)
        #expect(bench.hub.isEmpty && bench.hub.watcherCount == 0)
    }

    /// Found by the simulator: a turn that applies writes and a compaction past them shows a synced watcher both at once.
    @Test func changesCompactedBeforeTheyWereSeenEndTheWatch() throws {
        let bench = try Bench()
        let peer = Peer()
        let stream = bench.hub.open(peer)
        try bench.watch(stream, WatchCreateRequest("a", end: "c"))
        try bench.write(.put("a", "1"))
        _ = peer.take()
        bench.data.write(.put("a", "2"))
        bench.data.write(.put("a", "3"))
        try bench.data.compact(at: 4)
        try bench.data.finishCompaction()
        try bench.deliver()
        let told = peer.take()
        #expect(told.count == 1 && told[0].canceled && told[0].compactRevision == 4 && told[0].events.isEmpty)
        #expect(bench.hub.watcherCount == 0)
    }
}
