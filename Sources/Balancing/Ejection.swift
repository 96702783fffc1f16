import Host

/// Leaves an endpoint alone whose requests fail although its probes pass. Each ejection lasts twice as long as the one before, and
/// ends with a passed probe that began after its time was over.
struct Ejection {
    private enum State {
        case none
        case until(Instant)
        case awaitingProbe(since: Instant)
    }

    private var state = State.none
    /// Failures in a row.
    private var streak = 0
    private var window = OutcomeWindow()
    /// Ejections that still lengthen the next one.
    private(set) var count = 0
    private var lastEnd: Instant?

    var isActive: Bool { if case .none = state { false } else { true } }
    var awaitsProbe: Bool { if case .awaitingProbe = state { true } else { false } }

    /// When the machine wants to be looked at again.
    var wakeUp: Instant? { if case .until(let end) = state { end } else { nil } }

    /// Counts a failed request after so many that succeeded. Returns the ejection's length if this caused one.
    mutating func countFailure(successesBefore: Int, now: Instant, _ settings: BalancingSettings) -> Instant.Span? {
        streak = successesBefore > 0 ? 1 : streak + 1
        window.count(successes: successesBefore, now: now, length: settings.ejectionWindow)
        guard !isActive else { return nil }
        let failsOften = window.total >= settings.ejectionRequests && window.failures * 2 >= window.total
        guard streak >= settings.ejectionFailures || failsOften else { return nil }
        return eject(now: now, settings)
    }

    private mutating func eject(now: Instant, _ settings: BalancingSettings) -> Instant.Span {
        var length = settings.firstEjection.nanoseconds
        for _ in 0..<min(count, 32) where length < settings.longestEjection.nanoseconds { length *= 2 }
        length = min(length, settings.longestEjection.nanoseconds)
        // Good conduct for ten times the last ejection clears the record.
        if let lastEnd, (now - lastEnd).nanoseconds > length * 10 {
            count = 0
            length = min(settings.firstEjection.nanoseconds, settings.longestEjection.nanoseconds)
        }
        count += 1
        streak = 0
        window = OutcomeWindow()
        state = .until(now + Instant.Span(nanoseconds: length))
        return Instant.Span(nanoseconds: length)
    }

    mutating func advance(now: Instant) {
        if case .until(let end) = state, end <= now { state = .awaitingProbe(since: now) }
    }

    mutating func probePassed(startedAt: Instant) {
        guard case .awaitingProbe(let since) = state, startedAt >= since else { return }
        state = .none
        lastEnd = startedAt
        streak = 0
    }
}

/// Requests and failures of the last seconds, in two halves so that the count does not drop to nothing at once.
private struct OutcomeWindow {
    private var current = (total: 0, failures: 0)
    private var previous = (total: 0, failures: 0)
    private var began: Instant?

    var total: Int { current.total + previous.total }
    var failures: Int { current.failures + previous.failures }

    /// One failure, after so many successes.
    mutating func count(successes: Int, now: Instant, length: Instant.Span) {
        let half = Instant.Span(nanoseconds: length.nanoseconds / 2)
        if let began {
            if now - began > length { previous = (0, 0) }
            if now - began > half {
                if now - began <= length { previous = current }
                current = (0, 0)
                self.began = now
            }
        } else {
            began = now
        }
        current.total += successes + 1
        current.failures += 1
    }
}
