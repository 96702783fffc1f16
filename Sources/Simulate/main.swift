import ClusterSimulation
import Glibc
import Host

var settings = RunSettings(seed: 1)
var traces = false
var count: UInt64 = 1
var arguments = Array(CommandLine.arguments.dropFirst())
while !arguments.isEmpty {
    let name = arguments.removeFirst()
    switch name {
    case "--seed": settings.seed = UInt64(arguments.removeFirst())!
    case "--count": count = UInt64(arguments.removeFirst())!
    case "--trace": traces = true
    default: exit(2)
    }
}
for seed in settings.seed..<settings.seed + count {
    settings.seed = seed
    var begin = timespec()
    clock_gettime(CLOCK_MONOTONIC, &begin)
    let run = try SimulationRun(
        settings, trace: traces ? { print("\(Double(($0.nanoseconds - 10_000_000_000) / 1000) / 1e6) \($1)") } : nil)
    let outcome = run.run()
    var end = timespec()
    clock_gettime(CLOCK_MONOTONIC, &end)
    let wall = Double(end.tv_sec - begin.tv_sec) + Double(end.tv_nsec - begin.tv_nsec) / 1e9
    print(
        "seed \(seed) digest \(outcome.digest) wall \(wall) virtual \(outcome.virtualTime.seconds) \(outcome.violation ?? "ok")")
    if count == 1 {
        print(
            outcome.cluster, outcome.clients, outcome.faults, outcome.operations, outcome.watchEvents, outcome.expirations,
            outcome.hashes, outcome.states.count)
    }
}
