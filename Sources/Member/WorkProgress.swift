import Host
import Synchronization

/// Since when a thread has been at what it does now, for every other thread to see.
///
/// A call into a hung disk does not return, so the thread that made it can tell nobody. It says before each piece of work when it
/// began; event loops, health pages and the watchdog look how long that was ago. While it waits for work it is at rest, which is
/// never a stall.
public final class WorkProgress: Sendable {
    /// Nanoseconds of the monotonic clock; 0 at rest.
    private let start = Atomic<UInt64>(0)

    public init() {}

    public func began(_ now: Instant) { start.store(max(1, now.nanoseconds), ordering: .relaxed) }
    public func ended() { start.store(0, ordering: .relaxed) }

    /// No piece of work is under way: cheaper than to ask for the time.
    public var isAtRest: Bool { start.load(ordering: .relaxed) == 0 }

    /// How long the present piece of work has taken, once that is longer than `patience`.
    public func stall(at now: Instant, patience: Instant.Span) -> Instant.Span? {
        let start = start.load(ordering: .relaxed)
        guard start != 0 else { return nil }
        let taken = now - Instant(nanoseconds: start)
        return taken > patience ? taken : nil
    }
}
