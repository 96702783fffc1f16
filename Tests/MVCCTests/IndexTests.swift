import Host
import Testing

@testable import MVCC

@Suite struct IndexTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
    private func at(_ main: Int64, _ sub: Int64 = 0) -> Revision { Revision(main: main, sub: sub) }

    @Test func generationsStartAnew() {
        let index = KeyIndex()
        let key = bytes("foo")
        #expect(!index.tombstone(key, at: at(2)))
        #expect(index.put(key, at: at(2)) == .init(previous: nil, created: 2, version: 1))
        #expect(index.put(key, at: at(3, 1)).version == 2)
        #expect(index.tombstone(key, at: at(4)))
        #expect(!index.tombstone(key, at: at(5)))
        #expect(index.liveKeys == 0 && index.keys == 1)
        let again = index.put(key, at: at(6))
        #expect(again.created == 6 && again.version == 1 && again.previous?.isTombstone == true)
        #expect(index.get(key, at: 1) == nil)
        #expect(index.get(key, at: 3)?.revision == at(3, 1))
        #expect(index.get(key, at: 4) == nil)
        #expect(index.find(key, at: 5)?.revision == at(4))
        #expect(index.get(key, at: 7)?.isNewest == true && index.get(key, at: 3)?.isNewest == false)
    }

    @Test func lastChangeOfATransactionCounts() {
        let index = KeyIndex()
        let key = bytes("foo")
        _ = index.put(key, at: at(2, 0))
        _ = index.put(key, at: at(2, 3))
        #expect(index.get(key, at: 2)?.revision == at(2, 3))
        #expect(index.tombstone(key, at: at(3, 0)))
        _ = index.put(key, at: at(3, 1))
        #expect(index.get(key, at: 3)?.revision == at(3, 1))
        #expect(index.get(key, at: 2)?.revision == at(2, 3))
    }

    /// put 2, delete 4, put 6, delete 8: what each compact revision keeps.
    @Test func compactionKeepsTombstoneAtItsRevisionOnly() {
        func index() -> KeyIndex {
            let index = KeyIndex()
            _ = index.put(bytes("foo"), at: at(2))
            _ = index.tombstone(bytes("foo"), at: at(4))
            _ = index.put(bytes("foo"), at: at(6))
            _ = index.tombstone(bytes("foo"), at: at(8))
            return index
        }
        let kept: [Int64: Int64?] = [1: nil, 2: 2, 3: 2, 4: 4, 5: nil, 6: 6, 7: 6, 8: 8, 9: nil]
        for (compact, main) in kept {
            let index = index()
            #expect(index.keeper(bytes("foo"), at: compact)?.revision.main == main, "at \(compact)")
            #expect(index.trim(bytes("foo"), at: compact)?.revision.main == main, "at \(compact)")
            #expect(index.keys == (compact == 9 ? 0 : 1))
            for revision in max(compact, 5)...10 {
                let expected: Int64? = (6..<8).contains(revision) ? 6 : nil
                #expect(index.get(bytes("foo"), at: revision)?.revision.main == expected, "\(compact), \(revision)")
            }
        }
    }

    @Test func restoreTakesWhatDisksHold() {
        let index = KeyIndex()
        let key = bytes("foo")
        func restore(_ key: [UInt8], _ revision: Revision, _ version: Int64, tombstone: Bool = false) -> KeyIndex.RestoreOutcome {
            index.restore(key, .init(revision: revision, created: 3, version: version, isTombstone: tombstone))
        }
        #expect(restore(key, at(0), 1) == .invalid)
        #expect(restore(key, at(5, -1), 1) == .invalid)
        #expect(restore(key, at(5, 1 << 31), 1) == .invalid)
        #expect(restore(key, at(5), 7) == .stored)
        #expect(restore(key, at(5), 8) == .invalid)
        #expect(restore(key, at(4, 9), 8) == .invalid)
        #expect(index.newest(key)?.created == 3 && index.newest(key)?.version == 7)
        #expect(
            index.put(key, at: at(6))
                == .init(
                    previous: .init(revision: at(5), created: 3, version: 7, isTombstone: false, isNewest: true), created: 3,
                    version: 8))
        #expect(index.newest(key)?.version == 8 && index.newest(key)?.created == 3)
        let other = bytes("gone")
        #expect(restore(other, at(7), 0, tombstone: true) == .stored)
        #expect(restore(other, at(8), 0, tombstone: true) == .notLive)
        #expect(index.newest(other)?.revision == at(7) && index.liveKeys == 1 && index.keys == 2)
        #expect(restore(other, at(9), 1) == .stored)
        #expect(index.liveKeys == 2)
    }

    @Test func keysInOrderFillTheirNodes() {
        var fills: [Double] = []
        // One run, and three that grow side by side, each ending before the next one's first key.
        for runs in [1, 3] {
            let index = KeyIndex()
            for number in 0..<20_000 {
                let text = "/registry/\(number % runs)/events/\(1_000_000 + number)"
                _ = index.put(bytes(text), at: at(Int64(number) + 2))
            }
            let check = IndexStructureCheck(index)
            #expect(check.fault == nil)
            fills.append(Double(check.used) / Double(check.bytes))
        }
        #expect(fills[0] > 0.95 && fills[1] > 0.9, "\(fills)")
    }

    @Test func largeKeys() {
        let index = KeyIndex()
        // Two million bytes in common, so separators are as large as the keys.
        let stem = Array(repeating: UInt8(ascii: "k"), count: 2 << 20)
        let keys = (0..<9).map { stem + [UInt8($0)] } + (0..<300).map { bytes("small\($0)") }
        for (number, key) in keys.enumerated() { _ = index.put(key, at: at(Int64(number) + 2)) }
        #expect(IndexStructureCheck(index).fault == nil)
        var snapshot: KeySnapshot? = index.snapshot()
        for (number, key) in keys.enumerated() {
            #expect(index.get(key, at: 1000)?.revision.main == Int64(number) + 2)
            if number.isMultiple(of: 2) { #expect(index.tombstone(key, at: at(Int64(number) + 1000))) }
        }
        for key in keys { index.trim(key, at: 3000) }
        #expect(IndexStructureCheck(index).fault == nil)
        #expect(index.keys == keys.count / 2 && snapshot?.count(from: [], to: nil, at: 1000) == keys.count)
        for number in 0..<9 where !number.isMultiple(of: 2) { #expect(index.tombstone(keys[number], at: at(4000))) }
        for key in keys { index.trim(key, at: 5000) }
        #expect(index.memory.nodeBytes > 20 << 20, "the snapshot still has the large keys")
        withExtendedLifetime(snapshot) {}
        snapshot = nil
        while index.reclaim() {}
        #expect(index.memory.nodeBytes < 1 << 20)
    }

    @Test func removingALargeKeyShrinksItsNode() {
        let index = KeyIndex(pooledNodes: 0)
        let large = bytes("b") + Array(repeating: UInt8(ascii: "b"), count: 100_000)
        // Behind it a node too full to merge with what is left.
        let others = [bytes("a")] + (10..<80).map { bytes("c\($0)") }
        for key in others + [large] { _ = index.put(key, at: at(2)) }
        #expect(index.tombstone(large, at: at(3)))
        index.trim(large, at: 4)
        #expect(IndexStructureCheck(index).fault == nil && index.keys == others.count)
        #expect(index.memory.nodeBytes <= 4 * 4096)
    }

    @Test func sparseNodesMerge() {
        let index = KeyIndex(nodeBytes: 512, pooledNodes: 0)
        let keys = (0..<6000).map { bytes("/registry/pods/\($0)") }
        for key in keys { _ = index.put(key, at: at(2)) }
        for (number, key) in keys.enumerated() where number % 20 != 0 {
            #expect(index.tombstone(key, at: at(3)))
            index.trim(key, at: 4)
        }
        let check = IndexStructureCheck(index)
        #expect(check.fault == nil && index.keys == keys.count / 20)
        #expect(Double(check.used) / Double(check.bytes) > 0.4)
    }

    @Test func deletedKeysGiveTheirMemoryBack() {
        let index = KeyIndex(nodeBytes: 512, pooledNodes: 0)
        let keys = (0..<6000).map { bytes("/registry/pods/\($0)") }
        var main: Int64 = 1
        for _ in 0..<8 {
            for key in keys {
                main += 1
                _ = index.put(key, at: at(main))
            }
        }
        #expect(index.memory.historyBytes == 2 * KeyHistoryTable.chunkBytes)
        for key in keys { _ = index.tombstone(key, at: at(main + 1)) }
        for key in keys { index.trim(key, at: main + 2) }
        while index.reclaim() {}
        let check = IndexStructureCheck(index)
        #expect(check.fault == nil && check.nodes == 1 && index.keys == 0)
        #expect(index.memory.nodeBytes == check.bytes)
        // The chunk in use stays.
        #expect(index.memory.historyBytes == KeyHistoryTable.chunkBytes && index.history.records == 0)
        _ = index.put(keys[0], at: at(main + 3))
        _ = index.put(keys[0], at: at(main + 4))
        #expect(index.find(keys[0], at: main + 3)?.revision.main == main + 3)
    }

    @Test func aSnapshotHeldForLongKeepsOnlyWhatItReaches() {
        var random = SeededRandom(seed: 3)
        let index = KeyIndex(nodeBytes: 512, pooledNodes: 0)
        let keys = (0..<3000).map { bytes("/registry/pods/\($0)") }
        var main: Int64 = 1
        func put(_ key: [UInt8]) {
            main += 1
            _ = index.put(key, at: at(main))
        }
        for key in keys { put(key) }
        let tree = index.memory.nodeBytes
        let held = index.snapshot()
        let seen = held.newestRevision
        for _ in 0..<300 {
            let turn = index.snapshot()
            for _ in 0..<50 { put(keys[Int.random(in: 0..<keys.count, using: &random)]) }
            withExtendedLifetime(turn) {}
            index.reclaim(limit: 1)
        }
        #expect(index.memory.nodeBytes <= 3 * tree, "garbage piles up however small the portions")
        while index.reclaim() {}
        #expect(index.memory.nodeBytes <= 2 * tree + 64 * 512, "the held snapshot's tree and the live one")
        #expect(held.count(from: [], to: nil, at: seen) == keys.count)
        withExtendedLifetime(held) {}
    }

    @Test func reclaimWorksInPortions() {
        let index = KeyIndex(nodeBytes: 512, pooledNodes: 0)
        let keys = (0..<3000).map { bytes("/registry/pods/\($0)") }
        for key in keys { _ = index.put(key, at: at(2)) }
        var snapshot: KeySnapshot? = index.snapshot()
        for key in keys { _ = index.put(key, at: at(3)) }
        index.reclaim(limit: 1)
        withExtendedLifetime(snapshot) {}
        snapshot = nil
        let before = index.memory.nodeBytes
        #expect(index.reclaim(limit: 10))
        #expect(before - index.memory.nodeBytes == 10 * 512)
    }

    @Test func memoryOutlivesTheIndexWhileASnapshotDoes() {
        var index: KeyIndex? = KeyIndex()
        _ = index?.put(bytes("foo"), at: at(2))
        let memory = index!.memory
        var snapshot = index?.snapshot()
        _ = index?.put(bytes("foo"), at: at(3))
        index = nil
        #expect(snapshot?.get(bytes("foo"), at: 2)?.revision == at(2))
        #expect(memory.nodeBytes > 0)
        snapshot = nil
        #expect(memory.nodeBytes == 0 && memory.historyBytes == 0)
    }
}
