import Balancing
import Host
import Testing

struct RetryBudgetTests {
    private func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: 1_000_000_000) + .milliseconds(milliseconds) }

    /// How many retries are granted, one after the other.
    private func granted(_ budget: inout RetryBudget, at time: Instant) -> Int {
        var count = 0
        while count < 1_000, budget.mayRetry(now: time) { count += 1 }
        return count
    }

    @Test func isUsedUpAndFillsWithTime() {
        var budget = RetryBudget(share: 0, perSecond: 10)
        #expect(granted(&budget, at: at(0)) == 100)
        #expect(granted(&budget, at: at(50)) == 0)
        #expect(granted(&budget, at: at(250)) == 2)
    }

    @Test func requestsEarnRetries() {
        var budget = RetryBudget(share: 0.25, perSecond: 0)
        _ = granted(&budget, at: at(0))
        for _ in 0..<8 { budget.requestStarted() }
        #expect(granted(&budget, at: at(0)) == 2)
    }
}
