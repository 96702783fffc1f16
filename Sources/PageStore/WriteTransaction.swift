/// The next state of a page file, made of the newest committed one and changes that nobody else sees until ``commit()``.
///
/// Confined to one thread. Released without a commit, it is rolled back.
public final class WriteTransaction {
    let file: PageFile
    let source: PageSource
    let base: PageFile.Slot
    /// The number the new state will have.
    public let number: UInt64
    var freeSpace: FreeSpace
    var arena = Arena()
    var writer: PageWriter
    var isOpen = true
    /// Nanoseconds spent on merging small nodes.
    var rebalanceTime: UInt64 = 0
    /// What was found wrong in the middle of a change; it forbids the commit.
    var damage: PageFileError?
    /// Base roots of deleted buckets: deleting a bucket around one later must not free its pages again.
    var deletedRoots: Set<PageID> = []
    /// The bucket that holds the top-level buckets.
    public private(set) lazy var root = WritableBucket(
        transaction: self, header: BucketHeader(root: base.meta.root, sequence: base.meta.rootSequence), inlinePage: nil)

    init(file: PageFile, source: PageSource, base: PageFile.Slot, freeSpace: FreeSpace, fileSize: Int) {
        self.file = file
        self.source = source
        self.base = base
        self.freeSpace = freeSpace
        // bbolt writes transaction n into meta page n % 2, which must not be the newest one; snapshots can leave it so.
        let next = base.meta.transaction + 1
        number = Int(next % 2) == base.number ? next + 1 : next
        writer = PageWriter(file: file, source: source, fileSize: fileSize)
    }

    deinit {
        rollback()
    }

    /// Pages of the base state.
    var limit: PageID { base.meta.highWater }

    /// Bytes of memory that keys and values written so far take. The caller bounds its transactions by it.
    public var pendingBytes: Int { arena.bytes }

    /// A top-level bucket, or nil when there is none of that name. The same object each time.
    public func bucket(_ name: [UInt8]) throws(PageFileError) -> WritableBucket? { try root.bucket(name) }

    /// A top-level bucket, created empty when it is missing.
    public func createBucketIfMissing(_ name: [UInt8]) throws(PageFileError) -> WritableBucket {
        try root.createBucketIfMissing(name)
    }

    /// Removes a top-level bucket with all it holds.
    public func deleteBucket(_ name: [UInt8]) throws(PageFileError) { try root.deleteBucket(name) }

    /// Gives the changes up. Nothing happens when the transaction has ended already, as it has after a commit that failed.
    public func rollback() {
        guard isOpen else { return }
        isOpen = false
        freeSpace.rollback()
        file.endWrite(freeSpace, fileSize: writer.fileSize, committed: nil)
    }

    func page(_ id: PageID) throws(PageFileError) -> PageView { try source.view(id, limit: limit) }

    /// Gives pages of the base state back. Pages given back twice are damage that must not be committed.
    func release(_ run: PageRun) throws(PageFileError) {
        if freeSpace.release(run) { return }
        let error = source.corrupt(run.id, .freedTwice)
        damage = damage ?? error
        throw error
    }
}
