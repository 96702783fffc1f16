import EtcdAPI
import Host
import MVCC
import StoreTestKit
import Testing

/// The store against a naive model: random writes, commits, compactions, restarts and reads of any moment.
@Suite struct ModelTests {
    @Test(arguments: UInt64(1)...10)
    func everyReadAnswersAsTheModel(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let data = try TestStore()
        for round in 0..<25 {
            data.writeRandomly(Int.random(in: 1...15, using: &random), &random)
            try disturb(data, &random)
            let view = data.view
            for _ in 0..<20 {
                let request = drawRange(data, &random)
                #expect(try view.range(request) == data.answer(request), "seed \(seed), round \(round): \(request)")
            }
            let at = Int64.random(in: max(data.compactRevision, 1)...data.revision, using: &random)
            #expect(try view.hashKeyValues(at: at).hash == data.hash(at: at), "seed \(seed), round \(round), revision \(at)")
            #expect(data.store.keyCount == data.live(at: data.revision).count)
        }
    }

    /// A commit, a compaction or a part of one, or a restart: nothing that a reader may notice.
    private func disturb(_ data: TestStore, _ random: inout SeededRandom) throws {
        switch Int.random(in: 0..<6, using: &random) {
        case 0, 1: try data.commit()
        case 2 where data.compactRevision < data.revision:
            try data.compact(at: Int64.random(in: max(data.compactRevision + 1, 1)...data.revision, using: &random))
            if Bool.random(using: &random) { try data.finishCompaction() }
        case 3: try data.finishCompaction()
        case 4:
            let leased = try data.reopen()
            let expected = data.live(at: data.revision).filter { $0.lease != 0 }
            #expect(leased.map(\.key) == expected.map(\.key) && leased.map(\.lease) == expected.map(\.lease))
            #expect(data.store.currentRevision == data.revision && data.store.compactRevision == data.compactRevision)
        default: break
        }
    }

    @Test(arguments: UInt64(1)...6)
    func aViewShowsItsOwnMomentForEver(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let data = try TestStore()
        var views: [(view: ReadView, rows: RangeResponse, hash: KeyValueHash)] = []
        let all = RangeRequest(key: [0], rangeEnd: [0])
        for round in 0..<20 {
            data.writeRandomly(10, &random)
            if round % 3 == 0 { try data.commit() }
            views.append((data.view, data.answer(all), try data.view.hashKeyValues(at: 0)))
            if round % 7 == 6 {
                try data.compact(at: data.revision - 5)
                try data.finishCompaction()
                try data.commit()
            }
            data.store.reclaim()
        }
        for item in views {
            #expect(try item.view.range(all) == item.rows, "seed \(seed)")
            #expect(try item.view.hashKeyValues(at: 0) == item.hash, "seed \(seed)")
        }
    }

    @Test(arguments: UInt64(1)...10)
    func aCompactionsHashIsTheOneAnsweredBefore(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let data = try TestStore()
        var hashes: [KeyValueHash] = []
        for _ in 0..<12 {
            data.writeRandomly(20, &random)
            data.write(.put("always", "\(random.next())"))
            if Bool.random(using: &random) { try data.commit() }
            let at = Int64.random(in: max(data.compactRevision + 1, 2)...data.revision, using: &random)
            if data.live(at: at).isEmpty { continue }
            let before = try data.view.hashKeyValues(at: at)
            try data.compact(at: at)
            #expect(try data.finishCompaction() == before, "seed \(seed), revision \(at)")
            hashes.append(before)
        }
        #expect(hashes.count > 5)
        #expect(data.store.storedHashes == hashes.suffix(10))
    }
}
