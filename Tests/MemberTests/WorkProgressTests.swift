import Host
import Testing

@testable import Member

@Suite struct WorkProgressTests {
    @Test func aPieceOfWorkIsAStallOnceItTakesLongerThanItsPatience() {
        let progress = WorkProgress()
        let start = Instant(nanoseconds: 0)
        let patience = Instant.Span.seconds(1)
        #expect(progress.isAtRest && progress.stall(at: start + .seconds(100), patience: patience) == nil)
        progress.began(start + .seconds(100))
        #expect(!progress.isAtRest && progress.stall(at: start + .seconds(101), patience: patience) == nil)
        #expect(progress.stall(at: start + .milliseconds(101_001), patience: patience) == .milliseconds(1001))
        progress.ended()
        #expect(progress.stall(at: start + .seconds(200), patience: patience) == nil)
    }

    /// The clock's very first moment is no rest.
    @Test func workMayBeginAtTheClocksStart() {
        let progress = WorkProgress()
        progress.began(Instant(nanoseconds: 0))
        #expect(progress.stall(at: Instant(nanoseconds: 3_000_000_000), patience: .seconds(1)) != nil)
    }
}
