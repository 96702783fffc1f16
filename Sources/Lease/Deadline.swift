import Host

/// A moment at which something is to be done about a lease. Ordered by time, then by id, so that every order is reproducible.
struct Deadline: Comparable, Sendable {
    let at: Instant
    let id: Int64

    static func < (a: Deadline, b: Deadline) -> Bool {
        a.at.nanoseconds != b.at.nanoseconds ? a.at.nanoseconds < b.at.nanoseconds : a.id < b.id
    }
}

/// A priority queue of deadlines, a binary heap.
///
/// Nothing is ever taken out of its middle: the owner remembers where it queued a lease last, and drops what surfaces at another
/// time. It rebuilds the queue when too much of that has gathered.
struct DeadlineQueue: Sendable {
    private var heap: [Deadline] = []

    var first: Deadline? { heap.first }
    var count: Int { heap.count }

    init() {}

    /// In linear time, whatever the order.
    init(_ deadlines: [Deadline]) {
        heap = deadlines
        for parent in stride(from: heap.count / 2 - 1, through: 0, by: -1) { sink(from: parent) }
    }

    mutating func insert(_ deadline: Deadline) {
        heap.append(deadline)
        var child = heap.count - 1
        while child > 0, heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func removeFirst() -> Deadline {
        let first = heap[0]
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink(from: 0)
        }
        return first
    }

    private mutating func sink(from start: Int) {
        var parent = start
        while 2 * parent + 1 < heap.count {
            var smaller = 2 * parent + 1
            if smaller + 1 < heap.count, heap[smaller + 1] < heap[smaller] { smaller += 1 }
            if heap[parent] < heap[smaller] { return }
            heap.swapAt(parent, smaller)
            parent = smaller
        }
    }
}

extension Instant {
    /// The last moment whose distance from any other can be told.
    private static let last = Instant(nanoseconds: UInt64(Int64.max))

    /// A lease may last for centuries, which must not overflow.
    func after(seconds: Int64, and extra: Span = Span(nanoseconds: 0)) -> Instant {
        let span = UInt64(max(0, min(seconds, LeaseTable.largestTTL))) * 1_000_000_000
        let (sum, overflow) = nanoseconds.addingReportingOverflow(span)
        let (total, overflowAgain) = sum.addingReportingOverflow(UInt64(max(0, extra.nanoseconds)))
        return overflow || overflowAgain ? Instant.last : min(Instant.last, Instant(nanoseconds: total))
    }
}
