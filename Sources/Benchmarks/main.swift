import Glibc

/// The rooms' benchmarks, run by hand: all of them, or those named. Figures are CPU or wall nanoseconds an operation, as each says.
let benchmarks: [(name: String, run: () -> Void)] = [
    ("pagefile", runPageFileBenchmark), ("index", runKeyIndexBenchmark), ("wal", runWALBenchmark), ("raft", runRaftBenchmark),
    ("lease", runLeaseBenchmark),
]

for kind in [NetworkLoad.Kind.range, .put] where CommandLine.arguments.dropFirst().first == "\(kind.rawValue)-load" {
    exit(runNetworkLoad(kind, Array(CommandLine.arguments.dropFirst(2))))
}
let wanted = CommandLine.arguments.dropFirst()
for name in wanted where !benchmarks.contains(where: { $0.name == name }) {
    print("quorate-bench: there is no benchmark \"\(name)\"; there are: \(benchmarks.map(\.name).joined(separator: ", "))")
    exit(2)
}
for benchmark in benchmarks where wanted.isEmpty || wanted.contains(benchmark.name) {
    print("== \(benchmark.name)")
    benchmark.run()
}
