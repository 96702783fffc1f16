import Host

/// Makes a failing run smaller: fewer faults, then fewer operations, as long as it still fails in the same way.
public struct Shrinking {
    public private(set) var settings: RunSettings
    public private(set) var outcome: RunOutcome
    public private(set) var runs = 0
    private let kind: String
    private let runLimit: Int

    /// Nil when the run does not fail.
    public init?(_ settings: RunSettings, runLimit: Int = 300) throws {
        self.settings = settings
        self.runLimit = runLimit
        outcome = try SimulationRun(settings).run()
        guard let kind = outcome.kind else { return nil }
        self.kind = kind
    }

    public mutating func shrink() throws {
        // What comes after the violation had no part in it.
        let faults = try SimulationRun(settings).faultCount
        try remove(0..<faults, \.withoutFaults)
        try remove(0..<outcome.operations + 20, \.withoutOperations)
        try remove(0..<faults, \.withoutFaults)
    }

    public var remainingFaults: [String] { (try? SimulationRun(settings).faultTexts) ?? [] }

    /// Leaves out ever smaller portions (delta debugging, Zeller 1999).
    private mutating func remove(_ all: Range<Int>, _ path: WritableKeyPath<RunSettings, Set<Int>>) throws {
        var portion = max(1, all.count / 2)
        while true {
            var start = all.lowerBound
            while start < all.upperBound, runs < runLimit {
                var candidate = settings
                let removed = Set(start..<min(start + portion, all.upperBound)).subtracting(settings[keyPath: path])
                start += portion
                if removed.isEmpty { continue }
                candidate[keyPath: path].formUnion(removed)
                runs += 1
                let found = try SimulationRun(candidate).run()
                if found.kind == kind { (settings, outcome) = (candidate, found) }
            }
            if portion == 1 || runs >= runLimit { return }
            portion = max(1, portion / 2)
        }
    }
}
