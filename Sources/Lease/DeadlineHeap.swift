import Host

/// A binary heap of moments and lease ids, earliest first. Entries overtaken by a renewal stay until they surface, and are swept
/// out when they outnumber the live ones, so the heap stays within twice the number of leases.
struct DeadlineHeap: Sendable {
    struct Entry: Sendable {
        let at: Instant
        let id: Int64
    }

    private var entries: [Entry] = []

    var first: Entry? { entries.first }

    mutating func removeAll() { entries.removeAll() }

    mutating func insert(_ at: Instant, _ id: Int64, live: Int, isCurrent: (Instant, Int64) -> Bool) {
        if entries.count > 2 * live + 64 { sweep(isCurrent) }
        entries.append(Entry(at: at, id: id))
        rise(from: entries.count - 1)
    }

    mutating func removeFirst() {
        guard let last = entries.popLast(), !entries.isEmpty else { return }
        entries[0] = last
        sink(from: 0)
    }

    private mutating func sweep(_ isCurrent: (Instant, Int64) -> Bool) {
        entries.removeAll { !isCurrent($0.at, $0.id) }
        for index in stride(from: entries.count / 2 - 1, through: 0, by: -1) { sink(from: index) }
    }

    private func isBefore(_ a: Int, _ b: Int) -> Bool {
        (entries[a].at.nanoseconds, entries[a].id) < (entries[b].at.nanoseconds, entries[b].id)
    }

    private mutating func rise(from start: Int) {
        var child = start
        while child > 0, isBefore(child, (child - 1) / 2) {
            entries.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private mutating func sink(from start: Int) {
        var parent = start
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count && isBefore(child, smallest) {
                smallest = child
            }
            if smallest == parent { return }
            entries.swapAt(parent, smallest)
            parent = smallest
        }
    }
}
