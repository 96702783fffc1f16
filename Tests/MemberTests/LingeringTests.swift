import Testing

@testable import Member

@Suite struct LingeringTests {
    private func alert() -> Lingering {
        var lingering = Lingering()
        for _ in 0..<Lingering.neededLoneRequests { _ = lingering.done(requests: 1) { 0 } }
        return lingering
    }

    /// Requests until it would linger again.
    private func pause(_ lingering: inout Lingering, losses: Int = 0) -> Int {
        var pause = 0
        while !lingering.done(requests: 1, losses: { losses }) { pause += 1 }
        return pause
    }

    @Test func onlyLoneRequestsInARowAreWorthIt() {
        var lingering = Lingering()
        #expect(pause(&lingering) == Lingering.neededLoneRequests - 1)
        #expect(lingering.done(requests: 0) { 0 })
        #expect(!lingering.done(requests: 2) { 0 } && !lingering.done(requests: 1) { 0 })
    }

    @Test func disappointmentLetsItSleepTwiceAsLongEachTime() {
        var lingering = alert()
        var pauses: [Int] = []
        for _ in 0..<12 {
            lingering.wasDisappointed()
            pauses.append(pause(&lingering))
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256, 256])
        lingering.wasRewarded()
        lingering.wasDisappointed()
        #expect(pause(&lingering) == 1)
    }

    @Test func whereOthersWantTheCoreItSleeps() {
        var lingering = alert()
        #expect(!lingering.done(requests: 1) { 1 })
        #expect(pause(&lingering, losses: 2) == Lingering.pauseWhereContended)
        #expect(lingering.done(requests: 1) { 2 })
    }
}
