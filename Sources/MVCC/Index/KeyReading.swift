/// What can be read of the key index: of a ``KeySnapshot`` on any thread, of the ``KeyIndex`` itself on its own, where changes
/// of the transaction under way are seen at the current revision plus one.
///
/// A `revision` is a main revision, and at least ``compactedRevision``: who takes revisions from clients refuses older ones
/// first. Keys are borrowed for the call.
public protocol KeyReading: AnyObject {
    var tree: KeyTree { get }
}

extension KeyReading {
    /// The key's state at `revision`; nil when it did not exist or was deleted.
    public func get(_ key: UnsafeRawBufferPointer, at revision: Int64) -> KeyState? {
        let state = find(key, at: revision)
        return state.map { $0.isTombstone } == false ? state : nil
    }

    /// The key's newest revision at or below `revision`, a tombstone if it was deleted; nil when there is none.
    public func find(_ key: UnsafeRawBufferPointer, at revision: Int64) -> KeyState? {
        withExtendedLifetime(self) { tree.find(KeyBytes(key), at: revision) }
    }

    /// The key's newest revision, a tombstone if it is deleted; nil when the key is not known.
    public func newest(_ key: UnsafeRawBufferPointer) -> KeyState? {
        withExtendedLifetime(self) { tree.newest(KeyBytes(key)) }
    }

    /// Visits the keys live at `revision`, `from` (exclusive when `after`) to `to` (exclusive; nil: no end), in order or
    /// backwards. An empty `from` is the first key.
    ///
    /// `body` gets the key's bytes, borrowed for the call, and its state, and says whether to go on; it must not change the
    /// index. To resume where it stopped: from the last key with `after`, or backwards to the last key.
    /// - Returns: false when `body` stopped it.
    public func visit<Failure: Error>(
        from: UnsafeRawBufferPointer, after: Bool = false, to: UnsafeRawBufferPointer?, at revision: Int64,
        descending: Bool = false, _ body: (UnsafeRawBufferPointer, KeyState) throws(Failure) -> Bool
    ) throws(Failure) -> Bool {
        defer { withExtendedLifetime(self) {} }
        let range = IndexRange(
            from: from.isEmpty && !after ? nil : KeyBytes(from), after: after, to: to.map { KeyBytes($0) }, revision: revision)
        return try tree.visit(range, descending: descending, body)
    }

    /// How many keys from `from` to `to` (exclusive; nil: no end) are live at `revision`.
    ///
    /// O(log n) at the newest revision; at an older one it also looks into the nodes changed since.
    public func count(from: UnsafeRawBufferPointer, to: UnsafeRawBufferPointer?, at revision: Int64) -> Int {
        withExtendedLifetime(self) {
            tree.count(
                IndexRange(from: from.isEmpty ? nil : KeyBytes(from), to: to.map { KeyBytes($0) }, revision: revision))
        }
    }

    /// Live keys at the newest revision.
    public var liveKeys: Int { tree.liveKeys }
    /// The highest main revision ever stored.
    public var newestRevision: Int64 { tree.newestRevision }
    /// The highest revision ``KeyIndex/trim(_:at:)`` was called with.
    public var compactedRevision: Int64 { tree.compactedRevision }
}
