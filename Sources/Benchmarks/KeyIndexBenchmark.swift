import Host
import MVCC

/// Times the key index at two sizes: what a put, a get, a visited entry, a count and a restored revision cost, and what a key
/// takes in memory. Prints one line for each.
func runKeyIndexBenchmark() {
    for keys in [100_000, 1_000_000] { KeyIndexBenchmark(keys: keys).run() }
}

/// Keys one after the other in one buffer: 12 to 40 bytes with long common prefixes.
private struct BenchmarkKeys {
    private var bytes: [UInt8] = []
    private var ends = [0]
    var count: Int { ends.count - 1 }
    var averageLength: Int { bytes.count / count }

    init(_ numbers: some Sequence<Int>, of total: Int) {
        let width = String(total).utf8.count
        for number in numbers {
            let digits = String(number).utf8
            bytes += "/jobs/".utf8
            bytes += Array(repeating: UInt8(ascii: "0"), count: width - digits.count)
            bytes += digits
            // Longer keys now and then, as names are.
            if number % 2 == 0 { bytes += "/namespace/default/name".utf8.prefix(number % 23) }
            ends.append(bytes.count)
        }
    }

    /// The bytes of an array that is never changed stay where they are while it lives.
    subscript(_ position: Int) -> UnsafeRawBufferPointer {
        bytes.withUnsafeBytes { UnsafeRawBufferPointer(rebasing: $0[ends[position]..<ends[position + 1]]) }
    }
}

private final class KeyIndexBenchmark {
    private let keys: Int
    private let ordered: BenchmarkKeys
    /// All keys in random order, side by side: picking the next one costs no cache miss of the benchmark's own.
    private let shuffled: BenchmarkKeys
    private var position = 0
    private var random = SeededRandom(seed: 42)
    private var revision: Int64 = 1

    init(keys: Int) {
        self.keys = keys
        ordered = BenchmarkKeys(0..<keys, of: keys)
        shuffled = BenchmarkKeys((0..<keys).shuffled(using: &random), of: keys)
    }

    func run() {
        print("key index, \(keys) keys of \(ordered.averageLength) bytes on average; figures per operation")
        measureGrowth()
        let index = measureRestore()
        measurePuts(index)
        measureReads(index)
        measureHotKey(index)
        measureCompaction(index)
    }

    private func anyKey() -> UnsafeRawBufferPointer {
        position = position + 1 == keys ? 0 : position + 1
        return shuffled[position]
    }

    private func next() -> Revision {
        revision += 1
        return Revision(main: revision)
    }

    private func time(_ name: String, operations: Int, _ body: () -> Void) {
        let taken = ContinuousClock().measure(body)
        let nanoseconds = Double(taken.components.seconds) * 1e9 + Double(taken.components.attoseconds) / 1e9
        let each = Int(nanoseconds / Double(operations) * 10)
        print("  \(name): \(each / 10).\(each % 10) ns")
    }

    private func printMemory(_ index: KeyIndex) {
        print("    \(index.memory.nodeBytes / keys) bytes of nodes a key, \(index.memory.historyBytes) of older revisions")
    }

    private func measureGrowth() {
        let index = KeyIndex()
        time("ascending new keys, a snapshot each 100", operations: keys) {
            var snapshot: KeySnapshot?
            for number in 0..<keys {
                _ = index.put(ordered[number], at: next())
                if number % 100 == 0 {
                    snapshot = index.snapshot()
                    index.reclaim()
                }
            }
            withExtendedLifetime(snapshot) {}
        }
        while index.reclaim() {}
        printMemory(index)
        revision = 1
    }

    private func measureRestore() -> KeyIndex {
        let index = KeyIndex()
        time("restore, each key once in random order", operations: keys) {
            for _ in 0..<keys { _ = index.restore(anyKey(), at: next(), created: revision, version: 1, tombstone: false) }
        }
        printMemory(index)
        time("restore, 500,000 more revisions of random keys", operations: 500_000) {
            for _ in 0..<500_000 { _ = index.restore(anyKey(), at: next(), created: 2, version: 2, tombstone: false) }
        }
        return index
    }

    private func measurePuts(_ index: KeyIndex) {
        for turn in [100, 1000] {
            time("put on random keys, a snapshot each \(turn)", operations: 500_000) {
                var snapshot: KeySnapshot?
                for number in 0..<500_000 {
                    _ = index.put(anyKey(), at: next())
                    if number % turn == 0 {
                        snapshot = index.snapshot()
                        index.reclaim()
                    }
                }
                withExtendedLifetime(snapshot) {}
            }
        }
        while index.reclaim() {}
        printMemory(index)
    }

    private func measureReads(_ index: KeyIndex) {
        let snapshot = index.snapshot()
        let current = revision
        time("get a random key", operations: 1_000_000) {
            for _ in 0..<1_000_000 { precondition(snapshot.get(anyKey(), at: current) != nil) }
        }
        time("get a random key 500,000 revisions ago", operations: 1_000_000) {
            for _ in 0..<1_000_000 { precondition(snapshot.get(anyKey(), at: current - 500_000) != nil) }
        }
        let empty = UnsafeRawBufferPointer(start: nil, count: 0)
        for descending in [false, true] {
            time("visit an entry\(descending ? ", descending" : "")", operations: keys) {
                var seen = 0
                _ = snapshot.visit(from: empty, to: nil, at: current, descending: descending) { _, _ in
                    seen += 1
                    return true
                }
                precondition(seen == keys)
            }
        }
        time("count a random range", operations: 200_000) {
            for _ in 0..<200_000 {
                let low = Int.random(in: 0..<keys, using: &random)
                let high = Int.random(in: low..<keys, using: &random)
                precondition(snapshot.count(from: ordered[low], to: ordered[high], at: current) == high - low)
            }
        }
        for _ in 0..<1000 { _ = index.put(anyKey(), at: next()) }
        time("count all keys before 1,000 changes", operations: 200) {
            for _ in 0..<200 { precondition(index.count(from: empty, to: nil, at: current) == keys) }
        }
    }

    private func measureHotKey(_ index: KeyIndex) {
        let hot = ordered[keys / 2]
        let first = revision + 1
        time("put on one key, a snapshot each 100", operations: 1_000_000) {
            for number in 0..<1_000_000 {
                _ = index.put(hot, at: next())
                if number % 100 == 0 {
                    _ = index.snapshot()
                    index.reclaim()
                }
            }
        }
        time("get one of its 1,000,000 older revisions", operations: 1_000_000) {
            for _ in 0..<1_000_000 {
                let wanted = Int64.random(in: first...revision, using: &random)
                precondition(index.get(hot, at: wanted)?.revision.main == wanted)
            }
        }
    }

    private func measureCompaction(_ index: KeyIndex) {
        time("trim, all keys in random order, a snapshot each 1000", operations: keys) {
            var snapshot: KeySnapshot?
            for number in 0..<keys {
                index.trim(anyKey(), at: revision)
                if number % 1000 == 0 {
                    snapshot = index.snapshot()
                    index.reclaim()
                }
            }
            withExtendedLifetime(snapshot) {}
        }
        time("free what trim dropped, all of it", operations: 1) { while index.reclaim() {} }
        printMemory(index)
    }
}
