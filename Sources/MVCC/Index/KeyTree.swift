/// One state of the index as readers walk it: raw pointers, nothing counted. Valid while the ``KeyReading`` that lent it
/// lives and, if that is the ``KeyIndex``, until its next change.
public struct KeyTree {
    let root: KeyNode
    let history: KeyHistoryTable
    let liveKeys: Int
    let newestRevision: Int64
    /// Older revisions at or below it may be gone: nothing may be asked at a revision below it.
    let compactedRevision: Int64

    func newest(_ key: KeyBytes) -> KeyState? { leafFields(key)?.state }

    /// The key's newest revision at or below `revision`, tombstones included.
    func find(_ key: KeyBytes, at revision: Int64) -> KeyState? {
        checkNotCompacted(revision)
        guard let fields = leafFields(key) else { return nil }
        if fields.main <= revision { return fields.state }
        let older = history.newest(atOrBelow: revision, from: fields.history)
        return older == 0 ? nil : KeyState(history.record(older).pointee)
    }

    func checkNotCompacted(_ revision: Int64) {
        precondition(revision >= compactedRevision, "the key index was asked about a compacted revision")
    }

    private func leafFields(_ key: KeyBytes) -> LeafFields? {
        var node = root
        while !node.isLeaf { node = node.inner(node.childSlot(holding: key)).child }
        return node.find(key).map { node.leaf($0) }
    }
}

/// Keys from `from` (exclusive when `after`) to `to` (exclusive), each open when nil, at one main revision.
struct IndexRange {
    var from: KeyBytes?
    var after = false
    var to: KeyBytes?
    var revision: Int64

    /// The slots of a leaf inside the range.
    @inline(__always)
    func leafSlots(_ node: KeyNode) -> Range<Int> {
        var low = 0
        var high = node.count
        if let from {
            let (slot, found) = node.search(from)
            low = found && after ? slot + 1 : slot
        }
        if let to { high = node.search(to).slot }
        return low..<max(low, high)
    }

    /// The children of an inner node that may hold keys inside the range.
    @inline(__always)
    func children(_ node: KeyNode) -> Range<Int> {
        let low = from.map { node.childSlot(holding: $0) } ?? 0
        let high = to.map { node.lastChildSlot(below: $0) + 1 } ?? node.count
        return low..<max(low, high)
    }

    /// What is left of the range inside one of those children: inner ones lie wholly between the bounds.
    @inline(__always)
    func narrowed(to child: Int, of children: Range<Int>) -> IndexRange {
        IndexRange(
            from: child == children.lowerBound ? from : nil, after: after,
            to: child == children.upperBound - 1 ? to : nil, revision: revision)
    }
}

extension KeyTree {
    /// Calls `body` for each live key of the range in order until it returns false; false then.
    func visit<Failure: Error>(
        _ range: IndexRange, descending: Bool, _ body: (UnsafeRawBufferPointer, KeyState) throws(Failure) -> Bool
    ) throws(Failure) -> Bool {
        checkNotCompacted(range.revision)
        return descending ? try descend(root, range, body) : try ascend(root, range, body)
    }

    private func ascend<Failure: Error>(
        _ node: KeyNode, _ range: IndexRange, _ body: (UnsafeRawBufferPointer, KeyState) throws(Failure) -> Bool
    ) throws(Failure) -> Bool {
        if node.isLeaf {
            for slot in range.leafSlots(node) where try !visit(node, slot, range.revision, body) { return false }
            return true
        }
        let children = range.children(node)
        for slot in children {
            let fields = node.inner(slot)
            if fields.live == 0, fields.newest <= range.revision { continue }
            guard try ascend(fields.child, range.narrowed(to: slot, of: children), body) else { return false }
        }
        return true
    }

    private func descend<Failure: Error>(
        _ node: KeyNode, _ range: IndexRange, _ body: (UnsafeRawBufferPointer, KeyState) throws(Failure) -> Bool
    ) throws(Failure) -> Bool {
        if node.isLeaf {
            for slot in range.leafSlots(node).reversed() where try !visit(node, slot, range.revision, body) { return false }
            return true
        }
        let children = range.children(node)
        for slot in children.reversed() {
            let fields = node.inner(slot)
            if fields.live == 0, fields.newest <= range.revision { continue }
            guard try descend(fields.child, range.narrowed(to: slot, of: children), body) else { return false }
        }
        return true
    }

    @inline(__always)
    private func visit<Failure: Error>(
        _ node: KeyNode, _ slot: Int, _ revision: Int64,
        _ body: (UnsafeRawBufferPointer, KeyState) throws(Failure) -> Bool
    ) throws(Failure) -> Bool {
        let fields = node.leaf(slot)
        if fields.main <= revision {
            return fields.isTombstone ? true : try body(node.leafKey(slot).buffer, fields.state)
        }
        let older = history.newest(atOrBelow: revision, from: fields.history)
        if older == 0 { return true }
        let state = KeyState(history.record(older).pointee)
        return state.isTombstone ? true : try body(node.leafKey(slot).buffer, state)
    }

    /// How many keys of the range are live: whole subtrees are counted by their summaries unless they changed after the
    /// range's revision.
    func count(_ range: IndexRange) -> Int {
        checkNotCompacted(range.revision)
        return count(root, range)
    }

    private func count(_ node: KeyNode, _ range: IndexRange) -> Int {
        var total = 0
        if node.isLeaf {
            for slot in range.leafSlots(node) where isLive(node.leaf(slot), at: range.revision) { total += 1 }
            return total
        }
        let children = range.children(node)
        for slot in children {
            let fields = node.inner(slot)
            let inside = range.narrowed(to: slot, of: children)
            if inside.from == nil, inside.to == nil, fields.newest <= range.revision {
                total += fields.live
            } else {
                total += count(fields.child, inside)
            }
        }
        return total
    }

    @inline(__always)
    private func isLive(_ fields: LeafFields, at revision: Int64) -> Bool {
        if fields.main <= revision { return !fields.isTombstone }
        let older = history.newest(atOrBelow: revision, from: fields.history)
        return older != 0 && !history.record(older).pointee.isTombstone
    }
}
