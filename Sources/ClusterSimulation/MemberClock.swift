import Host

/// One member's monotonic clock: it runs a little fast or slow, and can leap forward, as on a host that was suspended.
public struct MemberClock: Sendable {
    private var anchor: Instant
    private var anchorReading: Instant
    /// Nanoseconds of this clock in a second of true time.
    public private(set) var nanosecondsPerSecond: Int64 = 1_000_000_000

    init(now: Instant, reading: Instant) {
        anchor = now
        anchorReading = reading
    }

    /// What the clock shows at a true time.
    public func reading(_ now: Instant) -> Instant {
        anchorReading
            + Instant.Span(nanoseconds: MemberClock.scaled((now - anchor).nanoseconds, nanosecondsPerSecond, 1_000_000_000))
    }

    /// The first true time at which it shows `reading`.
    func time(of reading: Instant) -> Instant {
        let span = max(0, (reading - anchorReading).nanoseconds)
        // Rounded up: one nanosecond early, and a timer would be found not due yet.
        return anchor + Instant.Span(nanoseconds: MemberClock.scaled(span, 1_000_000_000, nanosecondsPerSecond) + 1)
    }

    mutating func setRate(_ rate: Int64, now: Instant) {
        anchorReading = reading(now)
        anchor = now
        nanosecondsPerSecond = rate
    }

    mutating func leap(_ span: Instant.Span) { anchorReading = anchorReading + span }

    private static func scaled(_ value: Int64, _ factor: Int64, _ divisor: Int64) -> Int64 {
        let product = value.multipliedFullWidth(by: factor)
        return divisor.dividingFullWidth(product).quotient
    }
}
