import Host

/// When a follower loses patience: some time from one election timeout on, and up to seven tenths more, after it last had reason to
/// trust.
///
/// Go members draw from a whole timeout, but count the heartbeat interval under way as a full one and so wait up to that much less, when
/// members like this one would not vote for them yet. From this range the first of two followers campaigns as early as theirs on average.
struct ElectionTimer: Equatable, Sendable {
    private(set) var start: Instant
    private(set) var patience: Instant.Span

    var deadline: Instant { start + patience }

    /// Starts anew with a new random patience, so that split votes do not repeat.
    mutating func restart(_ now: Instant, timeout: Instant.Span, _ random: inout SeededRandom) {
        start = now
        let more = Int64.random(in: 0..<max(1, timeout.nanoseconds / 10 * 7), using: &random)
        patience = Instant.Span(nanoseconds: timeout.nanoseconds + more)
    }

    /// The leader was heard of.
    mutating func reset(_ now: Instant) { start = now }

    /// Makes `span` of the waiting time pass at once.
    mutating func advance(_ span: Instant.Span) { start = start + Instant.Span(nanoseconds: -span.nanoseconds) }

    /// Whether less than the shortest patience has passed.
    func isWithin(_ timeout: Instant.Span, _ now: Instant) -> Bool { now - start < timeout }
}
