/// The append messages on their way to one follower, each known by the index of its last entry: a ring that grows up to its
/// limit.
struct InflightWindow: Equatable, Sendable {
    private var ring: [LogIndex] = []
    private var head = 0
    private(set) var count = 0
    let limit: Int

    init(limit: Int) { self.limit = limit }

    var isFull: Bool { count == limit }

    /// Indexes ascend from call to call.
    mutating func add(_ lastIndex: LogIndex) {
        precondition(!isFull, "append window overrun")
        if count == ring.count { grow() }
        ring[(head + count) % ring.count] = lastIndex
        count += 1
    }

    /// Forgets all messages whose last entry is at most `index`.
    mutating func release(through index: LogIndex) {
        while count > 0, ring[head] <= index {
            head = (head + 1) % ring.count
            count -= 1
        }
    }

    mutating func removeAll() {
        head = 0
        count = 0
    }

    private mutating func grow() {
        let ordered = (0..<count).map { ring[(head + $0) % ring.count] }
        let size = min(limit, max(4, ring.count * 2))
        ring = ordered + Array(repeating: 0, count: size - count)
        head = 0
    }
}
