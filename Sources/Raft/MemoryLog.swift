extension Entry {
    /// What an entry counts against limits: its payload and about what its term, index and kind take on the wire.
    var size: Int { data.count + 24 }
}

extension LogIndex {
    /// No log gets there; a larger one in a snapshot is garbage, and would make sums overflow later.
    static let highestPlausible: LogIndex = 1 << 62
}

/// The replicated log since the last compaction, in memory.
///
/// Invariants: entries follow each other without gaps after the base, and terms never fall.
struct MemoryLog: Equatable, Sendable {
    /// The entry before the first one held; its term is known, its data is not.
    private(set) var baseIndex: LogIndex
    private(set) var baseTerm: Term
    private(set) var entries: [Entry]

    /// `entries` must follow `baseIndex` without gaps (``PersistedState/validate()``).
    init(baseIndex: LogIndex, baseTerm: Term, entries: [Entry]) {
        self.baseIndex = baseIndex
        self.baseTerm = baseTerm
        self.entries = entries
    }

    var firstIndex: LogIndex { baseIndex + 1 }
    var lastIndex: LogIndex { baseIndex + LogIndex(entries.count) }
    var lastTerm: Term { entries.last?.term ?? baseTerm }

    /// Nil outside of base...last.
    func term(at index: LogIndex) -> Term? {
        guard index >= baseIndex, index <= lastIndex else { return nil }
        return index == baseIndex ? baseTerm : entries[Int(index - firstIndex)].term
    }

    func matches(_ index: LogIndex, term: Term) -> Bool { self.term(at: index) == term }

    /// Whether a log ending in this entry is at least as complete as this one (Raft paper, 5.4.1).
    func isCovered(byLogEndingAt index: LogIndex, term: Term) -> Bool {
        term > lastTerm || (term == lastTerm && index >= lastIndex)
    }

    /// The last place at or before `index` whose term is at most `term`: no later one can agree with a log that has `term` at
    /// `index`. A term of zero means it is not known, because it lies before the base.
    func lastPlace(notAfter index: LogIndex, termAtMost term: Term) -> (index: LogIndex, term: Term) {
        if index < baseIndex { return (index, 0) }
        if baseTerm > term { return baseIndex == 0 ? (0, 0) : (baseIndex - 1, 0) }
        // Terms ascend: find the number of entries up to `index` with a small enough term.
        var low = 0
        var high = Int(min(index, lastIndex) - baseIndex)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].term <= term { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? (baseIndex, baseTerm) : (entries[low - 1].index, entries[low - 1].term)
    }

    /// Entries from `first` to at most `last`, which the log must hold: as many as fit in `maximumBytes`, but at least one.
    func slice(from first: LogIndex, through last: LogIndex, maximumBytes: Int) -> [Entry] {
        guard first <= last else { return [] }
        let start = Int(first - firstIndex)
        let limit = Int(last - baseIndex)
        var bytes = entries[start].size
        var end = start + 1
        while end < limit {
            bytes += entries[end].size
            if bytes > maximumBytes { break }
            end += 1
        }
        return Array(entries[start..<end])
    }

    /// Calls `body` with each entry in the range that the log still holds.
    func forEach(from first: LogIndex, through last: LogIndex, _ body: (Entry) -> Void) {
        let start = max(first, firstIndex)
        guard start <= last, last <= lastIndex else { return }
        for position in Int(start - firstIndex)...Int(last - firstIndex) { body(entries[position]) }
    }

    mutating func reserve(_ additional: Int) {
        // Exact reservations in a loop would copy the log every time.
        if entries.capacity - entries.count < additional {
            entries.reserveCapacity(max(entries.capacity * 2, entries.count + additional))
        }
    }

    mutating func append(_ entry: Entry) { entries.append(entry) }

    /// Removes everything after `index`.
    mutating func truncate(after index: LogIndex) { entries.removeLast(Int(lastIndex - index)) }

    /// Forgets the data of everything up to `index`, which the log must hold.
    mutating func compact(through index: LogIndex) {
        guard index > baseIndex, let term = term(at: index) else { return }
        entries.removeFirst(Int(index - baseIndex))
        baseIndex = index
        baseTerm = term
    }

    /// Forgets everything: a snapshot takes its place.
    mutating func restart(at index: LogIndex, term: Term) {
        entries.removeAll()
        baseIndex = index
        baseTerm = term
    }
}
