import Host
import Synchronization

/// How a page file is opened.
public struct PageFileOptions: Sendable {
    public enum Access: Sendable {
        /// Pages are read through a shared mapping.
        case mapped
        /// Pages are read into memory: for disks whose files cannot be mapped.
        case read
    }

    /// Bytes a page of a file that is created: a power of two from 1,024 to 65,536.
    public var pageSize = 4096
    /// Bytes of address space reserved at open; the reservation is renewed when the file outgrows it. etcd reserves 10 GiB.
    public var mapCapacity = 10 << 30
    public var access = Access.mapped
    public var isReadOnly = false
    /// Fails when the file exists.
    public var createsNew = false
    /// The file grows in steps of this many bytes, allocated on the disk at once (bbolt's AllocSize).
    public var growthStep = 16 << 20
    /// Reads a mapped file once from beginning to end at open, for its pages are then touched in any order, and one by one they
    /// come from a disk much more slowly. etcd does the same (`MAP_POPULATE`).
    public var readsAhead = true
    /// Writes bbolt's free list page at each commit. etcd does not.
    public var writesFreeList = false
    public var commitMeter: CommitMeter?
    /// Permission bits of a file that is created.
    public var permissions: UInt32 = 0o600

    public init() {}
}

/// How much of a page file is in use. Sizes in bytes.
public struct SpaceUse: Equatable, Sendable {
    public let pageSize: Int
    /// Up to the last page: what etcd reports as the database's size.
    public let size: Int
    /// What the file takes on the disk, with room grown in advance.
    public let fileSize: Int
    /// Pages to be reused at once.
    public let freePages: Int
    /// Pages to be reused when readers and the older meta page have moved on.
    public let pendingPages: Int
    /// What the newest state reaches: etcd's `dbSizeInUse`, which counts pending pages as in use until a later commit. Here they do
    /// not, for a member that nobody writes to may make no later commit, and would be called full for ever after a compaction.
    public var inUse: Int { size - (freePages + pendingPages) * pageSize }
}

/// A B+tree file in bbolt's format: named buckets of sorted keys, copied on write.
///
/// Any number of read transactions see the state they began with, on any thread; one write transaction at a time prepares the next
/// state. After a failed write or sync nothing is known of the disk, and every later call throws the first error.
public final class PageFile: Sendable {
    /// The open readers of one state.
    struct Readers {
        let transaction: UInt64
        let highWater: PageID
        var count: Int
    }

    /// One meta page that can be used.
    struct Slot {
        var meta: Meta
        /// 0 or 1: the meta page it stands in.
        var number: Int
    }

    struct State: Sendable {
        var current: Slot
        /// The other meta page, unless it is torn.
        var older: Slot?
        /// nil once the file is closed: a mapping would keep the file, and on Linux its lock, alive.
        var source: PageSource?
        var fileSize: Int
        /// Ascending by transaction.
        var readers: [Readers] = []
        /// Moved into the write transaction while one is open; nil as well when read only.
        var freeSpace: FreeSpace?
        var hasWriter = false
        var freePages = 0
        var pendingPages = 0
        var failure: PageFileError?
        var isClosed = false
    }

    public let path: String
    public let pageSize: Int
    public let isReadOnly: Bool
    let options: PageFileOptions
    let file: any DiskFile
    let state: Mutex<State>

    init(path: String, options: PageFileOptions, file: any DiskFile, state: State) {
        self.path = path
        self.options = options
        self.file = file
        pageSize = state.current.meta.pageSize
        isReadOnly = options.isReadOnly
        self.state = Mutex(state)
    }

    deinit {
        // Readers and the writer keep the file alive: none is open here.
        let isOpen = state.withLock { $0.isClosed ? false : true }
        if isOpen { file.close() }
    }

    /// Closes the file and frees its lock, at once or when the last open transaction ends. New transactions are refused from now on.
    public func close() {
        state.withLock { state in
            guard !state.isClosed else { return }
            state.isClosed = true
            closeIfIdle(&state)
        }
    }

    private func closeIfIdle(_ state: inout State) {
        guard state.isClosed, state.readers.isEmpty, !state.hasWriter else { return }
        state.source?.cache?.close()
        state.source = nil
        file.close()
    }

    /// The way to the pages, unless the file is closed or has failed.
    private func usableSource(_ state: State) throws(PageFileError) -> PageSource {
        guard let source = state.source, !state.isClosed else { throw PageFileError(path: path, reason: .closed) }
        if let failure = state.failure { throw failure }
        return source
    }

    /// A view of the newest committed state.
    public func beginRead() throws(PageFileError) -> ReadTransaction {
        try state.withLock { (state) throws(PageFileError) in
            let source = try usableSource(state)
            let meta = state.current.meta
            if let last = state.readers.indices.last, state.readers[last].transaction == meta.transaction {
                state.readers[last].count += 1
            } else {
                state.readers.append(Readers(transaction: meta.transaction, highWater: meta.highWater, count: 1))
            }
            return ReadTransaction(file: self, source: source, meta: meta)
        }
    }

    func endRead(_ transaction: UInt64) {
        state.withLock { state in
            guard let index = state.readers.firstIndex(where: { $0.transaction == transaction }) else {
                preconditionFailure("a reader ended that never began")
            }
            state.readers[index].count -= 1
            if state.readers[index].count == 0 { state.readers.remove(at: index) }
            if state.readers.isEmpty && !state.hasWriter { state.source?.cache?.trim() }
            closeIfIdle(&state)
        }
    }

    /// The next state, seen by nobody until it is committed. One at a time; it stays on the thread that began it.
    public func beginWrite() throws(PageFileError) -> WriteTransaction {
        try state.withLock { (state) throws(PageFileError) in
            let source = try usableSource(state)
            if isReadOnly { throw PageFileError(path: path, reason: .readOnly) }
            if state.hasWriter { throw PageFileError(path: path, reason: .writeTransactionOpen) }
            guard var freeSpace = state.freeSpace.take() else { preconditionFailure("free space is away without a writer") }
            var states = state.readers.map(\.transaction)
            // Not reachable from the older meta page either, so that it is a way back if the newest is damaged.
            if let older = state.older { states.append(older.meta.transaction) }
            states.sort()
            freeSpace.release(states: states)
            state.hasWriter = true
            return WriteTransaction(
                file: self, source: source, base: state.current, freeSpace: freeSpace, fileSize: state.fileSize)
        }
    }

    /// Takes the free space back from a write transaction. `committed` is the new state, or nil after a rollback.
    func endWrite(_ freeSpace: FreeSpace, fileSize: Int, committed: (slot: Slot, source: PageSource)?) {
        state.withLock { state in
            state.hasWriter = false
            state.freePages = freeSpace.freeCount
            state.pendingPages = freeSpace.pendingCount
            state.freeSpace = freeSpace
            state.fileSize = fileSize
            if let committed {
                state.older = state.current
                state.current = committed.slot
                state.source = committed.source
            }
            if state.readers.isEmpty { state.source?.cache?.trim() }
            closeIfIdle(&state)
        }
    }

    /// Remembers the first failed write or sync.
    func poison(_ error: PageFileError) {
        state.withLock { state in
            if state.failure == nil { state.failure = error }
        }
    }

    /// Sizes and page counts of the newest committed state. Free pages are unknown, and 0, when the file is open read-only:
    /// ``ReadTransaction/check(problemLimit:)`` counts them.
    public var space: SpaceUse {
        state.withLock { state in
            SpaceUse(
                pageSize: pageSize, size: Int(state.current.meta.highWater) * pageSize, fileSize: state.fileSize,
                freePages: state.freePages, pendingPages: state.pendingPages)
        }
    }

    /// Lets one of so many parts of a mapped file go from the process's memory. Readers find their pages again, in the kernel's cache or on
    /// the disk.
    public func letGo(part: Int, of parts: Int) {
        let (mapping, size) = state.withLock { ($0.source?.mapping, $0.fileSize) }
        let step = (size / parts + 1 + 0xffff) & ~0xffff
        mapping?.letGo(of: part * step..<(part + 1) * step)
    }

    /// Open read transactions.
    public var openReaders: Int { state.withLock { $0.readers.reduce(0) { $0 + $1.count } } }
}
