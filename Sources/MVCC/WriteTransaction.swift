import Bytes

/// One transaction on the store: all its changes get one main revision, or none when nothing changed.
///
/// Confined to the member thread; the next transaction begins after ``finish()``.
public struct WriteTransaction: ~Copyable {
    private let store: Store
    private let beginRevision: Int64
    /// Changes so far, which is also the next sub revision.
    public private(set) var changeCount: Int64 = 0

    public init(_ store: Store) {
        self.store = store
        beginRevision = store.currentRevision
    }

    /// The newest revision this transaction itself may read: its own once it changed something.
    public var readRevision: Int64 { beginRevision + (changeCount > 0 ? 1 : 0) }

    /// Reads the store with this transaction's changes.
    public func reader() throws(StoreError) -> Reader { try store.liveReader() }

    /// Stores a value; returns the revision it got.
    public mutating func put(_ key: [UInt8], value: UnsafeRawBufferPointer, lease: Int64) -> Int64 {
        let main = beginRevision + 1
        key.withUnsafeBytes { key in
            let state = store.index.put(key, at: Revision(main: main, sub: changeCount))
            let stored = NewKeyValue(
                key: key, createRevision: state.created, modRevision: main, version: state.version, value: value, lease: lease)
            let room = store.buffer.append(
                main: main, sub: changeCount, tombstone: false, length: stored.encodedLength)
            stored.encode(into: room)
        }
        changeCount += 1
        return main
    }

    /// Deletes every live key of a range; returns them in order.
    public mutating func delete(_ range: KeyRange) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        store.index.visit(range, at: readRevision) { key, _ in
            keys.append([UInt8](key))
            return true
        }
        for key in keys { delete(key) }
        return keys
    }

    private mutating func delete(_ key: [UInt8]) {
        let main = beginRevision + 1
        key.withUnsafeBytes { key in
            let wasLive = store.index.tombstone(key, at: Revision(main: main, sub: changeCount))
            precondition(wasLive, "only keys found live are deleted")
            let stored = NewKeyValue(
                key: key, createRevision: 0, modRevision: 0, version: 0, value: UnsafeRawBufferPointer(start: nil, count: 0),
                lease: 0)
            let room = store.buffer.append(main: main, sub: changeCount, tombstone: true, length: stored.encodedLength)
            stored.encode(into: room)
        }
        changeCount += 1
    }

    /// Makes the changes the newest revision; returns the store's revision after it.
    @discardableResult
    public consuming func finish() -> Int64 {
        if changeCount > 0 { store.currentRevision = beginRevision + 1 }
        return store.currentRevision
    }
}
