import Testing

@testable import HTTP2

@Suite struct LoopOccupancyTests {
    @Test func newcomersGoWhereTheFewestAre() {
        let loops = LoopOccupancy(loopCount: 3)
        #expect((0..<6).map { _ in loops.enter() } == [0, 1, 2, 0, 1, 2])
        loops.leave(1)
        loops.leave(1)
        #expect([loops.enter(), loops.enter()] == [1, 1])
        #expect((0..<3).map { loops.connections(on: $0) } == [2, 2, 2])
        #expect(loops.enter() == 2, "of equals the next in turn")
    }

    @Test func whoIsSecludedGetsNobody() {
        let loops = LoopOccupancy(loopCount: 2)
        #expect(loops.enter() == 0)
        #expect(loops.seclude(0))
        #expect((0..<4).map { _ in loops.enter() } == [1, 1, 1, 1])
        loops.open(0)
        #expect(loops.enter() == 0)
    }

    @Test func whereOthersAreNobodySecludesItself() {
        let loops = LoopOccupancy(loopCount: 2)
        for _ in 0..<3 { _ = loops.enter() }
        #expect(!loops.seclude(0) && loops.seclude(1))
        loops.open(1)
        loops.leave(0)
        #expect(loops.seclude(0))
    }

    @Test func oneLoopIsAlwaysOpen() {
        let loops = LoopOccupancy(loopCount: 2)
        #expect(loops.seclude(1))
        #expect(!loops.seclude(0))
        #expect(!LoopOccupancy(loopCount: 1).seclude(0))
    }
}
