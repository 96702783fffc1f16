import Host
import Testing

@testable import Forwarding

@Suite struct RetryRuleTests {
    private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: 1_000_000_000_000 + milliseconds * 1_000_000) }
    private let nothing = Instant.Span(nanoseconds: 0)

    private func fail(
        _ rule: inout RetryRule, _ failure: AttemptFailure, _ repeats: CallKind.Repeat = .always, left: Bool = true,
        budget: Bool = true, at milliseconds: UInt64 = 0, deadline: UInt64? = nil
    ) -> RetryDecision {
        rule.attemptFailed(
            failure, repeats: repeats, endpointsLeft: left, budget: { budget }, now: at(milliseconds),
            deadline: deadline.map { at($0) })
    }

    @Test func readsAreRepeatedWhateverHappened() {
        for failure in [AttemptFailure.neverProcessed, .lost, .answeredUnavailable, .endpointLeft] {
            var rule = RetryRule()
            #expect(fail(&rule, failure) == .again(after: nothing, anywhere: false))
        }
    }

    @Test func writesAreRepeatedOnlyIfNobodyWorkedOnThem() {
        var rule = RetryRule()
        #expect(fail(&rule, .neverProcessed, .ifNeverProcessed) == .again(after: nothing, anywhere: false))
        #expect(fail(&rule, .lost, .ifNeverProcessed) == .inDoubt)
        #expect(fail(&rule, .endpointLeft, .ifNeverProcessed) == .inDoubt)
        #expect(fail(&rule, .answeredUnavailable, .ifNeverProcessed) == .passOn)
    }

    @Test func nothingIsRepeatedOnceSomethingWasPassedOn() {
        var rule = RetryRule()
        rule.passedOn = true
        #expect(fail(&rule, .lost) == .breakOff)
        #expect(fail(&rule, .neverProcessed) == .breakOff)
    }

    @Test func aRequestThatIsNotAtHandIsNotRepeated() {
        var rule = RetryRule()
        rule.canReplay = false
        #expect(fail(&rule, .neverProcessed) == .unavailable)
        #expect(fail(&rule, .lost) == .inDoubt)
    }

    @Test func roundsAreSpacedMoreAndMoreAndEnd() {
        var rule = RetryRule()
        var pauses: [Int64] = []
        var now: UInt64 = 0
        while case .again(let pause, let anywhere) = fail(&rule, .neverProcessed, left: false, at: now) {
            #expect(anywhere)
            pauses.append(pause.nanoseconds / 1_000_000)
            now += UInt64(pause.nanoseconds / 1_000_000)
        }
        #expect(pauses.prefix(7) == [20, 40, 80, 160, 320, 500, 500])
        #expect(now < 10_000 && now > 9_000)
        #expect(fail(&rule, .neverProcessed, left: false, at: now) == .unavailable)
    }

    @Test func theClientsDeadlineEndsItSooner() {
        var rule = RetryRule()
        #expect(fail(&rule, .lost, deadline: 100) == .again(after: nothing, anywhere: false))
        #expect(fail(&rule, .answeredUnavailable, left: false, at: 90, deadline: 100) == .passOn)
        #expect(fail(&rule, .lost, at: 100, deadline: 100) == .inDoubt)
    }

    @Test func withoutBudgetARetryWaits() {
        var rule = RetryRule()
        #expect(fail(&rule, .lost, budget: false) == .again(after: .milliseconds(20), anywhere: false))
        #expect(fail(&rule, .lost, at: 20) == .again(after: nothing, anywhere: false))
    }

    @Test func aStreamThatWentOnHasAllItsTimeAgain() {
        var rule = RetryRule()
        _ = fail(&rule, .lost, left: false)
        #expect(fail(&rule, .lost, at: 60_000) == .inDoubt)
        rule.succeeded()
        #expect(fail(&rule, .lost, at: 60_000) == .again(after: nothing, anywhere: false))
    }
}
