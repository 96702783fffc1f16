extension KeyIndex {
    /// The revision of a key that compaction at main revision `compact` keeps: the newest one not above it, unless that is
    /// a tombstone below it. (A tombstone right at it stays, as in etcd since 3.5.16: a watch from there must see it.)
    public func keeper(_ key: UnsafeRawBufferPointer, at compact: Int64) -> KeyState? {
        let state = find(key, at: compact)
        return state.flatMap { KeyIndex.isKept($0, at: compact) ? $0 : nil }
    }

    private static func isKept(_ state: KeyState, at compact: Int64) -> Bool {
        !state.isTombstone || state.revision.main == compact
    }

    /// Drops what compaction at main revision `compact` drops of a key: revisions older than its ``keeper(_:at:)``, and the
    /// key itself when its newest revision is a tombstone below `compact`. Never called with a lower revision than before.
    /// - Returns: the keeper.
    @discardableResult
    public func trim(_ key: UnsafeRawBufferPointer, at compact: Int64) -> KeyState? {
        precondition(compact >= compacted, "compaction went backwards")
        compacted = compact
        guard locate(KeyBytes(key)) else { return nil }
        let fields = path[0].node.leaf(path[0].slot)
        if fields.main <= compact { return trimToNewest(fields, at: compact) }
        let index = history.table.newest(atOrBelow: compact, from: fields.history)
        guard index != 0 else { return nil }
        // The record stays even if it is a dropped tombstone: it is where searches above `compact` end.
        let dropped = history.cut(below: index)
        if dropped != 0 { retired.retire(history: dropped) }
        let state = KeyState(history.table.record(index).pointee)
        return KeyIndex.isKept(state, at: compact) ? state : nil
    }

    private func trimToNewest(_ fields: LeafFields, at compact: Int64) -> KeyState? {
        let state = fields.state
        let older = fields.history
        if older != 0 { retired.retire(history: older) }
        if !KeyIndex.isKept(state, at: compact) {
            remove()
            keys -= 1
            return nil
        }
        if older != 0 {
            makeWritable(downTo: 0)
            path[0].node.leaf(path[0].slot).history = 0
        }
        return state
    }
}
