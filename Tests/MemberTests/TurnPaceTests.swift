import Host
import Testing

@testable import Member

@Suite struct TurnPaceTests {
    private func turnsUntilShort(_ pace: inout TurnPace) -> Int {
        var turns = 0
        while !pace.isShort, turns < 10_000 {
            pace.wrote(for: Instant.Span(nanoseconds: 200_000))
            turns += 1
        }
        return turns
    }

    @Test func aDiskHasToProveItself() {
        var pace = TurnPace()
        #expect(!pace.isShort)
        #expect((8...32).contains(turnsUntilShort(&pace)))
    }

    @Test func theSlowerASyncTheLongerItCounts() {
        var pace = TurnPace()
        _ = turnsUntilShort(&pace)
        for _ in 0..<100 { pace.wrote(for: Instant.Span(nanoseconds: 200_000)) }
        pace.wrote(for: .milliseconds(1))
        #expect(pace.isShort, "one that is a little slow")
        var turns: [Int] = []
        for length in [10, 100, 1000] {
            pace.wrote(for: .milliseconds(Int64(length)))
            turns.append(turnsUntilShort(&pace))
        }
        #expect(turns[0] > 0 && turns[0] < turns[1] && turns[1] < turns[2] && turns[2] < 200)
    }

    @Test func aSlowDiskIsNeverShort() {
        var pace = TurnPace()
        for _ in 0..<1000 {
            pace.wrote(for: .milliseconds(4))
            #expect(!pace.isShort)
        }
    }
}
