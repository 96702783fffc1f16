import PageStore

/// A commit as the member thread learns of it.
public struct PageCommit: Sendable {
    /// The group that is durable now, with all before it.
    public let group: UInt64
    /// The state right after it, for readers to come.
    public let pages: ReadTransaction
    public let size: Int64
    public let sizeInUse: Int64
    /// What a round of defragmentation after the group achieved.
    public let defragmentation: Defragmentation

    public enum Defragmentation: Sendable {
        /// None was asked for.
        case none
        /// The file shrank: another round may achieve more.
        case shrank
        /// It did not; pages that moved may free the end of the file once readers have left.
        case idle
    }

    public init(group: UInt64, pages: ReadTransaction, size: Int64, sizeInUse: Int64, defragmentation: Defragmentation = .none) {
        self.group = group
        self.pages = pages
        self.size = size
        self.sizeInUse = sizeInUse
        self.defragmentation = defragmentation
    }
}

/// Carries commit groups out on the page file. Confined to one thread at a time.
public final class PageCommitter {
    public private(set) var file: PageFile

    public init(_ file: PageFile) { self.file = file }

    /// Creates the buckets that every etcd member has, and authentication's first revision in them.
    public func createBuckets() throws(PageFileError) {
        let transaction = try file.beginWrite()
        for bucket in BucketName.allCases { _ = try transaction.createBucketIfMissing(bucket.name) }
        let authentication = try transaction.createBucketIfMissing(BucketName.auth.name)
        if try authentication.value(PageCommitter.authRevision) == nil {
            try authentication.put(PageCommitter.authRevision, [0, 0, 0, 0, 0, 0, 0, 1])
        }
        try transaction.commit()
    }

    private static let authRevision = Array("authRevision".utf8)

    /// One page-file transaction for the whole group: two syncs.
    public func commit(_ group: CommitGroup) throws(PageFileError) -> PageCommit {
        let transaction = try file.beginWrite()
        // A transaction that is let go without a commit is rolled back; a failed commit has ended it already.
        try write(group, to: transaction)
        try transaction.commit()
        return try outcome(of: group.number)
    }

    private func write(_ group: CommitGroup, to transaction: WriteTransaction) throws(PageFileError) {
        let keys = try transaction.createBucketIfMissing(BucketName.key.name)
        // Revisions only ever grow, so pages may be packed (etcd fills this bucket to nine tenths).
        keys.fillPercent = 0.9
        for batch in group.batches { try append(batch, to: keys) }
        for key in group.compacted { _ = try keys.delete(key) }
        for change in group.changes {
            switch change {
            case .put(let bucket, let key, let value):
                try transaction.createBucketIfMissing(bucket.name).put(key, value)
            case .delete(let bucket, let key):
                _ = try transaction.createBucketIfMissing(bucket.name).delete(key)
            }
        }
    }

    private func append(_ batch: RevisionBatch, to keys: WritableBucket) throws(PageFileError) {
        try withUnsafeTemporaryAllocation(byteCount: 18, alignment: 8) { (key) throws(PageFileError) in
            key[8] = UInt8(ascii: "_")
            key[17] = UInt8(ascii: "t")
            for at in 0..<batch.count {
                let slot = batch.slots[at]
                key.storeBytes(of: slot.main.bigEndian, toByteOffset: 0, as: Int64.self)
                key.storeBytes(of: slot.sub.bigEndian, toByteOffset: 9, as: Int64.self)
                let length = slot.isTombstone ? 18 : 17
                try keys.appendPut(UnsafeRawBufferPointer(rebasing: key[..<length]), slot.value)
            }
        }
    }

    /// The newest state as it would be after a commit of `group`, without writing anything.
    public func outcome(of group: UInt64) throws(PageFileError) -> PageCommit {
        let space = file.space
        return PageCommit(
            group: group, pages: try file.beginRead(), size: Int64(space.size), sizeInUse: Int64(space.inUse))
    }
}

extension PageCommitter {
    /// One round of compaction in place: the file's last pages move to free ones further down. Pages that readers still hold are
    /// freed by later rounds, so the caller goes on until several rounds have gained nothing.
    public func defragment(after group: UInt64) throws(PageFileError) -> PageCommit {
        let before = file.space.size
        let transaction = try file.beginWrite()
        _ = try transaction.relocateTail(maximumPages: 16_384)
        try transaction.commit()
        let space = file.space
        return PageCommit(
            group: group, pages: try file.beginRead(), size: Int64(space.size), sizeInUse: Int64(space.inUse),
            defragmentation: space.size < before ? .shrank : .idle)
    }
}
