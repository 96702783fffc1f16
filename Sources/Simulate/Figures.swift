import ClusterSimulation

/// Sums over many runs, as lines that a campaign's workers print and their parent adds up.
struct Figures {
    static let names = [
        "seeds", "microseconds", "turns", "entries", "acknowledged", "reads", "elections", "faults", "starts", "messages",
        "watchEvents", "leasesEnded", "snapshotsInstalled", "hashes", "proxiedCalls", "proxyRetries", "proxyFailures",
        "watchMoves",
        "proxiedWatchEvents", "proxiedRenewals", "liesFound",
    ]
    var values = [Int](repeating: 0, count: names.count)
    var states: Set<UInt64> = []

    mutating func add(_ outcome: RunOutcome) {
        let cluster = outcome.cluster
        let reads = outcome.clients.linearizableReads + outcome.clients.serializableReads
        let figures = [
            1, Int(outcome.virtualTime.nanoseconds / 1000), cluster.turns, cluster.entries, outcome.clients.acknowledged, reads,
            cluster.elections, outcome.faults, cluster.starts, cluster.messages, outcome.watchEvents, outcome.expirations,
            cluster.installations, outcome.hashes, outcome.proxies.calls, outcome.proxies.retries, outcome.proxies.failures,
            outcome.proxies.moves, outcome.proxies.watchEvents, outcome.proxies.renewals, outcome.proxies.outOfStep,
        ]
        for (index, figure) in figures.enumerated() { values[index] += figure }
        states.formUnion(outcome.states)
    }

    mutating func add(_ line: String) {
        for (index, word) in line.split(separator: " ").dropFirst().prefix(values.count).enumerated() {
            values[index] += Int(word) ?? 0
        }
    }

    var line: String { "figures " + values.map(String.init).joined(separator: " ") }

    func report(seconds: Double, states: Int) -> String {
        func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
        var lines = [
            "\(values[0]) seeds, \(rounded(Double(values[1]) / 3.6e9)) simulated hours in \(rounded(seconds)) s: "
                + "\(rounded(Double(values[1]) / 1e6 / seconds)) times real time; \(states) states reached"
        ]
        for index in 2..<values.count {
            lines.append("\(Figures.names[index]): \(values[index]), \(rounded(Double(values[index]) / seconds)) a second")
        }
        return lines.joined(separator: "\n")
    }
}
