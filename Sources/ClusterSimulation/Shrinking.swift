import Host

/// Makes a failing run smaller: fewer faults, then fewer operations, again and again as long as it still fails in the same way.
public struct Shrinking {
    public private(set) var settings: RunSettings
    public private(set) var outcome: RunOutcome
    public private(set) var runs = 0
    private let kind: String
    private let runLimit: Int
    private let isTimeUp: () -> Bool
    private let faults: Int

    /// Nil when the run does not fail.
    ///
    /// - Parameter isTimeUp: asked before each run; what has been reached by then is the result.
    public init?(_ settings: RunSettings, runLimit: Int = 2000, isTimeUp: @escaping () -> Bool = { false }) throws {
        self.settings = settings
        self.runLimit = runLimit
        self.isTimeUp = isTimeUp
        let run = try SimulationRun(settings)
        faults = run.faultCount
        outcome = run.run()
        guard let kind = outcome.kind else { return nil }
        self.kind = kind
    }

    private var isOver: Bool { runs >= runLimit || isTimeUp() }

    public mutating func shrink() throws {
        var before = (-1, -1)
        while !isOver, before != (settings.withoutFaults.count, settings.withoutOperations.count) {
            before = (settings.withoutFaults.count, settings.withoutOperations.count)
            // What comes after the violation had no part in it.
            try remove(0..<faults, \.withoutFaults)
            try remove(0..<outcome.operationNumbers, \.withoutOperations)
            try remove(-outcome.proxyOperationNumbers..<0, \.withoutOperations)
        }
    }

    public var remainingFaults: [String] { (try? SimulationRun(settings).faultTexts) ?? [] }

    /// Leaves out everything, then ever smaller portions (delta debugging, Zeller 1999).
    private mutating func remove(_ all: Range<Int>, _ path: WritableKeyPath<RunSettings, Set<Int>>) throws {
        var portion = max(1, all.count)
        while true {
            // From the end: what came last before the violation is the least likely to have led to it.
            var start = all.upperBound
            while start > all.lowerBound, !isOver {
                let end = start
                start = max(all.lowerBound, start - portion)
                let removed = Set(start..<end).subtracting(settings[keyPath: path])
                if removed.isEmpty { continue }
                var candidate = settings
                candidate[keyPath: path].formUnion(removed)
                runs += 1
                let found = try SimulationRun(candidate).run()
                if found.kind == kind { (settings, outcome) = (candidate, found) }
            }
            if portion == 1 || isOver { return }
            portion = max(1, portion / 2)
        }
    }
}

extension RunSettings {
    /// What was left out, as options of a command line.
    public var leftOut: String {
        var text = ""
        if !withoutFaults.isEmpty { text += " --without-faults \(NumberRanges.text(withoutFaults))" }
        if !withoutOperations.isEmpty { text += " --without-operations \(NumberRanges.text(withoutOperations))" }
        return text
    }
}

/// Sets of numbers as people can type them: `0:4,7,10:12`.
public enum NumberRanges {
    public static func text(_ numbers: Set<Int>) -> String {
        var ranges: [(first: Int, last: Int)] = []
        for number in numbers.sorted() {
            if let last = ranges.last, last.last + 1 == number {
                ranges[ranges.count - 1].last = number
            } else {
                ranges.append((number, number))
            }
        }
        return ranges.map { $0.first == $0.last ? "\($0.first)" : "\($0.first):\($0.last)" }.joined(separator: ",")
    }

    /// Nil for what is no such list, or one of more than a million numbers.
    public static func numbers(_ text: String) -> Set<Int>? {
        var numbers: Set<Int> = []
        for part in text.split(separator: ",") {
            let ends = part.split(separator: ":").map { Int($0) }
            guard ends.count <= 2, let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last,
                last.subtractingReportingOverflow(first).partialValue < 1_000_000, numbers.count < 1_000_000
            else { return nil }
            numbers.formUnion(first...last)
        }
        return numbers
    }
}
