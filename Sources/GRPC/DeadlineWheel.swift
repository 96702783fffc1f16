/// The deadlines of one event loop's calls: a hashed timing wheel, so that a call costs neither a timer nor an allocation.
///
/// A deadline is found at most one tick late. Times are nanoseconds of the event loop's clock.
struct DeadlineWheel {
    struct Position {
        fileprivate var slot: Int
        fileprivate var index: Int
    }

    /// A tick is 2^24 ns, about 17 ms; the wheel goes round once in 8.6 s, and calls with longer timeouts stay on it for several rounds.
    private static let tickShift: UInt64 = 24
    private static let slotCount = 512

    private var slots: [[GRPCStream]] = Array(repeating: [], count: slotCount)
    private var lastTick: UInt64 = 0
    private(set) var count = 0

    /// The first tick by which the deadline has passed for certain.
    private static func dueTick(_ deadline: UInt64) -> UInt64 { (deadline >> tickShift) + 1 }

    /// Puts the stream on the wheel; returns when it will be due.
    mutating func insert(_ stream: GRPCStream, deadline: UInt64, now: UInt64) -> UInt64 {
        precondition(stream.wheelPosition == nil, "a stream was put on the wheel twice")
        // An empty wheel has nothing to catch up with.
        if count == 0 { lastTick = now >> Self.tickShift }
        let due = max(Self.dueTick(deadline), lastTick + 1)
        let slot = Int(due % UInt64(Self.slotCount))
        stream.wheelPosition = Position(slot: slot, index: slots[slot].count)
        slots[slot].append(stream)
        count += 1
        return due << Self.tickShift
    }

    mutating func remove(_ stream: GRPCStream) {
        guard let position = stream.wheelPosition else { return }
        stream.wheelPosition = nil
        count -= 1
        let last = slots[position.slot].removeLast()
        if last !== stream {
            slots[position.slot][position.index] = last
            last.wheelPosition = position
        }
    }

    /// Takes the streams off the wheel whose time is up, in the order of their ticks.
    mutating func removeExpired(now: UInt64) -> [GRPCStream] {
        let tick = now >> Self.tickShift
        guard tick > lastTick else { return [] }
        var expired: [GRPCStream] = []
        for passed in 0..<min(tick - lastTick, UInt64(Self.slotCount)) {
            let slot = Int((lastTick + 1 + passed) % UInt64(Self.slotCount))
            for stream in slots[slot] where Self.dueTick(stream.timeIsUp ?? 0) <= tick { expired.append(stream) }
        }
        lastTick = tick
        for stream in expired { remove(stream) }
        return expired
    }

    /// When to look again; nil if the wheel is empty.
    var nextWake: UInt64? {
        guard count > 0 else { return nil }
        for ahead in 1...UInt64(Self.slotCount) where !slots[Int((lastTick + ahead) % UInt64(Self.slotCount))].isEmpty {
            return (lastTick + ahead) << Self.tickShift
        }
        return nil
    }
}
