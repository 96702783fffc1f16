import Bytes

/// A set of half-open intervals of keys.
///
/// Kept as runs of disjoint ascending intervals, each run at least twice as long as the next: an interval takes part in a
/// logarithmic number of merges, and a look-up in a logarithmic number of searches.
struct KeyIntervals {
    struct Interval {
        let first: [UInt8]
        /// The first key past it.
        var end: [UInt8]

        /// As a request spells it: one key where the range end is empty.
        init(key: [UInt8], rangeEnd: [UInt8]) {
            first = key
            end = rangeEnd.isEmpty ? key + [0] : rangeEnd
        }

        var isEmpty: Bool { !precedes(first, end) }
    }

    private var runs: [[Interval]] = []

    var isEmpty: Bool { runs.isEmpty }

    init(_ intervals: [Interval]) {
        let sorted = intervals.filter { !$0.isEmpty }.sorted { precedes($0.first, $1.first) }
        if !sorted.isEmpty { runs = [KeyIntervals.merge(sorted, [])] }
    }

    func contains(_ key: [UInt8]) -> Bool { runs.contains { KeyIntervals.run($0, contains: key) } }

    mutating func formUnion(_ other: KeyIntervals) {
        for run in other.runs { add(run) }
    }

    private mutating func add(_ run: [Interval]) {
        var run = run
        while let last = runs.last, last.count < 2 * run.count {
            runs.removeLast()
            run = KeyIntervals.merge(last, run)
        }
        runs.append(run)
    }

    private static func run(_ run: [Interval], contains key: [UInt8]) -> Bool {
        // The last interval that does not begin past the key is the only one that can hold it.
        var low = 0
        var high = run.count
        while low < high {
            let middle = (low + high) / 2
            if precedes(key, run[middle].first) { high = middle } else { low = middle + 1 }
        }
        return low > 0 && precedes(key, run[low - 1].end)
    }

    /// Merges two lists ordered by first key; what touches or overlaps becomes one.
    private static func merge(_ a: [Interval], _ b: [Interval]) -> [Interval] {
        var merged: [Interval] = []
        merged.reserveCapacity(a.count + b.count)
        var fromA = 0
        var fromB = 0
        while fromA < a.count || fromB < b.count {
            let takesA = fromB == b.count || (fromA < a.count && !precedes(b[fromB].first, a[fromA].first))
            let next = takesA ? a[fromA] : b[fromB]
            if takesA { fromA += 1 } else { fromB += 1 }
            guard let last = merged.last, !precedes(last.end, next.first) else {
                merged.append(next)
                continue
            }
            if precedes(last.end, next.end) { merged[merged.count - 1].end = next.end }
        }
        return merged
    }
}

/// Byte order of keys.
private func precedes(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.withUnsafeBytes { compareBytes($0, b) } < 0 }
