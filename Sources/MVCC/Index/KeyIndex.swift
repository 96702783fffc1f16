/// The map from keys to their revisions: a copy-on-write B+tree of packed nodes with snapshots that cost O(1).
///
/// One thread owns it and changes it; ``snapshot()`` gives other threads something to read. A snapshot ends an epoch, and a
/// node made in that epoch or before is copied before it changes, so readers walk raw memory without locks or counting.
/// A key's newest revision lies in its leaf, older ones in ``KeyHistory``: a put on a key with a long history costs no more.
///
/// Not ``Sendable``; its `deinit` may run on the thread that drops the last snapshot, when nobody else can reach it.
public final class KeyIndex: KeyReading {
    /// Bytes held, for metrics.
    public let memory: KeyIndexMemory
    /// Keys held, deleted ones that compaction has not removed yet included.
    public internal(set) var keys = 0

    var root: KeyNode
    var epoch: UInt64 = 1
    var live = 0
    var newestMain: Int64 = 0
    var compacted: Int64 = 0
    var nodes: NodeMemory
    var history: KeyHistorySlab
    var retired = RetiredMemory()
    let releases = SnapshotReleases()

    /// The way to the key worked on: node and slot for each level, the leaf first.
    let path: UnsafeMutablePointer<PathStep>
    /// Room for the fixed part of an entry about to be inserted, for each level.
    let scratch: UnsafeMutableRawPointer

    struct PathStep {
        var node: KeyNode
        var slot: Int
    }
    /// Every level at least doubles the leaves, so this is never reached.
    static let maximumLevels = 48

    /// - Parameters:
    ///   - nodeBytes: size of a node; one that holds a key too large for it is larger.
    ///   - pooledNodes: how many unused nodes are kept for reuse, or a sixteenth of those in use if that is more; 0: none.
    public init(nodeBytes: Int = 4096, pooledNodes: Int = 256) {
        memory = KeyIndexMemory()
        nodes = NodeMemory(nodeBytes: nodeBytes, pooledLimit: pooledNodes, memory: memory)
        history = KeyHistorySlab(memory: memory)
        root = nodes.allocate(atLeast: 0, level: 0, epoch: epoch)
        path = .allocate(capacity: KeyIndex.maximumLevels)
        scratch = .allocate(byteCount: KeyIndex.maximumLevels * LeafFields.bytes, alignment: 16)
    }

    deinit {
        nodes.freeTree(root)
        retired.freeAll(nodes: &nodes)
        path.deallocate()
        scratch.deallocate()
    }

    public var tree: KeyTree {
        KeyTree(
            root: root, history: history.table, liveKeys: live, newestRevision: newestMain, compactedRevision: compacted)
    }

    /// What the index holds now, for readers on any thread. O(1).
    public func snapshot() -> KeySnapshot {
        let snapshot = KeySnapshot(self, epoch: epoch)
        retired.open(epoch: epoch)
        epoch += 1
        return snapshot
    }

    /// Frees memory that no snapshot reaches any more: at most `limit` nodes and older revisions a call, or twice as many as
    /// changes since the last call replaced, so that a turn stays short and garbage does not pile up. To be called once a
    /// turn; true when there is more to do.
    @discardableResult
    public func reclaim(limit: Int = 1024) -> Bool {
        retired.release(releases.take())
        return retired.reclaim(limit: limit, nodes: &nodes, history: &history)
    }
}

// MARK: Changes

extension KeyIndex {
    public struct PutOutcome: Hashable, Sendable {
        /// The key's newest revision before, a tombstone if it was deleted; nil when the key was not known.
        public var previous: KeyState?
        public var created: Int64
        public var version: Int64
    }

    /// Stores a new revision of a key. `revision` is above every one the key has.
    public func put(_ key: UnsafeRawBufferPointer, at revision: Revision) -> PutOutcome {
        precondition(KeyIndex.isStorable(revision), "a revision the key index cannot hold")
        let key = KeyBytes(key)
        guard locate(key) else {
            insert(key, revision, created: revision.main, version: 1, tombstone: false)
            return PutOutcome(previous: nil, created: revision.main, version: 1)
        }
        let previous = path[0].node.leaf(path[0].slot).state
        precondition(revision > previous.revision, "a put at a revision not above the key's newest")
        let created = previous.isTombstone ? revision.main : previous.created
        let version = previous.isTombstone ? 1 : previous.version &+ 1
        replace(previous, by: revision, created: created, version: version, tombstone: false)
        return PutOutcome(previous: previous, created: created, version: version)
    }

    /// Marks a key as deleted; it stays until compaction. `revision` is above every one the key has.
    /// - Returns: false when the key is not live; nothing changes then.
    public func tombstone(_ key: UnsafeRawBufferPointer, at revision: Revision) -> Bool {
        precondition(KeyIndex.isStorable(revision), "a revision the key index cannot hold")
        guard locate(KeyBytes(key)) else { return false }
        let previous = path[0].node.leaf(path[0].slot).state
        if previous.isTombstone { return false }
        precondition(revision > previous.revision, "a deletion at a revision not above the key's newest")
        replace(previous, by: revision, created: 0, version: 0, tombstone: true)
        return true
    }

    public enum RestoreOutcome: Hashable, Sendable {
        case stored
        /// A second tombstone, which etcd ignores when it restores.
        case notLive
        /// Not above the key's newest revision, or no revision a store can have written.
        case invalid
    }

    /// Stores a revision read back from disk, where they come in ascending order. The first one of a key may be of any
    /// version, or a tombstone: compaction removed those before.
    public func restore(
        _ key: UnsafeRawBufferPointer, at revision: Revision, created: Int64, version: Int64, tombstone: Bool
    ) -> RestoreOutcome {
        guard KeyIndex.isStorable(revision) else { return .invalid }
        let key = KeyBytes(key)
        let created = tombstone ? 0 : created
        let version = tombstone ? 0 : version
        guard locate(key) else {
            insert(key, revision, created: created, version: version, tombstone: tombstone)
            return .stored
        }
        let previous = path[0].node.leaf(path[0].slot).state
        guard revision > previous.revision else { return .invalid }
        if tombstone, previous.isTombstone { return .notLive }
        replace(previous, by: revision, created: created, version: version, tombstone: tombstone)
        return .stored
    }

    private static func isStorable(_ revision: Revision) -> Bool {
        revision.main > 0 && revision.sub >= 0 && revision.sub < Int64(LeafFields.tombstoneBit)
    }

    /// Finds the way to a key, or to where it belongs; whether the key is there.
    func locate(_ key: KeyBytes) -> Bool {
        var node = root
        var level = node.level
        while level > 0 {
            let slot = node.childSlot(holding: key)
            path[level] = PathStep(node: node, slot: slot)
            node = node.inner(slot).child
            level -= 1
        }
        let (slot, found) = node.search(key)
        path[0] = PathStep(node: node, slot: slot)
        return found
    }

    /// Gives the key at the end of the path a new newest revision; the previous one joins the older ones.
    private func replace(_ previous: KeyState, by revision: Revision, created: Int64, version: Int64, tombstone: Bool) {
        makeWritable(downTo: 0)
        let fields = path[0].node.leaf(path[0].slot)
        fields.history = history.push(
            main: fields.main, subAndTombstone: fields.subAndTombstone, on: fields.history, floor: compacted)
        retired.expectHistory()
        fields.store(revision, created: created, version: version, tombstone: tombstone)
        summarize(revision.main, liveChange: (tombstone ? 0 : 1) - (previous.isTombstone ? 0 : 1))
    }

    /// Adds a key at the end of the path.
    private func insert(_ key: KeyBytes, _ revision: Revision, created: Int64, version: Int64, tombstone: Bool) {
        makeWritable(downTo: 0)
        summarize(revision.main, liveChange: tombstone ? 0 : 1)
        let fields = LeafFields(base: scratch)
        fields.store(revision, created: created, version: version, tombstone: tombstone)
        fields.history = 0
        insert(key, fields: scratch, level: 0, at: path[0].slot)
        keys += 1
    }

    /// Enters a change of the leaf into the summaries above it.
    private func summarize(_ main: Int64, liveChange: Int) {
        newestMain = max(newestMain, main)
        live += liveChange
        for level in 1..<(root.level + 1) {
            let fields = path[level].node.inner(path[level].slot)
            fields.newest = max(fields.newest, main)
            fields.live += liveChange
        }
    }
}
