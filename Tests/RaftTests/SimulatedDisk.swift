import Host

@testable import Raft

/// The replicated value: a hash over everything applied, so that equal hashes mean equal histories.
struct HistoryMachine: Equatable {
    var applied: LogIndex = 0
    var hash: UInt64 = 0
    var confState = ConfState()

    mutating func apply(_ entry: Entry) {
        precondition(entry.index == applied + 1, "applied \(entry.index) after \(applied)")
        hash = Self.mix(hash, Self.digest(of: entry))
        applied = entry.index
    }

    static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
        var random = SeededRandom(seed: a ^ (b &* 0x9e37_79b9_7f4a_7c15))
        return random.next()
    }

    static func digest(of entry: Entry) -> UInt64 {
        var digest = mix(entry.term, UInt64(entry.kind.rawValue) &+ entry.index)
        for byte in entry.data { digest = (digest ^ UInt64(byte)) &* 0x0100_0000_01b3 }
        return digest
    }

    var bytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: hash >> (8 * $0)) } }

    init() {}

    init(_ snapshot: Snapshot) {
        applied = snapshot.index
        hash = snapshot.data.reversed().reduce(0) { $0 << 8 | UInt64($1) }
        confState = snapshot.confState
    }
}

/// What one member has written: a durable part, and writes on their way of which a crash keeps any prefix.
struct SimulatedDisk {
    enum Write {
        case snapshot(Snapshot)
        case entry(Entry)
        case hardState(HardState)
    }

    var machine = HistoryMachine()
    var hardState = HardState()
    var baseIndex: LogIndex = 0
    var baseTerm: Term = 0
    var entries: [Entry] = []
    private var pending: [(batch: UInt64, write: Write)] = []

    var lastIndex: LogIndex { baseIndex + LogIndex(entries.count) }

    mutating func write(_ effects: Effects) {
        // What need not be synced goes with the next batch at the latest.
        let batch = effects.mustSync ? effects.batch : effects.batch + 1
        if let snapshot = effects.snapshot { pending.append((batch, .snapshot(snapshot))) }
        for entry in effects.entries { pending.append((batch, .entry(entry))) }
        if let state = effects.hardState { pending.append((batch, .hardState(state))) }
    }

    mutating func sync(through batch: UInt64) {
        let count = pending.firstIndex { $0.batch > batch } ?? pending.count
        keep(count)
    }

    /// Power fails: some of the writes on their way happened, in order.
    mutating func crash(_ random: inout SeededRandom) {
        keep(Int.random(in: 0...pending.count, using: &random))
        pending.removeAll()
    }

    /// The durable part alone.
    var afterPowerLoss: SimulatedDisk {
        var copy = self
        copy.pending.removeAll()
        return copy
    }

    private mutating func keep(_ count: Int) {
        for (_, write) in pending.prefix(count) {
            switch write {
            case .snapshot(let snapshot):
                machine = HistoryMachine(snapshot)
                baseIndex = snapshot.index
                baseTerm = snapshot.term
                entries.removeAll()
            case .entry(let entry):
                precondition(entry.index <= lastIndex + 1 && entry.index > baseIndex, "gap on disk")
                entries.removeLast(Int(lastIndex + 1 - entry.index))
                entries.append(entry)
            case .hardState(let state):
                hardState = state
            }
        }
        pending.removeFirst(count)
    }

    mutating func compact(through index: LogIndex) {
        guard index > baseIndex else { return }
        baseTerm = entries[Int(index - baseIndex) - 1].term
        entries.removeFirst(Int(index - baseIndex))
        baseIndex = index
    }

    var persistedState: PersistedState {
        PersistedState(
            hardState: hardState, confState: machine.confState, snapshotIndex: baseIndex, snapshotTerm: baseTerm,
            entries: entries,
            applied: machine.applied)
    }
}
