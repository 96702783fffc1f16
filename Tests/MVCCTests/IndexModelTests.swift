import Host
import Testing

@testable import MVCC

/// Random operations on the key index and on a model of it; all answers compared, of snapshots too, held for random spans.
@Suite struct IndexModelTests {
    @Test(
        arguments: [
            // Node bytes 128: a few entries a node, so the tree is deep. 4096: the real size.
            (seed: 1, nodeBytes: 128, keys: 300, large: 0), (seed: 2, nodeBytes: 256, keys: 500, large: 600),
            (seed: 3, nodeBytes: 512, keys: 800, large: 1500), (seed: 4, nodeBytes: 4096, keys: 900, large: 9000),
            (seed: 5, nodeBytes: 128, keys: 40, large: 100), (seed: 6, nodeBytes: 256, keys: 5, large: 0),
        ] as [(seed: UInt64, nodeBytes: Int, keys: Int, large: Int)])
    func agreesWithModel(_ setup: (seed: UInt64, nodeBytes: Int, keys: Int, large: Int)) {
        var run = IndexModelRun(seed: setup.seed, nodeBytes: setup.nodeBytes, keys: setup.keys, large: setup.large)
        for _ in 0..<1000 where run.fault == nil { run.step() }
        #expect(run.fault == nil, "seed \(setup.seed), step \(run.steps)")
        run.finish()
        #expect(run.fault == nil, "seed \(setup.seed), end")
        let memory = run.index.memory
        run.index = KeyIndex()
        #expect(memory.nodeBytes == 0 && memory.historyBytes == 0, "seed \(setup.seed): memory not freed")
    }
}

struct IndexModelRun {
    let keys: [[UInt8]]
    var index: KeyIndex
    var model: IndexModel
    var random: SeededRandom
    var fault: String?
    var steps = 0
    private let nodeBytes: Int
    private var held: [(snapshot: KeySnapshot, model: IndexModel)] = []
    private var toTrim: [Int] = []

    init(seed: UInt64, nodeBytes: Int, keys count: Int, large: Int) {
        random = SeededRandom(seed: seed)
        keys = makeKeys(count, large: large, &random)
        self.nodeBytes = nodeBytes
        index = KeyIndex(nodeBytes: nodeBytes, pooledNodes: Int(seed % 3) * 8)
        model = IndexModel(keys: count)
    }

    private mutating func report(_ text: String) { if fault == nil { fault = text } }
    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    private mutating func anyKey() -> Int { Int.random(in: 0..<keys.count, using: &random) }

    mutating func step() {
        steps += 1
        transaction()
        if chance(20) { held.append((index.snapshot(), model)) }
        if !held.isEmpty, chance(18) { held.remove(at: Int.random(in: 0..<held.count, using: &random)) }
        if held.count > 8 { held.removeFirst() }
        if chance(50) { index.reclaim(limit: Int.random(in: 1...40, using: &random)) }
        if chance(4) { scheduleCompaction() }
        for _ in 0..<min(toTrim.count, 8) { trimOne() }
        query(index, model)
        if let some = held.randomElement(using: &random) { query(some.snapshot, some.model) }
        if steps % 50 == 0 { checkStructure() }
        if chance(1), chance(30) { restart() }
    }

    /// Up to four changes at one main revision, now and then of one key twice; mostly puts or mostly deletions for a while.
    private mutating func transaction() {
        let main = model.current + 1
        var sub: Int64 = 0
        let deletions = (steps / 100) % 3 == 2 ? 70 : 20
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let key = chance(10) ? 0 : anyKey()
            let revision = Revision(main: main, sub: sub)
            if chance(deletions) {
                let done = index.tombstone(keys[key], at: revision)
                if done != model.tombstone(key, at: revision) { report("tombstone answered \(done)") }
                if done { sub += 1 }
            } else {
                put(key, at: revision)
                sub += 1
            }
            compare(index.newest(keys[key]), model.changes[key].last, at: main, "newest after a change")
        }
        if sub > 0 { model.current = main }
    }

    private mutating func put(_ key: Int, at revision: Revision) {
        let previous = model.changes[key].last
        let outcome = index.put(keys[key], at: revision)
        let expected = model.put(key, at: revision)
        compare(outcome.previous, previous, at: revision.main, "previous state of a put")
        if outcome.created != expected.created || outcome.version != expected.version { report("created or version of a put") }
    }

    private mutating func scheduleCompaction() {
        while !toTrim.isEmpty { trimOne() }
        let compact = Int64.random(in: max(1, model.compacted)...model.current, using: &random)
        for key in keys.indices {
            let state = index.keeper(keys[key], at: compact)
            compareExactly(state, model.keeper(key, at: compact), "keeper")
        }
        model.compact(at: compact)
        toTrim = keys.indices.shuffled(using: &random)
    }

    private mutating func trimOne() {
        guard let key = toTrim.popLast() else { return }
        let state = index.trim(keys[key], at: model.compacted)
        compareExactly(state, model.keeper(key, at: model.compacted), "answer of trim")
        compareExactly(index.keeper(keys[key], at: model.compacted), model.keeper(key, at: model.compacted), "keeper after trim")
        if model.changes[key].isEmpty, index.newest(keys[key]) != nil { report("a dead key stayed") }
    }

    /// Loads a new index from what a store would have on disk.
    private mutating func restart() {
        while !toTrim.isEmpty { trimOne() }
        held = []
        index = KeyIndex(nodeBytes: nodeBytes, pooledNodes: 4)
        var all: [(key: Int, change: IndexModel.Change)] = []
        for (key, changes) in model.changes.enumerated() { all += changes.map { (key, $0) } }
        all.sort { $0.change.revision < $1.change.revision }
        for (key, change) in all where index.restore(keys[key], change) != .stored { report("restore refused a change") }
        checkStructure()
    }

    // MARK: Comparing

    private mutating func compareExactly(_ state: KeyState?, _ expected: IndexModel.Change?, _ what: String) {
        guard let state, let expected else {
            if state != nil || expected != nil {
                report("\(what): \(String(describing: state)) in place of \(String(describing: expected))")
            }
            return
        }
        let same =
            state.revision == expected.revision && state.isTombstone == expected.isTombstone
            && (!state.isNewest || (state.created == expected.created && state.version == expected.version))
        if !same { report("\(what): \(state) in place of \(expected)") }
    }

    /// As above, but a tombstone that compaction drops may still be there.
    private mutating func compare(_ state: KeyState?, _ expected: IndexModel.Change?, at revision: Int64, _ what: String) {
        if expected == nil, let state, state.isTombstone, state.revision.main < model.compacted { return }
        compareExactly(state, expected, "\(what) at \(revision)")
    }

    private mutating func query(_ reader: some KeyReading, _ model: IndexModel) {
        let revision = chance(40) ? model.current : Int64.random(in: max(1, model.compacted)...model.current, using: &random)
        for _ in 0..<4 {
            let key = anyKey()
            compareExactly(reader.get(keys[key], at: revision), model.get(key, at: revision), "get at \(revision)")
            let newest = model.changes[key].last
            if let state = reader.get(keys[key], at: revision), state.isNewest != (state.revision == newest?.revision) {
                report("isNewest")
            }
        }
        checkRange(reader, model, revision)
    }

    private mutating func checkRange(_ reader: some KeyReading, _ model: IndexModel, _ revision: Int64) {
        let bounds = [anyKey(), anyKey()].sorted()
        let bare = chance(15)
        let from = bare ? [] : keys[bounds[0]] + (chance(20) ? [0] : [])
        let to = chance(15) ? nil : chance(10) ? Array(keys[bounds[1]].dropLast()) : keys[bounds[1]]
        let after = chance(30)
        let descending = chance(50)
        var expected: [(Int, IndexModel.Change)] = []
        var count = 0
        for key in keys.indices {
            let low = !keys[key].lexicographicallyPrecedes(from)
            let high = to.map { keys[key].lexicographicallyPrecedes($0) } ?? true
            guard low, high, let change = model.get(key, at: revision) else { continue }
            count += 1
            if !(after && keys[key] == from) { expected.append((key, change)) }
        }
        if descending { expected.reverse() }
        let limit = chance(30) ? Int.random(in: 1...10, using: &random) : .max
        var found: [([UInt8], KeyState)] = []
        let ended = reader.visit(from: from, after: after, to: to, at: revision, descending: descending) { key, state in
            found.append((key, state))
            return found.count < limit
        }
        if ended != (expected.count < limit) { report("visit answered \(ended)") }
        if found.count != min(limit, expected.count) { report("visited \(found.count) keys of \(expected.count) at \(revision)") }
        for (seen, wanted) in zip(found, expected) {
            if seen.0 != keys[wanted.0] { report("visited another key") }
            compareExactly(seen.1, wanted.1, "state visited at \(revision)")
        }
        let counted = reader.count(from: from, to: to, at: revision)
        if counted != count { report("counted \(counted) keys, not \(count), at \(revision)") }
    }

    private mutating func checkStructure() {
        let check = IndexStructureCheck(index)
        if let found = check.fault { report("structure: \(found)") }
    }

    /// Lets go of all snapshots; what the index then holds is its tree and its pool, and the older revisions in use.
    mutating func finish() {
        while !toTrim.isEmpty { trimOne() }
        held = []
        while index.reclaim(limit: 100) {}
        let check = IndexStructureCheck(index)
        if let found = check.fault { report("structure: \(found)") }
        let pooled = index.nodes.pooled
        if index.memory.nodeBytes != check.bytes + pooled * nodeBytes { report("nodes were not given back") }
        if pooled > max(16, check.nodes / 8) { report("\(pooled) nodes pooled for \(check.nodes)") }
        let newestCount = model.changes.filter { !$0.isEmpty }.count
        let older = model.changes.reduce(0) { $0 + $1.count } - newestCount
        // A dropped tombstone may stay where a key's older revisions end, one for each key.
        if index.history.records < older || index.history.records > older + keys.count {
            report("\(index.history.records) older revisions held, \(older) wanted")
        }
    }
}
