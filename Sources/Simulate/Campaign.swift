import ClusterSimulation
import Glibc

/// Runs seeds on all cores for a given time. Every core has a process of its own, so that a run that ends in a trap costs one
/// seed and is reported like any other.
struct Campaign {
    let options: Options

    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// The process of one core: prints each seed before it runs, each failure, and its sums at the end.
    func work() throws {
        let end = Campaign.now() + options.seconds
        var figures = Figures()
        var settings = options.run
        while Campaign.now() < end {
            emit("begin \(settings.seed)")
            let outcome = try SimulationRun(settings).run()
            figures.add(outcome)
            if let violation = outcome.violation {
                emit("failed \(settings.seed) \(violation.prefix(600))")
                try shrink(settings, until: min(Campaign.now() + options.shrinkSeconds, end + options.shrinkSeconds))
            }
            settings.seed += options.stride
        }
        emit(figures.line)
        emit("states " + figures.states.map { String($0, radix: 16) }.joined(separator: " "))
    }

    private func shrink(_ settings: RunSettings, until end: Double) throws {
        guard var shrinking = try Shrinking(settings, isTimeUp: { Campaign.now() > end }) else { return }
        try shrinking.shrink()
        let faults = shrinking.remainingFaults.joined(separator: "; ")
        emit(
            "shrunk \(settings.seed) after \(shrinking.runs) runs to \(shrinking.outcome.operations) operations; \(faults); "
                + "quorate-simulate\(commandLine(shrinking.settings)) --trace")
    }

    private func emit(_ line: String) {
        print(line.replacing("\n"))
        fflush(nil)
    }

    /// - Returns: whether every seed passed.
    func run() -> Bool {
        let began = Campaign.now()
        let count = options.processes ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        print("campaign: seeds from \(options.run.seed), \(count) processes, \(options.seconds) s")
        fflush(nil)
        var workers = (0..<count).map { number in
            Worker(options, first: options.run.seed + UInt64(number), stride: count, seconds: options.seconds)
        }
        var figures = Figures()
        var states: Set<String> = []
        var failures: [String] = []
        while !workers.isEmpty {
            let report = workers.removeFirst().wait()
            // A run that ended in a trap costs its seed; the others go on.
            if let trapped = report.trapped, Campaign.now() < began + options.seconds {
                let left = began + options.seconds - Campaign.now()
                workers.append(Worker(options, first: trapped + UInt64(count), stride: count, seconds: left))
            }
            if let line = report.figures { figures.add(line) }
            states.formUnion(report.states)
            failures += report.failures
        }
        print(figures.report(seconds: Campaign.now() - began, states: states.count))
        let violations = failures.count { $0.hasPrefix("failed") }
        print(failures.isEmpty ? "no violation" : "\(violations) violations:\n" + failures.joined(separator: "\n"))
        return failures.isEmpty
    }
}

/// A process of a campaign.
final class Worker {
    struct Report {
        var figures: String?
        var states: Set<String> = []
        var failures: [String] = []
        /// The seed in which the process ended.
        var trapped: UInt64?
    }

    private let process: pid_t
    private let output: UnsafeMutablePointer<FILE>

    init(_ options: Options, first: UInt64, stride: Int, seconds: Double) {
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0, "a pipe can be made")
        var settings = options.run
        settings.seed = first
        let arguments =
            [
                "quorate-simulate", "--worker", "--stride", "\(stride)", "--time", "\(Int(seconds))", "--shrink-time",
                "\(Int(options.shrinkSeconds))",
            ] + commandLine(settings).split(separator: " ").map(String.init)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var process: pid_t = 0
        let answer = posix_spawn(&process, "/proc/self/exe", &actions, nil, &words, nil)
        precondition(answer == 0, "a worker can be started: \(answer)")
        for word in words { free(word) }
        posix_spawn_file_actions_destroy(&actions)
        close(ends[1])
        self.process = process
        output = fdopen(ends[0], "r")
    }

    /// Reads what the worker says until it has ended.
    func wait() -> Report {
        var report = Report()
        var running: UInt64?
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        while getline(&line, &capacity, output) > 0, let line {
            let words = String(cString: line).split(separator: " ", omittingEmptySubsequences: true)
            let text = words.joined(separator: " ").filter { $0 != "\n" }
            switch words.first {
            case "begin": running = words.last.flatMap { UInt64($0.filter { $0 != "\n" }) }
            case "failed", "shrunk":
                report.failures.append(text)
                print(text)
                fflush(nil)
            case "figures": report.figures = text
            case "states": report.states = Set(text.split(separator: " ").dropFirst().map(String.init))
            default: break
            }
        }
        free(line)
        fclose(output)
        var status: Int32 = 0
        waitpid(process, &status, 0)
        if status != 0 {
            report.failures.append("failed \(running ?? 0) with a trap: the process ended with \(status)")
            report.trapped = running
        }
        return report
    }
}

extension String {
    fileprivate func replacing(_ character: Character) -> String { String(map { $0 == character ? " " : $0 }) }
}
