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
            let report = Worker.takeEnded(from: &workers)
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
    private let output: Int32
    private var report = Report()
    private var running: UInt64?
    private var unfinishedLine: [UInt8] = []

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
        output = ends[0]
    }

    /// Reads what all workers say, so that none waits for another to be read, until one has ended, which is taken from the list.
    static func takeEnded(from workers: inout [Worker]) -> Report {
        while true {
            var polled = workers.map { pollfd(fd: $0.output, events: Int16(POLLIN), revents: 0) }
            guard poll(&polled, nfds_t(polled.count), -1) > 0 else { continue }
            for index in workers.indices where polled[index].revents != 0 && !workers[index].readSome() {
                return workers.remove(at: index).end()
            }
        }
    }

    /// False when the worker has said all it has to say.
    private func readSome() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = read(output, &bytes, bytes.count)
        guard count > 0 else { return count < 0 && errno == EINTR }
        unfinishedLine += bytes[..<count]
        while let end = unfinishedLine.firstIndex(of: UInt8(ascii: "\n")) {
            take(String(decoding: unfinishedLine[..<end], as: UTF8.self))
            unfinishedLine.removeFirst(end + 1)
        }
        return true
    }

    private func take(_ line: String) {
        let words = line.split(separator: " ")
        switch words.first {
        case "begin": running = words.last.flatMap { UInt64($0) }
        case "failed", "shrunk":
            report.failures.append(line)
            print(line)
            fflush(nil)
        case "figures": report.figures = line
        case "states": report.states = Set(words.dropFirst().map(String.init))
        default: break
        }
    }

    private func end() -> Report {
        close(output)
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
