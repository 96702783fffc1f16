import ClusterSimulation
import Host
import Testing

/// Whole runs: clients, watchers and faults, with every checker.
@Suite struct SeedTests {
    private func outcome(
        _ seed: UInt64, seconds: Int64 = 8, bug: SeededBug? = nil, withProxies: Bool? = nil
    ) throws -> RunOutcome {
        var settings = RunSettings(seed: seed)
        settings.withProxies = withProxies
        settings.span = .seconds(seconds)
        settings.bug = bug
        return try SimulationRun(settings).run()
    }

    @Test(arguments: UInt64(1)...16)
    func aRunKeepsEveryPromise(seed: UInt64) throws {
        let outcome = try outcome(seed)
        #expect(outcome.violation == nil, "quorate-simulate --seed \(seed) --span 8 --trace")
        #expect(outcome.clients.acknowledged > 0)
    }

    @Test(arguments: [UInt64(3), 4, 5, 8])
    func proxiesKeepTheirPromises(seed: UInt64) throws {
        let outcome = try outcome(seed, withProxies: true)
        #expect(outcome.violation == nil, "quorate-simulate --seed \(seed) --span 8 --proxies yes --trace")
        #expect(outcome.proxies.writes > 0 && outcome.proxies.watchEvents > 0 && outcome.proxies.renewals > 0)
    }

    @Test func aSmallerRunIsNamedByWhatItLeavesOut() throws {
        let numbers: Set = [1, 2, 3, 7, -4, -3, 12]
        #expect(NumberRanges.text(numbers) == "-4:-3,1:3,7,12")
        #expect(NumberRanges.numbers("-4:-3,1:3,7,12") == numbers)
        #expect(
            NumberRanges.numbers("3:1") == nil && NumberRanges.numbers("x") == nil && NumberRanges.numbers("1:9999999") == nil)
    }

    @Test func aFailingRunIsMadeSmaller() throws {
        var settings = RunSettings(seed: 1)
        settings.span = .seconds(8)
        settings.bug = .repeatedWatchEvents
        var shrinking = try #require(try Shrinking(settings, runLimit: 40))
        let before = shrinking.outcome.operations
        try shrinking.shrink()
        #expect(shrinking.outcome.kind == "watch" && shrinking.outcome.operations < before)
        #expect(try SimulationRun(shrinking.settings).run().digest == shrinking.outcome.digest)
    }

    @Test func aSeedRunsTheSameTwice() throws {
        let (first, second) = (try outcome(5), try outcome(5))
        #expect(first.digest == second.digest)
        #expect(first.cluster == second.cluster && first.clients == second.clients)
    }

    /// The checkers are worth something only if they find mistakes. The others take longer: `quorate-simulate --bugs --count 60`.
    @Test(arguments: [
        SeededBug.acknowledgeBeforeSync, .leaderCountsItselfEarly, .earlyAppendResponse, .indexBeforeData, .lostWatchEvents,
        .repeatedWatchEvents, .earlyProgress, .repeatedProposal, .repeatedRequestIDs, .proxyRepeatsWrites, .proxyResumesLate,
        .proxyForgetsKeepAlives, .proxyIgnoresBudget, .proxyStaysAtHung, .proxyLosesCalls, .proxyTakesForeign,
        .proxyBelievesWatches, .proxyBelievesProbes, .oldTermCommit, .remainingTimesLost, .kindsAskedOnce,
    ])
    func aSeededBugIsFound(bug: SeededBug) throws {
        for seed in UInt64(1)...40 {
            guard let violation = try outcome(seed, seconds: 20, bug: bug).violation else { continue }
            print("seed \(seed) finds \(bug.rawValue): \(violation.prefix(200))")
            return
        }
        Issue.record("\(bug.rawValue) was not found in 40 seeds")
    }
}
