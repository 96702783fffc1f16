import EtcdAPI
import Host
import Testing

@testable import Member

@Suite struct AutoCompactionTests {
    private static func minutes(_ count: Int64) -> Instant { Instant(nanoseconds: UInt64(count) * 60_000_000_000) }

    /// What is asked for in so many minutes of one revision a second, in minutes: when, and how much history is left then.
    private func run(_ mode: AutoCompaction.Mode, minutes: Int64, leads: (Int64) -> Bool = { _ in true }) -> [[Int64]] {
        var compaction = AutoCompaction(mode, now: Self.minutes(0))
        var found: [[Int64]] = []
        var compacted: Int64 = 0
        for minute in 1...minutes {
            let newest = minute * 60
            let asked = compaction.due(now: Self.minutes(minute), revision: newest, compacted: compacted, leads: leads(minute))
            guard let asked else { continue }
            found.append([minute, (newest - asked) / 60])
            compacted = asked
        }
        return found
    }

    @Test func whatIsKeptForLessThanAnHourIsCompactedOnceInThatTime() {
        #expect(run(.periodic(.seconds(600)), minutes: 45) == [[11, 10], [21, 10], [31, 10], [41, 10]])
    }

    @Test func whatIsKeptForLongerIsCompactedHourly() {
        let asked = run(.periodic(.seconds(24 * 3600)), minutes: 27 * 60)
        #expect(asked == [[1446, 1440], [1506, 1440], [1566, 1440]])
    }

    /// Its predecessor's revisions have been watched.
    @Test func aNewLeaderNeedNotWaitForTheWholeTime() {
        let asked = run(.periodic(.seconds(600)), minutes: 40, leads: { (26...27).contains($0) || $0 > 38 })
        #expect(asked == [[26, 10], [39, 10]])
    }

    @Test func soManyRevisionsAreKept() {
        #expect(run(.revisions(600), minutes: 21) == [[15, 10], [20, 10]])
        #expect(run(.revisions(600), minutes: 21, leads: { $0 > 18 }) == [[20, 10]])
        #expect(run(.off, minutes: 21) == [])
    }

    @Test func whereNothingIsWrittenNothingIsCompacted() {
        var compaction = AutoCompaction(.periodic(.seconds(10)), now: Self.minutes(0))
        for second in 1...100 as ClosedRange<UInt64> {
            let now = Instant(nanoseconds: second * 1_000_000_000)
            #expect(compaction.due(now: now, revision: 7, compacted: 7, leads: true) == nil)
        }
    }

    @Test func aMemberCompactsByItself() throws {
        let bench = Bench()
        bench.settings.autoCompaction = .periodic(.seconds(10))
        try bench.start()
        for number in 0..<300 {
            _ = try bench.propose([put("k", "\(number)")])
            try bench.run(to: bench.now + .milliseconds(100))
        }
        let newest = bench.published.view.currentRevision
        let kept = newest - bench.published.view.compactRevision
        #expect(newest == 301 && (95...210).contains(kept), "\(kept)")
    }
}
