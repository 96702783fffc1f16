import Balancing
import Host

/// How one attempt to have a call answered failed.
public enum AttemptFailure: Equatable, Sendable {
    /// No member worked on it: connecting failed, the stream was refused, or its number lies above a GOAWAY's.
    case neverProcessed
    /// The connection or the stream broke; what the member did is not known.
    case lost
    /// The member answered Unavailable.
    case answeredUnavailable
    /// The proxy turned away from the member while the answer was outstanding.
    case endpointLeft
}

/// What to do about a failed attempt.
public enum RetryDecision: Equatable, Sendable {
    /// Make another attempt after this long. `anywhere`: on any endpoint, those tried before included.
    case again(after: Instant.Span, anywhere: Bool)
    /// Tell the client what the member answered.
    case passOn
    /// Tell the client that the call could not be made: nothing has happened.
    case unavailable
    /// Tell the client that the outcome is not known.
    case inDoubt
    /// Something of the reply has been passed on already: break the stream off.
    case breakOff
}

/// Decides about the attempts of one call. A value without clock: times are handed in.
public struct RetryRule: Sendable {
    /// How long after the first failure attempts are still made, unless the client's deadline is sooner.
    public static let window = Instant.Span.seconds(10)
    private static let firstPause = Instant.Span.milliseconds(20)
    private static let longestPause = Instant.Span.milliseconds(500)

    /// Something of the reply has reached the client.
    public var passedOn = false
    /// The whole request is at hand and can be sent again.
    public var canReplay = true
    private var givesUpAt: Instant?
    private var rounds: Int64 = 0

    public init() {}

    /// Forgets everything, for the next call.
    public mutating func reset() { self = RetryRule() }

    /// A member answers again: what was before does not count for the next failure of a stream that lives long.
    public mutating func succeeded() {
        givesUpAt = nil
        rounds = 0
    }

    /// - Parameters:
    ///   - endpointsLeft: There may be an endpoint that this call has not tried in this round.
    ///   - budget: Asked whether another retry is within the budget; otherwise it has to wait.
    ///   - deadline: The client's own.
    public mutating func attemptFailed(
        _ failure: AttemptFailure, repeats: CallKind.Repeat, endpointsLeft: Bool, budget: () -> Bool, now: Instant,
        deadline: Instant?
    ) -> RetryDecision {
        if passedOn { return .breakOff }
        let mayRepeat = canReplay && (repeats == .always || failure == .neverProcessed)
        guard mayRepeat else { return answer(to: failure) }
        let end = givesUpAt ?? min(now + Self.window, deadline ?? now + Self.window)
        givesUpAt = end
        guard now < end else { return answer(to: failure) }
        if endpointsLeft, budget() { return .again(after: Instant.Span(nanoseconds: 0), anywhere: false) }
        // All have failed, or retries have become too many: a pause, longer each time.
        let pause = min(Instant.Span(nanoseconds: Self.firstPause.nanoseconds << min(rounds, 5)), Self.longestPause)
        rounds += 1
        return now + pause < end ? .again(after: pause, anywhere: !endpointsLeft) : answer(to: failure)
    }

    private func answer(to failure: AttemptFailure) -> RetryDecision {
        switch failure {
        case .answeredUnavailable: .passOn
        case .neverProcessed: .unavailable
        case .lost, .endpointLeft: .inDoubt
        }
    }
}
