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
            if let violation = outcome.violation { emit("failed \(settings.seed) \(violation.prefix(600))") }
            settings.seed += options.stride
        }
        emit(figures.line)
        emit("states " + figures.states.map { String($0, radix: 16) }.joined(separator: " "))
    }

    private func emit(_ line: String) {
        print(line.replacing("\n"))
        fflush(nil)
    }

    /// - Returns: whether every seed passed.
    func run(executable: String) -> Bool {
        let began = Campaign.now()
        let count = options.processes ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        print("campaign: seeds from \(options.run.seed), \(count) processes, \(options.seconds) s")
        fflush(nil)
        let workers = (0..<count).map { Worker(executable, options, number: $0, of: count) }
        var figures = Figures()
        var states: Set<String> = []
        var failures: [String] = []
        for worker in workers {
            let report = worker.wait()
            if let line = report.figures { figures.add(line) }
            states.formUnion(report.states)
            failures += report.failures
        }
        print(figures.report(seconds: Campaign.now() - began, states: states.count))
        print(failures.isEmpty ? "no violation" : "\(failures.count) violations:\n" + failures.joined(separator: "\n"))
        return failures.isEmpty
    }
}

/// A process of a campaign.
final class Worker {
    struct Report {
        var figures: String?
        var states: Set<String> = []
        var failures: [String] = []
    }

    private let process: pid_t
    private let output: UnsafeMutablePointer<FILE>

    init(_ executable: String, _ options: Options, number: Int, of count: Int) {
        var ends: [Int32] = [0, 0]
        precondition(pipe(&ends) == 0, "a pipe can be made")
        var arguments = [
            executable, "--worker", "--seed", "\(options.run.seed + UInt64(number))", "--stride", "\(count)", "--time",
            "\(Int(options.seconds))", "--faults", options.run.profile.rawValue,
        ]
        if let bug = options.run.bug { arguments += ["--bug", bug.rawValue] }
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
        var running: String?
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        while getline(&line, &capacity, output) > 0, let line {
            let words = String(cString: line).split(separator: " ", omittingEmptySubsequences: true)
            let text = words.joined(separator: " ").filter { $0 != "\n" }
            switch words.first {
            case "begin": running = text
            case "failed":
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
        if status != 0 { report.failures.append("worker ended with \(status) after \(running ?? "nothing")") }
        return report
    }
}

extension String {
    fileprivate func replacing(_ character: Character) -> String { String(map { $0 == character ? " " : $0 }) }
}
