import Host
import Testing

@testable import Member

@Suite struct CommitWatchTests {
    private static let timeout = Instant.Span.seconds(1)
    private var now = Instant(nanoseconds: 1_000_000_000)
    private var watch = CommitWatch()

    /// How long a commit that begins now may take.
    private mutating func patience() -> Instant.Span? {
        watch.begins(now)
        defer { watch.forget() }
        return watch.hangs(electionTimeout: Self.timeout).map { $0 - now }
    }

    private mutating func commit(_ milliseconds: Int64) {
        watch.begins(now)
        now = now + .milliseconds(milliseconds)
        watch.ends(now)
        now = now + .milliseconds(100)
    }

    @Test func nothingHangsThatIsNotUnderWay() {
        #expect(watch.hangs(electionTimeout: Self.timeout) == nil)
    }

    @Test mutating func aQuickDiskGetsAnElectionTimeout() {
        #expect(patience() == Self.timeout)
        for _ in 0..<100 { commit(20) }
        #expect(patience() == Self.timeout)
    }

    @Test mutating func aDiskThatIsSlowEveryNowAndThenGetsMore() {
        for _ in 0..<50 { commit(20) }
        commit(1_500)
        for _ in 0..<200 { commit(20) }
        #expect(patience() == .seconds(6))
        commit(8_000)
        #expect(patience() == CommitWatch.longestPatience, "memory is bounded")
    }

    @Test mutating func whatWasSlowLongAgoDoesNotCount() {
        commit(1_500)
        for _ in 0..<200 { commit(20) }
        #expect(patience() == .seconds(6))
        for _ in 0..<400 { commit(20) }
        #expect(patience() == Self.timeout)
        commit(1_500)
        now = now + .seconds(300)
        commit(20)
        #expect(patience() == Self.timeout)
    }
}
