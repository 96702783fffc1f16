import Bytes
import MVCC

/// Finds the watchers of a key: a dictionary for single keys, and for ranges an array sorted by first key, read as an implicit
/// balanced tree in which every subtree knows its furthest end (an augmented interval tree without pointers).
struct WatcherIndex {
    private var single: [[UInt8]: [Watcher]] = [:]
    private var ranges: [Watcher] = []
    private var furthest: [KeyRange.End] = []
    private var isSorted = true
    private(set) var count = 0

    mutating func insert(_ watcher: Watcher) {
        count += 1
        if watcher.range.end == .single {
            single[watcher.range.first, default: []].append(watcher)
        } else {
            ranges.append(watcher)
            isSorted = false
        }
    }

    mutating func remove(_ watcher: Watcher) {
        count -= 1
        if watcher.range.end == .single {
            let key = watcher.range.first
            single[key]?.removeAll { $0 === watcher }
            if single[key]?.isEmpty == true { single[key] = nil }
        } else {
            ranges.removeAll { $0 === watcher }
            isSorted = false
        }
    }

    /// Visits every watcher whose range holds the key.
    mutating func forEach(watching key: UnsafeRawBufferPointer, _ body: (Watcher) -> Void) {
        if !single.isEmpty, let exact = single[[UInt8](key)] {
            for watcher in exact { body(watcher) }
        }
        if ranges.isEmpty { return }
        if !isSorted { rebuild() }
        visit(0, ranges.count, key, body)
    }

    private mutating func rebuild() {
        ranges.sort { $0.range.first.lexicographicallyPrecedes($1.range.first) }
        furthest = ranges.map(\.range.end)
        _ = widen(0, ranges.count)
        isSorted = true
    }

    private mutating func widen(_ low: Int, _ high: Int) -> KeyRange.End? {
        guard low < high else { return nil }
        let middle = (low + high) / 2
        var end = ranges[middle].range.end
        for other in [widen(low, middle), widen(middle + 1, high)] {
            if let other { end = WatcherIndex.further(end, other) }
        }
        furthest[middle] = end
        return end
    }

    private static func further(_ a: KeyRange.End, _ b: KeyRange.End) -> KeyRange.End {
        guard case .before(let first) = a, case .before(let second) = b else { return .open }
        return first.lexicographicallyPrecedes(second) ? b : a
    }

    private func visit(_ low: Int, _ high: Int, _ key: UnsafeRawBufferPointer, _ body: (Watcher) -> Void) {
        guard low < high else { return }
        let middle = (low + high) / 2
        if case .before(let end) = furthest[middle], compareBytes(key, end) >= 0 { return }
        visit(low, middle, key, body)
        let watcher = ranges[middle]
        if compareBytes(key, watcher.range.first) < 0 { return }
        if watcher.range.contains(key) { body(watcher) }
        visit(middle + 1, high, key, body)
    }
}
