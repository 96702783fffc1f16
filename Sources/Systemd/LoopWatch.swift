import Host

/// Decides from the answers of the process's loops whether the watchdog may be told that all is well.
///
/// Every loop is asked for a sign of life; a loop that runs answers as soon as it comes round. All is well when each loop has
/// answered the question that was asked half an interval ago, and then the next one is asked. So one stalled loop among many
/// running ones is enough for silence, and for a restart within one and a half of the watchdog's intervals.
public struct LoopWatch: Sendable {
    private let interval: Instant.Span
    private var question: UInt64 = 0
    private var askedAt = Instant(nanoseconds: 0)
    /// Loops that owe an answer for longer than half an interval, by their places.
    private(set) var stalled: [Int] = []

    /// - Parameter watchdog: systemd's WATCHDOG_USEC.
    public init(watchdog: Instant.Span) { interval = Instant.Span(nanoseconds: watchdog.nanoseconds / 2) }

    /// - Parameter answers: the newest question that each loop has answered.
    /// - Returns: a question to ask of all loops; that there is one means that all is well.
    public mutating func look(at answers: [UInt64], _ now: Instant) -> UInt64? {
        if question > 0 {
            guard now >= askedAt + interval else { return nil }
            stalled = answers.indices.filter { answers[$0] < question }
            guard stalled.isEmpty else { return nil }
        }
        question += 1
        askedAt = now
        return question
    }

    /// When to look next: often while a loop owes an answer, because the watchdog has to hear of it once it comes.
    public func nextLook(_ now: Instant) -> Instant {
        let due = askedAt + interval
        return due > now ? due : now + Instant.Span(nanoseconds: interval.nanoseconds / 8)
    }
}
