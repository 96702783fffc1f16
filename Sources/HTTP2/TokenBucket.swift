/// So many at once, then so many a second. Time is nanoseconds of a monotonic clock, handed in.
struct TokenBucket {
    private let burst: UInt64
    private let perSecond: UInt64
    /// Tokens times one billion, so that a fraction of a token is kept.
    private var level: UInt64
    private var updated: UInt64 = 0

    private static let unit: UInt64 = 1_000_000_000

    init(burst: Int, perSecond: Int) {
        // A billion is as good as no limit, and keeps burst times unit within 64 bits.
        self.burst = min(UInt64(clamping: burst), 1_000_000_000)
        self.perSecond = min(UInt64(clamping: perSecond), 1_000_000_000)
        level = self.burst * Self.unit
    }

    /// Takes one token; false when there is none.
    mutating func take(now: UInt64) -> Bool {
        refill(now: now)
        guard level >= Self.unit else { return false }
        level -= Self.unit
        return true
    }

    private mutating func refill(now: UInt64) {
        guard now > updated else { return }
        // An hour fills any bucket that is worth having, and keeps the product within 64 bits.
        let elapsed = min(now - updated, 3_600 * Self.unit)
        updated = now
        let (gained, overflow) = elapsed.multipliedReportingOverflow(by: perSecond)
        let full = burst * Self.unit
        level = overflow || gained > full - min(level, full) ? full : level + gained
    }
}
