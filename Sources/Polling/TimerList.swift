import NIOCore

/// Timers in the order they fall due. There are few at a time, most of them as long as the last: an array does.
struct TimerList {
    struct Key: Comparable, Sendable {
        let deadline: NIODeadline
        /// Of timers that fall due together the older goes first.
        let number: UInt64

        static func < (one: Key, other: Key) -> Bool { (one.deadline, one.number) < (other.deadline, other.number) }
    }

    struct Entry {
        let key: Key
        /// Called once: true when the time has come, false when it never will.
        let end: (_ isDue: Bool) -> Void
    }

    /// The next one last.
    private var entries: [Entry] = []

    var next: NIODeadline? { entries.last?.key.deadline }

    mutating func insert(_ entry: Entry) { entries.insert(entry, at: place(of: entry.key)) }

    mutating func remove(_ key: Key) {
        let place = place(of: key)
        if place < entries.count, entries[place].key == key { entries.remove(at: place) }
    }

    /// The next one that is due by then.
    mutating func takeDue(_ now: NIODeadline) -> Entry? {
        guard let next, next <= now else { return nil }
        return entries.removeLast()
    }

    mutating func takeAll() -> [Entry] {
        defer { entries = [] }
        return entries
    }

    /// The first place whose timer is not due after `key`.
    private func place(of key: Key) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].key > key { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
