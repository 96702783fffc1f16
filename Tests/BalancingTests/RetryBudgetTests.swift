import Balancing
import Host
import Testing

struct RetryBudgetTests {
    private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: 1_000_000_000) + .milliseconds(milliseconds) }

    @Test func isUsedUpAndFillsWithTime() {
        var budget = RetryBudget(share: 0, perSecond: 10)
        var granted = 0
        while budget.mayRetry(now: at(0)) { granted += 1 }
        #expect(granted == 100)
        let answer1 = budget.mayRetry(now: at(50))
        #expect(!answer1)
        let answer2 = budget.mayRetry(now: at(200))
        #expect(answer2)
    }

    @Test func requestsEarnRetries() {
        var budget = RetryBudget(share: 0.2, perSecond: 0)
        while budget.mayRetry(now: at(0)) {}
        for _ in 0..<5 { budget.requestStarted() }
        // A fifth five times is not always quite one.
        budget.requestStarted()
        let answer3 = budget.mayRetry(now: at(0))
        #expect(answer3)
        let answer4 = budget.mayRetry(now: at(0))
        #expect(!answer4)
    }
}
