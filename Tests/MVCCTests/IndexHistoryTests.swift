import Host
import Testing

@testable import MVCC

/// The lists of older revisions: searches take few steps however long the list, whatever compaction cut off.
@Suite struct IndexHistoryTests {
    private let key = Array("hot".utf8)

    private func put(_ index: KeyIndex, _ mains: ClosedRange<Int64>) {
        for main in mains { _ = index.put(key, at: Revision(main: main)) }
    }

    private func newestRecord(_ index: KeyIndex) -> UInt32 {
        key.withUnsafeBytes { index.root.leaf(index.root.find(KeyBytes($0))!).history }
    }

    /// Steps of a search for the newest record at or below `revision`.
    private func steps(_ index: KeyIndex, to revision: Int64) -> Int {
        var record = index.history.table.record(newestRecord(index)).pointee
        var steps = 0
        while record.main > revision {
            record = index.history.table.record(record.jumpMain > revision ? record.jump : record.next).pointee
            steps += 1
        }
        return steps
    }

    private func check(_ index: KeyIndex, _ mains: ClosedRange<Int64>, steps limit: Int) {
        var random = SeededRandom(seed: 5)
        for _ in 0..<500 {
            let wanted = Int64.random(in: mains, using: &random)
            #expect(index.find(key, at: wanted)?.revision.main == wanted)
            if wanted < mains.upperBound { #expect(steps(index, to: wanted) <= limit) }
        }
    }

    @Test func jumpsAreThoseOfASkewBinaryList() {
        // A jump goes past the last two when they are equally long, else to the next record.
        var jumps: [UInt32] = [0, 0]
        for next in 1..<UInt32(5000) {
            let first = jumps[Int(next)]
            let second = jumps[Int(first)]
            jumps.append(next - first == first - second ? second : next)
        }
        for depth in 1..<UInt32(jumps.count) { #expect(depth - KeyHistoryRecord.jumpLength(at: depth) == jumps[Int(depth)]) }
        #expect(KeyHistoryRecord.jumpLength(at: UInt32.max / 2) == UInt32.max / 2)
    }

    @Test func searchesAreLogarithmic() {
        let index = KeyIndex()
        put(index, 1...60_000)
        check(index, 1...60_000, steps: 48)
    }

    @Test func cutListsStayLogarithmic() {
        let index = KeyIndex()
        put(index, 1...40_000)
        for (compact, last) in [(15_000, 60_000), (30_000, 61_000), (60_999, 90_000)] as [(Int64, Int64)] {
            let snapshot = index.snapshot()
            let oldest = snapshot.compactedRevision + 1
            let newest = snapshot.newestRevision
            #expect(index.trim(key, at: compact)?.revision.main == compact)
            while index.reclaim() {}
            put(index, newest + 1...last)
            check(index, compact...last, steps: 48)
            for main in stride(from: oldest, through: newest, by: 97) {
                #expect(snapshot.find(key, at: main)?.revision.main == main)
            }
        }
        while index.reclaim() {}
        #expect(index.history.records == 90_000 - 60_999)
    }

    @Test func freeingKeepsUpWithPuts() {
        let index = KeyIndex()
        for turn in 0..<50 as Range<Int64> {
            put(index, turn * 200 + 1...turn * 200 + 200)
            index.trim(key, at: turn * 200 + 200)
            index.reclaim(limit: 1)
        }
        #expect(index.history.records <= 200)
    }

    @Test func countingDepthAnewLosesNothing() {
        let index = KeyIndex()
        put(index, 1...5000)
        // As if 2^31 revisions had come before.
        index.history.table.record(newestRecord(index)).pointee.depth = .max / 2
        put(index, 5001...10_000)
        check(index, 1...10_000, steps: 80)
    }
}
