import Bytes
import EtcdAPI
import MVCC
import StoreTestKit
import Testing

@Suite struct StoreTests {
    @Test func aTransactionReadsItsOwnChanges() throws {
        let data = try TestStore()
        data.write(.put("a", "1"))
        var transaction = MVCC.WriteTransaction(data.store)
        #expect(transaction.readRevision == 2)
        _ = Array("2".utf8).withUnsafeBytes { transaction.put(Array("a".utf8), value: $0, lease: 0) }
        #expect(transaction.readRevision == 3)
        var reader = try transaction.reader()
        let stored = try Array("a".utf8).withUnsafeBytes { try reader.get($0, at: 3).map { try KeyValue(decoding: $0) } }
        #expect(stored == KeyValue(key: Array("a".utf8), createRevision: 2, modRevision: 3, version: 2, value: Array("2".utf8)))
        #expect(transaction.delete(KeyRange(key: [0], rangeEnd: [0])) == [Array("a".utf8)])
        #expect(transaction.delete(KeyRange(key: [0], rangeEnd: [0])) == [])
        _ = Array("3".utf8).withUnsafeBytes { transaction.put(Array("a".utf8), value: $0, lease: 0) }
        #expect(transaction.finish() == 3)
        let kept = try data.view.range(RangeRequest(key: Array("a".utf8))).kvs
        #expect(kept.map(\.createRevision) == [3] && kept.map(\.version) == [1])
    }

    @Test func aTransactionWithoutChangesIsNoRevision() throws {
        let data = try TestStore()
        data.write(.delete("nothing"))
        #expect(data.store.currentRevision == 1 && !data.store.hasChanges)
    }

    @Test func revisionsOutOfHistoryAreRefused() throws {
        let data = try TestStore()
        for value in 1...9 { data.write(.put("a", "\(value)")) }
        try data.compact(at: 5)
        let view = data.view
        #expect(throws: StoreError.compacted) { try view.range(RangeRequest(key: [97], revision: 4)) }
        #expect(throws: StoreError.futureRevision) { try view.range(RangeRequest(key: [97], revision: 11)) }
        #expect(throws: StoreError.compacted) { try view.hashKeyValues(at: 4) }
        #expect(throws: StoreError.futureRevision) { try view.hashKeyValues(at: 11) }
        #expect(throws: StoreError.compacted) { try data.compact(at: 5) }
        #expect(throws: StoreError.futureRevision) { try data.compact(at: 11) }
        #expect(try view.range(RangeRequest(key: [97], revision: 5)).kvs.map(\.value) == [Array("4".utf8)])
    }

    @Test func limitsTellMoreAndTheWholeCount() throws {
        let data = try TestStore()
        data.write((10..<20).map { .put("k\($0)", "v") })
        let some = try data.view.range(RangeRequest(key: [0], rangeEnd: [0], limit: 3))
        #expect(some.kvs.count == 3 && some.more && some.count == 10)
        let exact = try data.view.range(RangeRequest(key: [0], rangeEnd: [0], limit: 10))
        #expect(exact.kvs.count == 10 && !exact.more && exact.count == 10)
    }

    /// A restart amid a compaction: what is gone stays gone, what is left is removed now.
    @Test func aCompactionCutShortIsTakenUpAgain() throws {
        let data = try TestStore()
        for round in 0..<30 { data.write((0..<50).map { .put("k\($0)", "\(round)") }) }
        try data.compact(at: 30)
        #expect(try data.store.compactionStep() == nil)
        let hash = try data.view.hashKeyValues(at: 0)
        _ = try data.reopen()
        #expect(data.store.isCompacting && data.store.compactRevision == 30)
        #expect(try data.view.hashKeyValues(at: 0) == hash)
        try data.finishCompaction()
        // The compaction that was cut short has seen a part only.
        #expect(data.store.storedHashes.isEmpty)
        _ = try data.reopen()
        #expect(!data.store.isCompacting && data.store.compactRevision == 30)
        #expect(try data.view.hashKeyValues(at: 0) == hash)
        var left = 0
        var reader = try data.view.reader()
        try reader.forEachChange(from: 0, through: .max) { _, _, _ in
            left += 1
            return true
        }
        #expect(left == 100)
    }

    /// What a compaction removed can be read from the page file until that has taken the removal.
    @Test func hashesOfAnEmptyStoreDoNotDependOnCommits() throws {
        let data = try TestStore()
        for number in 0..<5 { data.write(.put("k\(number)", "v")) }
        try data.commit()
        data.write(.delete("k", end: "l"))
        try data.commit()
        try data.compact(at: data.revision)
        try data.finishCompaction()
        let nothing = CRC32C.update(0, Array("key".utf8))
        #expect(try data.view.hashKeyValues(at: 0).hash == nothing)
        try data.commit()
        #expect(try data.view.hashKeyValues(at: 0).hash == nothing)
        // Later on nothing lives either: what the compaction left counts, and it left nothing.
        data.write(.put("k9", "v"))
        data.write(.delete("k9"))
        #expect(try data.view.hashKeyValues(at: 0).hash == data.hash(at: data.revision))
    }

    @Test func nothingIsAsOldAsANegativeRevision() throws {
        let data = try TestStore()
        data.write(.put("a", "1"))
        #expect(try data.view.hashKeyValues(at: -1).hash == CRC32C.update(0, Array("key".utf8)))
    }

    @Test func aTargetWithoutAnOrderSortsWhatTheLimitLetsThroughAndOneMore() throws {
        let data = try TestStore()
        for key in ["d", "c", "b", "a"] { data.write(.put(key, key)) }
        let keys = { (limit: Int64, order: RangeRequest.SortOrder) in
            let request = RangeRequest(key: [0], rangeEnd: [0], limit: limit, sortOrder: order, sortTarget: .create)
            let answer = try data.view.range(request)
            return (answer.kvs.map { String(decoding: $0.key, as: UTF8.self) }.joined(), answer.more, answer.count)
        }
        #expect(try keys(1, .none) == ("b", true, 4))
        #expect(try keys(1, .ascend) == ("d", true, 4))
        #expect(try keys(4, .none) == ("dcba", false, 4))
        #expect(try keys(0, .unrecognized(3)) == ("abcd", false, 4))
    }

    @Test func theNewestRevisionIsNeverForgotten() throws {
        let data = try TestStore()
        data.write(.put("a", "1"))
        data.write(.delete("a"))
        try data.compact(at: 3)
        try data.finishCompaction()
        _ = try data.reopen()
        #expect(data.store.currentRevision == 3 && data.store.compactRevision == 3)
        data.write(.put("a", "2"))
        #expect(try data.view.range(RangeRequest(key: [97])).kvs.map(\.modRevision) == [4])
    }
}
