import Host

/// When a follower loses patience: some time between one and two election timeouts after it last had reason to trust.
struct ElectionTimer: Equatable, Sendable {
    private(set) var start: Instant
    private(set) var patience: Instant.Span

    var deadline: Instant { start + patience }

    /// Starts anew with a new random patience, so that split votes do not repeat.
    mutating func restart(_ now: Instant, timeout: Instant.Span, _ random: inout SeededRandom) {
        start = now
        patience = Instant.Span(nanoseconds: timeout.nanoseconds + Int64.random(in: 0..<timeout.nanoseconds, using: &random))
    }

    /// The leader was heard of.
    mutating func reset(_ now: Instant) { start = now }

    /// Makes `span` of the waiting time pass at once.
    mutating func advance(_ span: Instant.Span) { start = start + Instant.Span(nanoseconds: -span.nanoseconds) }

    /// Whether less than the shortest patience has passed.
    func isWithin(_ timeout: Instant.Span, _ now: Instant) -> Bool { now - start < timeout }
}
