import Host
import Raft

/// Consensus without disk and network: what the algorithm itself costs for each entry.
///
/// One voter: propose a batch of 1000 payloads, write, commit, apply. Three voters: the same through the leader, with appends and
/// answers handed over in memory, until all three have applied.
func runRaftBenchmark() {
    measure("raft, one voter", voters: 1, batches: 2000)
    measure("raft, three voters", voters: 3, batches: 700)
}

private let batchSize = 1000
private let now = Instant(nanoseconds: 1_000_000_000_000)

private func measure(_ name: String, voters: Int, batches: Int) {
    var cluster = BenchmarkCluster(voters: voters)
    // Every entry's payload is a buffer of its own, as in a member.
    let payloads = (0..<batchSize).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 128) }
    let clock = ContinuousClock()
    var proposing = Duration.zero
    let total = clock.measure {
        for _ in 0..<batches {
            proposing += clock.measure { cluster.propose(payloads) }
            cluster.settle()
            cluster.compact()
        }
    }
    let entries = Double(batches * batchSize)
    print(
        "\(name): \(Int(nanoseconds(total) / entries)) ns per entry, of which proposing \(Int(nanoseconds(proposing) / entries)) ns"
    )
}

private func nanoseconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) * 1e9 + Double(duration.components.attoseconds) / 1e9
}

/// Members whose writes are durable at once and whose messages arrive at once.
private struct BenchmarkCluster {
    private var nodes: [RaftNode] = []
    private var network: [Message] = []

    init(voters: Int) {
        let confState = ConfState(voters: (1...voters).map { MemberID($0) })
        for id in confState.voters {
            let configuration = RaftConfiguration(id: id, seed: id)
            let state = PersistedState(confState: confState)
            guard let node = try? RaftNode(configuration: configuration, restoring: state, now: now) else {
                preconditionFailure("a fresh member starts")
            }
            nodes.append(node)
        }
        nodes[0].campaign(now: now)
        settle()
        precondition(nodes[0].role == .leader, "the first member leads")
    }

    mutating func propose(_ payloads: [[UInt8]]) {
        guard (try? nodes[0].propose(payloads)) != nil else { preconditionFailure("the leader takes proposals") }
    }

    /// Until nobody has anything to do.
    mutating func settle() {
        for position in nodes.indices { takeTurn(position) }
        while !network.isEmpty {
            let messages = network
            network.removeAll(keepingCapacity: true)
            for message in messages {
                let position = Int(message.to) - 1
                guard (try? nodes[position].step(message, now: now)) != nil else {
                    preconditionFailure("messages among equals are sound")
                }
                takeTurn(position)
            }
        }
    }

    private mutating func takeTurn(_ position: Int) {
        while true {
            let effects = nodes[position].takeEffects()
            if effects.isEmpty { return }
            network += effects.messages
            if effects.mustSync { nodes[position].persisted(through: effects.batch, now: now) }
            network += effects.messagesAfterSync
            if let last = effects.committed.last { nodes[position].applied(through: last.index) }
        }
    }

    /// Keeps 5,000 entries, as a member does for followers that lag.
    mutating func compact() {
        for position in nodes.indices where nodes[position].applied > nodes[position].firstIndex + 10_000 {
            nodes[position].compactLog(through: nodes[position].applied - 5000)
        }
    }
}
