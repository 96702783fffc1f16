import Host
import Synchronization

/// Events a second between two looks at a counter, for a status line.
public final class EventRate: Sendable {
    private let last = Mutex<(count: UInt64, at: Instant, rate: Double?)?>(nil)

    public init() {}

    /// nil before there are two counts that lie half a second apart.
    public func next(_ count: UInt64, _ now: Instant) -> Double? {
        last.withLock { last in
            guard let before = last else {
                last = (count, now, nil)
                return nil
            }
            let span = (now - before.at).seconds
            // Events between two ticks ask for a status line too; a rate needs some time.
            guard span >= 0.5 else { return before.rate }
            let rate = Double(count &- before.count) / span
            last = (count, now, rate)
            return rate
        }
    }
}
