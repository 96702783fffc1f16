/// Collects the changes of applied entries until they are committed to the page file, a ``CommitGroup`` at a time.
///
/// Confined to the member thread. It decides what belongs into which transaction; ``PageCommitter`` carries it out.
public struct WriteBuffer {
    private var open: CommitGroup
    private var committing: [CommitGroup] = []

    public init() {
        open = CommitGroup(number: 1)
    }

    /// Room for the value of a new revision, the newest so far.
    public mutating func append(main: Int64, sub: Int64, tombstone: Bool, length: Int) -> UnsafeMutableRawBufferPointer {
        if open.batches.last.map(\.isFull) ?? true { open.batches.append(RevisionBatch()) }
        return open.batches[open.batches.count - 1].append(main: main, sub: sub, tombstone: tombstone, length: length)
    }

    public mutating func put(_ bucket: BucketName, key: [UInt8], value: [UInt8]) {
        open.changes.append(.put(bucket, key: key, value: value))
    }

    public mutating func delete(_ bucket: BucketName, key: [UInt8]) {
        open.changes.append(.delete(bucket, key: key))
    }

    /// Removes a compacted revision from the `key` bucket.
    public mutating func removeCompacted(_ key: [UInt8]) {
        open.compacted.append(key)
    }

    public var hasChanges: Bool { !open.isEmpty }
    public var openChangeCount: Int { open.changeCount }
    public var openByteCount: Int { open.byteCount }
    /// Groups handed out and not reported back.
    public var groupsInFlight: Int { committing.count }

    /// Closes the open group and hands it out for commit; call between turns only, never inside one.
    public mutating func seal() -> CommitGroup {
        let group = open
        committing.append(group)
        open = CommitGroup(number: group.number + 1)
        return group
    }

    /// The page file holds the group now, so readers find its values there.
    public mutating func committed(_ number: UInt64) {
        committing.removeAll { $0.number <= number }
    }

    /// Everything the page file's last commit does not hold.
    public var recent: RecentValues {
        RecentValues(committing.flatMap(\.batches) + open.batches)
    }
}
