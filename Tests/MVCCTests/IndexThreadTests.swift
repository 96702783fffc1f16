import Host
import Synchronization
import Testing

@testable import MVCC

/// Readers on other threads walk snapshots while the writer changes, compacts and frees.
@Suite struct IndexThreadTests {
    /// What a walk over the whole index must find.
    struct Digest: Equatable {
        var live = 0
        var sum: UInt64 = 0
    }

    struct Published {
        var snapshot: KeySnapshot
        var revision: Int64
        /// By revision: what a reader at it must see.
        var digests: [Digest]
    }

    final class Board: Sendable {
        let latest = Mutex<Published?>(nil)
        let walks = Atomic<Int>(0)
        let faults = Mutex<[String]>([])
    }

    @Test func readersSeeTheirRevision() async {
        let board = Board()
        let seed: UInt64 = 11
        await withTaskGroup { group in
            group.addTask { await Self.write(board, seed: seed, turns: 2000) }
            for reader in 1...2 { group.addTask { await Self.read(board, seed: seed + UInt64(reader)) } }
        }
        #expect(board.faults.withLock { $0 } == [], "seed \(seed)")
        #expect(board.walks.load(ordering: .relaxed) > 10)
    }

    private static func write(_ board: Board, seed: UInt64, turns: Int) async {
        var random = SeededRandom(seed: seed)
        let keys = makeKeys(400, large: 300, &random)
        let index = KeyIndex(nodeBytes: 256, pooledNodes: 8)
        var digests = [Digest(), Digest()]
        for turn in 0..<turns {
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let key = Int.random(in: 0..<keys.count, using: &random)
                let deletes = (turn / 150) % 2 == 1 && Int.random(in: 0..<2, using: &random) == 0
                change(index, keys[key], deletes: deletes, &digests)
            }
            if turn % 40 == 39 {
                let compact = Int64(digests.count) - Int64.random(in: 1...60, using: &random)
                for key in keys where compact > index.compactedRevision { index.trim(key, at: compact) }
            }
            let published = Published(snapshot: index.snapshot(), revision: Int64(digests.count) - 1, digests: digests)
            board.latest.withLock { $0 = published }
            index.reclaim(limit: 20)
            if turn % 8 == 0 { await Task.yield() }
        }
        board.latest.withLock { $0 = nil }
    }

    private static func change(_ index: KeyIndex, _ key: [UInt8], deletes: Bool, _ digests: inout [Digest]) {
        var digest = digests[digests.count - 1]
        let revision = Revision(main: Int64(digests.count))
        let previous = index.newest(key)
        let wasLive = previous?.isTombstone == false
        if deletes {
            guard index.tombstone(key, at: revision) else { return }
        } else {
            _ = index.put(key, at: revision)
            digest.live += 1
            digest.sum &+= weight(key.count, revision.main)
        }
        if let previous, wasLive {
            digest.live -= 1
            digest.sum &-= weight(key.count, previous.revision.main)
        }
        digests.append(digest)
    }

    private static func weight(_ length: Int, _ main: Int64) -> UInt64 {
        (UInt64(main) &* 0x9e37_79b9_7f4a_7c15) ^ UInt64(length)
    }

    private static func read(_ board: Board, seed: UInt64) async {
        var random = SeededRandom(seed: seed)
        var started = false
        while true {
            await Task.yield()
            guard let published = board.latest.withLock({ $0 }) else {
                if started { return }
                continue
            }
            started = true
            let oldest = max(1, published.snapshot.compactedRevision)
            for revision in [published.revision, Int64.random(in: oldest...published.revision, using: &random)] {
                if let fault = check(published, at: revision, descending: Bool.random(using: &random)) {
                    board.faults.withLock { $0.append(fault) }
                    return
                }
                board.walks.add(1, ordering: .relaxed)
            }
        }
    }

    private static func check(_ published: Published, at revision: Int64, descending: Bool) -> String? {
        let snapshot = published.snapshot
        var digest = Digest()
        var lost = 0
        _ = snapshot.visit(from: [], to: nil, at: revision, descending: descending) { key, state in
            digest.live += 1
            digest.sum &+= weight(key.count, state.revision.main)
            if snapshot.get(key, at: revision) != state { lost += 1 }
            return true
        }
        if digest != published.digests[Int(revision)] { return "walk at \(revision) of \(published.revision): \(digest)" }
        if lost > 0 { return "\(lost) keys seen by visit and not by get at \(revision)" }
        let count = snapshot.count(from: [], to: nil, at: revision)
        return count == digest.live ? nil : "counted \(count), visited \(digest.live) at \(revision)"
    }
}
