import Host

/// Things to happen, in order of time, then of scheduling. They lie still until their time comes; what is sorted are plain numbers.
///
/// Inlinable, because unspecialised it was a seventh of a simulation's time.
public struct EventQueue<Event> {
    @usableFromInline var places = EventPlaces()
    @usableFromInline var events: [Event?] = []
    @usableFromInline var free: [Int] = []

    @inlinable
    public init() {}

    public var nextTime: Instant? {
        @inlinable get { places.nextTime }
    }

    @inlinable
    public mutating func schedule(_ event: Event, at time: Instant) { places.insert(keep(event), at: time) }

    @inlinable
    mutating func keep(_ event: Event) -> Int {
        guard let slot = free.popLast() else {
            events.append(event)
            return events.count - 1
        }
        events[slot] = event
        return slot
    }

    @inlinable
    public mutating func pop() -> Event? {
        guard let slot = places.removeFirst() else { return nil }
        free.append(slot)
        return events[slot].take()
    }
}

/// A binary heap of when which slot's turn comes.
@usableFromInline
struct EventPlaces {
    private struct Entry {
        let time: UInt64
        let order: UInt64
        let slot: Int

        static func < (a: Entry, b: Entry) -> Bool { a.time < b.time || a.time == b.time && a.order < b.order }
    }

    private var heap: [Entry] = []
    private var inserted: UInt64 = 0

    @usableFromInline init() {}

    @usableFromInline var nextTime: Instant? { heap.first.map { Instant(nanoseconds: $0.time) } }

    @usableFromInline
    mutating func insert(_ slot: Int, at time: Instant) {
        inserted += 1
        let entry = Entry(time: time.nanoseconds, order: inserted, slot: slot)
        heap.append(entry)
        var child = heap.count - 1
        while child > 0, entry < heap[(child - 1) / 2] {
            heap[child] = heap[(child - 1) / 2]
            child = (child - 1) / 2
        }
        heap[child] = entry
    }

    @usableFromInline
    mutating func removeFirst() -> Int? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty { sink(last) }
        return first.slot
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
