import ClusterSimulation
import Host

/// What the command line asks for.
struct Options {
    enum Mode { case seeds, shrink, campaign, worker, bugs }

    var mode = Mode.seeds
    var run = RunSettings(seed: 1)
    var count: UInt64 = 1
    var traces = false
    /// Seconds of wall time a campaign or a worker takes.
    var seconds = 60.0
    /// Seconds that shrinking one seed may take.
    var shrinkSeconds = 60.0
    var processes: Int?
    /// A worker takes every so many-th seed.
    var stride: UInt64 = 1

    struct Problem: Error { let text: String }

    static let usage = """
        usage: quorate-simulate [--seed N] [--count N] [--trace] [--bug NAME] [--faults none|disks|network|everything] [--span SECONDS]
                 [--proxies yes|no] [--gap MILLISECONDS] [--members N]
                 [--without-faults LIST] [--without-operations LIST]   as shrinking prints them
               quorate-simulate --shrink --seed N [--bug NAME]      fewer faults and operations that still fail
                 [--shrink-time SECONDS]
               quorate-simulate --campaign --time SECONDS [--seed FIRST] [--processes N]
               quorate-simulate --bugs [--count SEEDS]              how many seeds each seeded bug takes
        """

    init(_ arguments: [String]) throws(Problem) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            switch name {
            case "--trace": traces = true
            case "--shrink": mode = .shrink
            case "--campaign": mode = .campaign
            case "--worker": mode = .worker
            case "--bugs": mode = .bugs
            default: try take(name, rest.popFirst())
            }
        }
    }

    private mutating func take(_ name: String, _ value: String?) throws(Problem) {
        guard let value else { throw Problem(text: "\(name): a value is missing, or there is no such option") }
        switch name {
        case "--seed": run.seed = try number(name, value)
        case "--count": count = try number(name, value)
        case "--stride": stride = try number(name, value)
        case "--time": seconds = Double(try number(name, value) as UInt64)
        case "--span": run.span = .seconds(try number(name, value))
        case "--shrink-time": shrinkSeconds = Double(try number(name, value) as UInt64)
        case "--gap": run.operationGap = .milliseconds(try number(name, value))
        case "--members": run.founders = try number(name, value)
        case "--proxies": run.withProxies = value == "yes"
        case "--without-faults": run.withoutFaults = try numbers(name, value)
        case "--without-operations": run.withoutOperations = try numbers(name, value)
        case "--processes": processes = try number(name, value)
        case "--faults":
            guard let profile = FaultProfile(rawValue: value) else { throw Problem(text: "\(name): no profile \(value)") }
            run.profile = profile
        case "--bug":
            guard let bug = SeededBug(rawValue: value) else {
                let known = SeededBug.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem(text: "\(name): no bug \(value); there are \(known)")
            }
            run.bug = bug
        default: throw Problem(text: "there is no option \(name)")
        }
    }

    private func numbers(_ name: String, _ value: String) throws(Problem) -> Set<Int> {
        guard let numbers = NumberRanges.numbers(value) else { throw Problem(text: "\(name): \(value) is no list of numbers") }
        return numbers
    }

    private func number<N: FixedWidthInteger>(_ name: String, _ value: String) throws(Problem) -> N {
        guard let number = N(value) else { throw Problem(text: "\(name): \(value) is no number") }
        return number
    }
}
