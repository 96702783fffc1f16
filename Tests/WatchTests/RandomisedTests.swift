import EtcdAPI
import Host
import MVCC
import StoreTestKit
import Testing
import Watch

/// Many watchers, each held against the history itself.
@Suite struct RandomisedTests {
    private struct Watch {
        let peer: Peer
        let stream: WatchStream
        let request: WatchCreateRequest
        /// The first revision it is to hear of.
        let start: Int64
        var heard: [Event] = []
    }

    @Test(arguments: UInt64(1)...12)
    func everyWatcherHearsExactlyItsPartOfHistory(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let bench = try Bench {
            $0.sliceChanges = 1 + Int(seed % 5) * 3
            $0.fragmentBytes = 200
        }
        var watches: [Watch] = []
        for step in 0..<150 {
            if watches.count < 30, step % 4 == 0 { watches.append(create(bench, &random)) }
            for _ in 0..<Int.random(in: 0...4, using: &random) { bench.data.write(draw(&random)) }
            if step % 9 == 0 { try bench.data.commit() }
            for watch in watches { watch.peer.isWritable = Int.random(in: 0..<4, using: &random) > 0 }
            bench.hub.advance(to: bench.data.view, term: 1)
            // Some days it gets through a part only.
            for _ in 0..<Int.random(in: 0...6, using: &random) where try !bench.hub.step() { break }
            try hear(&watches, seed)
        }
        for watch in watches { watch.peer.isWritable = true }
        try bench.deliver()
        try hear(&watches, seed)
        for (number, watch) in watches.enumerated() {
            let expected = self.expected(watch, bench.data)
            #expect(watch.heard == expected, "seed \(seed), watcher \(number) of \(watch.request)")
        }
        #expect(bench.hub.slowWatcherCount == watches.filter { $0.start > bench.data.revision + 1 }.count)
    }

    private func create(_ bench: Bench, _ random: inout SeededRandom) -> Watch {
        let first = Int.random(in: 0..<9, using: &random)
        var request = WatchCreateRequest("k\(first)")
        switch Int.random(in: 0..<3, using: &random) {
        case 0: request.rangeEnd = Array("k\(Int.random(in: first + 1...10, using: &random) - 1)~".utf8)
        case 1: request.rangeEnd = [0]
        default: break
        }
        if Bool.random(using: &random) {
            request.startRevision = Int64.random(in: 1...(bench.data.revision + 10), using: &random)
        }
        request.prevKv = Bool.random(using: &random)
        request.fragment = Bool.random(using: &random)
        if Int.random(in: 0..<4, using: &random) == 0 { request.filters = [.noput] }
        let peer = Peer()
        let stream = bench.hub.open(peer)
        bench.hub.advance(to: bench.data.view, term: 1)
        bench.hub.handle(WatchRequest(requestUnion: .createRequest(request)), on: stream)
        _ = peer.take()
        let start = request.startRevision == 0 ? bench.data.revision + 1 : request.startRevision
        return Watch(peer: peer, stream: stream, request: request, start: start)
    }

    private func draw(_ random: inout SeededRandom) -> [TestStore.Operation] {
        (0..<Int.random(in: 1...4, using: &random)).map { _ in
            let key = "k\(Int.random(in: 0..<10, using: &random))"
            return Int.random(in: 0..<4, using: &random) == 0
                ? .delete(key, end: Bool.random(using: &random) ? "k9" : "") : .put(key, "\(random.next() % 1000)")
        }
    }

    /// Takes what came; no transaction may be split but by fragments.
    private func hear(_ watches: inout [Watch], _ seed: UInt64) throws {
        for number in watches.indices {
            var last: Int64 = watches[number].heard.last?.kv?.modRevision ?? 0
            var isFragment = false
            for response in watches[number].peer.take() {
                #expect(!response.events.isEmpty && !response.canceled, "seed \(seed)")
                let first = try #require(response.events.first?.kv?.modRevision)
                #expect(isFragment ? first >= last : first > last, "seed \(seed): a transaction in two responses")
                watches[number].heard += response.events
                last = try #require(response.events.last?.kv?.modRevision)
                isFragment = response.fragment
            }
            #expect(!isFragment, "seed \(seed): a last fragment is missing")
        }
    }

    private func expected(_ watch: Watch, _ data: TestStore) -> [Event] {
        let range = KeyRange(key: watch.request.key, rangeEnd: watch.request.rangeEnd)
        var before: [[UInt8]: KeyValue] = [:]
        var atRevision: [[UInt8]: KeyValue] = [:]
        var revision: Int64 = 0
        var events: [Event] = []
        for change in data.history {
            if change.at.main != revision { before = atRevision }
            revision = change.at.main
            let key = change.value.key
            atRevision[key] = change.isTombstone ? nil : change.value
            guard change.at.main >= watch.start, key.withUnsafeBytes({ range.contains($0) }) else { continue }
            if !change.isTombstone, watch.request.filters.contains(.noput) { continue }
            let isCreation = !change.isTombstone && change.value.createRevision == change.value.modRevision
            let previous = watch.request.prevKv && !isCreation ? before[key] : nil
            let value = change.isTombstone ? KeyValue(key: key, modRevision: revision) : change.value
            events.append(Event(type: change.isTombstone ? .delete : .put, kv: value, prevKv: previous))
        }
        return events
    }
}
