import Synchronization

/// Bytes the key index holds, for metrics: written by the index's thread, readable on any.
public final class KeyIndexMemory: Sendable {
    private let nodes = Atomic<Int>(0)
    private let history = Atomic<Int>(0)

    /// Bytes of nodes: in the live tree, replaced but still seen by a snapshot, or pooled for reuse.
    public var nodeBytes: Int { nodes.load(ordering: .relaxed) }
    /// Bytes of the chunks that hold older revisions.
    public var historyBytes: Int { history.load(ordering: .relaxed) }

    // One thread writes, so a load and a store need not be one step.
    func addNodes(_ bytes: Int) { nodes.store(nodes.load(ordering: .relaxed) + bytes, ordering: .relaxed) }
    func addHistory(_ bytes: Int) { history.store(history.load(ordering: .relaxed) + bytes, ordering: .relaxed) }
}
