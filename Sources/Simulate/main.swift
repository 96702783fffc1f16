import ClusterSimulation
import Glibc
import Host

/// One seed, or several in a row. Returns whether all passed.
func runSeeds(_ options: Options) throws -> Bool {
    var passed = true
    for seed in options.run.seed..<options.run.seed + options.count {
        var settings = options.run
        settings.seed = seed
        let began = Campaign.now()
        let trace: ((Instant, String) -> Void)? =
            options.traces ? { time, text in print("\(Double((time.nanoseconds - 10_000_000_000) / 1000) / 1e6) \(text)") } : nil
        let outcome = try SimulationRun(settings, trace: trace).run()
        let wall = Campaign.now() - began
        let milliseconds = Int(wall * 1000)
        print(
            "seed \(seed) digest \(String(outcome.digest, radix: 16)) \(outcome.virtualTime.seconds) s in \(milliseconds) ms: "
                + (outcome.violation ?? "ok"))
        if options.count == 1 {
            var figures = Figures()
            figures.add(outcome)
            print(figures.report(seconds: wall, states: outcome.states.count))
        }
        passed = passed && outcome.violation == nil
    }
    return passed
}

/// Shrinks a failing seed and shows what is left of it. Returns whether there was nothing to shrink.
func shrink(_ options: Options) throws -> Bool {
    let end = Campaign.now() + options.shrinkSeconds
    guard var shrinking = try Shrinking(options.run, isTimeUp: { Campaign.now() > end }) else {
        print("seed \(options.run.seed) passes")
        return true
    }
    print("seed \(options.run.seed): \(shrinking.outcome.violation ?? "")")
    try shrinking.shrink()
    let outcome = try SimulationRun(shrinking.settings) { time, text in
        print("\(Double((time.nanoseconds - 10_000_000_000) / 1000) / 1e6) \(text)")
    }.run()
    print("after \(shrinking.runs) runs: \(shrinking.outcome.operations) operations and these faults:")
    for fault in shrinking.remainingFaults { print("  \(fault)") }
    print(outcome.violation ?? "")
    print("quorate-simulate\(commandLine(shrinking.settings)) --trace")
    return false
}

/// What runs the same once more.
func commandLine(_ settings: RunSettings) -> String {
    var text = " --seed \(settings.seed)"
    if settings.profile != .everything { text += " --faults \(settings.profile.rawValue)" }
    if let bug = settings.bug { text += " --bug \(bug.rawValue)" }
    if settings.span != RunSettings(seed: 0).span { text += " --span \(settings.span.nanoseconds / 1_000_000_000)" }
    if let proxies = settings.withProxies { text += " --proxies \(proxies ? "yes" : "no")" }
    if let gap = settings.operationGap { text += " --gap \(gap.nanoseconds / 1_000_000)" }
    if let founders = settings.founders { text += " --members \(founders)" }
    return text + settings.leftOut
}

/// How many seeds each seeded bug takes. Returns whether all were found, by seeds that pass without them.
func findBugs(_ options: Options) throws -> Bool {
    var allFound = true
    for bug in options.run.bug.map({ [$0] }) ?? SeededBug.allCases {
        var settings = options.run
        if bug.isOfProxies { settings.withProxies = true }
        var found: String?
        for number in 0..<options.count {
            settings.seed = options.run.seed + number
            settings.bug = bug
            guard let violation = try SimulationRun(settings).run().violation else { continue }
            settings.bug = nil
            if let other = try SimulationRun(settings).run().violation {
                print("\(bug.rawValue): seed \(settings.seed) fails without it, too: \(other.prefix(150))")
                continue
            }
            found = "\(number + 1) seeds: \(violation.prefix(150))"
            break
        }
        print("\(bug.rawValue): \(found ?? "not found in \(options.count) seeds")")
        fflush(nil)
        allFound = allFound && found != nil
    }
    return allFound
}

do {
    let options = try Options(Array(CommandLine.arguments.dropFirst()))
    let passed =
        switch options.mode {
        case .seeds: try runSeeds(options)
        case .shrink: try shrink(options)
        case .bugs: try findBugs(options)
        case .campaign: Campaign(options: options).run()
        case .worker:
            try {
                try Campaign(options: options).work(); return true
            }()
        }
    exit(passed ? 0 : 1)
} catch let problem as Options.Problem {
    print("\(problem.text)\n\(Options.usage)")
    exit(2)
}
