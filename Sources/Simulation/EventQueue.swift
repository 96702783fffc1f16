import Host

/// A binary heap of things to happen, in order of time, then of scheduling. What moves in it are plain numbers: the things
/// themselves lie still until their time comes.
public struct EventQueue<Event> {
    private struct Entry {
        let time: UInt64
        let order: UInt64
        let slot: Int

        static func < (a: Entry, b: Entry) -> Bool { a.time < b.time || a.time == b.time && a.order < b.order }
    }

    private var heap: [Entry] = []
    private var events: [Event?] = []
    private var free: [Int] = []
    private var scheduled: UInt64 = 0

    public init() {}

    public var nextTime: Instant? { heap.first.map { Instant(nanoseconds: $0.time) } }

    public mutating func schedule(_ event: Event, at time: Instant) {
        scheduled += 1
        let entry = Entry(time: time.nanoseconds, order: scheduled, slot: keep(event))
        heap.append(entry)
        var child = heap.count - 1
        while child > 0, entry < heap[(child - 1) / 2] {
            heap[child] = heap[(child - 1) / 2]
            child = (child - 1) / 2
        }
        heap[child] = entry
    }

    private mutating func keep(_ event: Event) -> Int {
        guard let slot = free.popLast() else {
            events.append(event)
            return events.count - 1
        }
        events[slot] = event
        return slot
    }

    public mutating func pop() -> Event? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty { sink(last) }
        let event = events[first.slot].take()
        free.append(first.slot)
        return event
    }

    /// Puts an entry in the place of the first.
    private mutating func sink(_ entry: Entry) {
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < entry else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = entry
    }
}
