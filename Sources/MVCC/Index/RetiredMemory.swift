import Synchronization

/// Nodes and older revisions that the live index no longer has and some snapshot may still reach.
///
/// Every snapshot that lives, or whose garbage has not been gone through, has a list here, in order of age. What is retired
/// goes on the youngest one's list. When a snapshot is released, each node of its list passes to the next older
/// snapshot if that one can reach it too, that is, if the node was made in its epoch or before; else it is free. So a node is
/// kept only while some snapshot really reaches it, and a snapshot held for long does not keep what came after it.
struct RetiredMemory: ~Copyable {
    private var lists: [List] = []
    private var released = 0
    /// How much was retired since the last reclaim, and how many older revisions were stored, which will be one day.
    private var arrived = 0
    /// Lists of older revisions, by their first record, that nothing reaches any more.
    private var freeable: [UInt32] = []
    /// No snapshot that lives can reach a node made in a later epoch: the writer may change it in place.
    private(set) var frozenThrough: UInt64 = 0

    private struct List {
        let epoch: UInt64
        var isReleased = false
        var nodes: KeyNode?
        /// First records of cut-off lists. Their age is not known: they pass to any older snapshot.
        var history: [UInt32] = []
    }

    mutating func open(epoch: UInt64) {
        lists.append(List(epoch: epoch))
        frozenThrough = epoch
    }

    /// Takes a node if a snapshot may reach it; false: the caller frees it.
    mutating func retire(_ node: KeyNode) -> Bool {
        let last = lists.count - 1
        guard last >= 0, node.epoch <= lists[last].epoch else { return false }
        node.nextRetired = lists[last].nodes
        lists[last].nodes = node
        arrived += 1
        return true
    }

    /// Takes a cut-off list of older revisions; none of it is freed before ``reclaim(limit:nodes:history:)``.
    mutating func retire(history first: UInt32) {
        arrived += 1
        if lists.isEmpty { freeable.append(first) } else { lists[lists.count - 1].history.append(first) }
    }

    /// To be told of each older revision stored.
    mutating func expectHistory() { arrived += 1 }

    /// Marks the snapshots of these epochs as gone.
    mutating func release(_ epochs: [UInt64]) {
        if epochs.isEmpty { return }
        for epoch in epochs {
            lists[position(of: epoch)].isReleased = true
            released += 1
        }
        frozenThrough = lists.last { !$0.isReleased }?.epoch ?? 0
    }

    private func position(of epoch: UInt64) -> Int {
        var low = 0
        var high = lists.count
        while low < high {
            let middle = (low + high) / 2
            if lists[middle].epoch < epoch { low = middle + 1 } else { high = middle }
        }
        precondition(low < lists.count && lists[low].epoch == epoch, "a snapshot was released twice")
        return low
    }

    /// Frees at most `limit` nodes and records, or passes them on; more when more came in since the last call, or garbage
    /// would grow without end. True when there is more to do.
    mutating func reclaim(limit: Int, nodes: inout NodeMemory, history: inout KeyHistorySlab) -> Bool {
        var left = max(limit, 2 * arrived)
        arrived = 0
        while released > 0, left > 0 {
            // The oldest first: what it had then passes to a snapshot that lives.
            guard let position = lists.firstIndex(where: { $0.isReleased }) else { break }
            drain(position, &left, &nodes)
        }
        while left > 0, let first = freeable.popLast() {
            left -= 1
            let next = history.free(first)
            if next != 0 { freeable.append(next) }
        }
        return released > 0 || !freeable.isEmpty
    }

    private mutating func drain(_ position: Int, _ left: inout Int, _ nodes: inout NodeMemory) {
        while left > 0, let node = lists[position].nodes {
            left -= 1
            lists[position].nodes = node.nextRetired
            if position > 0, node.epoch <= lists[position - 1].epoch {
                node.nextRetired = lists[position - 1].nodes
                lists[position - 1].nodes = node
            } else {
                nodes.free(node)
            }
        }
        if lists[position].nodes != nil { return }
        if position == 0 {
            RetiredMemory.move(&lists[0].history, to: &freeable, &left)
        } else {
            var passed = lists[position].history
            lists[position].history = []
            RetiredMemory.move(&passed, to: &lists[position - 1].history, &left)
            lists[position].history = passed
        }
        guard lists[position].history.isEmpty else { return }
        lists.remove(at: position)
        released -= 1
    }

    private static func move(_ source: inout [UInt32], to target: inout [UInt32], _ left: inout Int) {
        if target.isEmpty {
            swap(&source, &target)
            return
        }
        let moved = min(left, source.count)
        target.append(contentsOf: source.suffix(moved))
        source.removeLast(moved)
        left -= moved
    }

    /// Frees every retired node; only when no snapshot is left.
    mutating func freeAll(nodes: inout NodeMemory) {
        for position in lists.indices {
            while let node = lists[position].nodes {
                lists[position].nodes = node.nextRetired
                nodes.free(node)
            }
        }
    }
}

/// Where snapshots report that they are gone, on whatever thread that happens.
final class SnapshotReleases: Sendable {
    private let epochs = Mutex<[UInt64]>([])

    func add(_ epoch: UInt64) { epochs.withLock { $0.append(epoch) } }

    /// The epochs reported since the last call. At most as many as snapshots were alive.
    func take() -> [UInt64] {
        epochs.withLock { epochs in
            let taken = epochs
            epochs.removeAll(keepingCapacity: false)
            return taken
        }
    }
}
