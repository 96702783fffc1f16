import Glibc
import Host
import Synchronization

/// A disk in memory that crashes and fails on demand, the same way every time.
///
/// Writes are seen at once; they are durable after ``DiskFile/syncData()`` or ``DiskFile/sync()`` on their file. Names are
/// durable after ``syncDirectory(_:)`` on their directory, and a name without its file's sync leads to an empty file.
/// ``crash(_:choosing:)`` throws away a chosen part of the rest; then the disk serves on as after a restart.
public final class FaultyDisk: Disk {
    let state: Mutex<State>

    struct State: Sendable {
        var directories = FaultyDirectories()
        var files: [Inode: FaultyFileState] = [:]
        var locks = FaultyLocks()
        var faults: [DiskFault] = []
        var trace = DiskTrace()
        var failures = 0
        var reads = 0
        var sparesReads = false
        /// Handles opened before the last crash are of an older one.
        var generation = 0
        var openHandles: [Int: Inode] = [:]
        var nextInode = FaultyDirectories.root + 1
        var nextHandle = 0
    }

    /// With `sparesReads` only reads within ``failingReads(_:)`` fail or are counted.
    public init(sparesReads: Bool = false) {
        var first = State()
        first.sparesReads = sparesReads
        state = Mutex(first)
    }

    private init(_ copied: State) { state = Mutex(copied) }

    public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        try state.withLock { (state) throws(DiskError) in
            try state.begin(.open, "open", path)
            let (inode, isWritable) = try state.openInode(path, mode)
            state.nextHandle += 1
            state.openHandles[state.nextHandle] = inode
            return FaultyFile(
                disk: self, path: path, inode: inode, handle: state.nextHandle, generation: state.generation,
                isWritable: isWritable)
        }
    }

    public func list(_ directory: String) throws(DiskError) -> [String] {
        try state.withLock { (state) throws(DiskError) in
            try state.begin(.list, "list", directory)
            return state.directories.names(in: try state.directory(directory, "list", directory))
        }
    }

    public func exists(_ path: String) throws(DiskError) -> Bool {
        try state.withLock { (state) throws(DiskError) in
            try state.begin(.exists, "stat", path)
            return state.find(path) != nil
        }
    }

    /// Durable on return, as on ``LinuxHost``'s disk. The permission bits are ignored.
    public func createDirectory(_ path: String, permissions: UInt32) throws(DiskError) {
        try state.withLock { (state) throws(DiskError) in
            try state.begin(.createDirectory, "mkdir", path)
            try state.createDirectories(path)
        }
    }

    public func rename(_ path: String, to target: String) throws(DiskError) {
        try state.withLock { (state) throws(DiskError) in
            try state.begin(.rename, "rename", path)
            try state.rename(path, to: target)
        }
    }

    public func remove(_ path: String) throws(DiskError) {
        try state.withLock { (state) throws(DiskError) in
            try state.begin(.remove, "remove", path)
            try state.remove(path)
        }
    }

    public func removeTree(_ path: String) throws(DiskError) {
        try state.withLock { (state) throws(DiskError) in
            try state.begin(.removeTree, "remove", path)
            try state.removeTree(path)
        }
    }

    public func syncDirectory(_ path: String) throws(DiskError) {
        try state.withLock { (state) throws(DiskError) in
            try state.begin(.syncDirectory, "fsync", path)
            state.directories.sync(try state.directory(path, "fsync", path))
            state.reclaim()
        }
    }
}

// What tests do to the disk.
extension FaultyDisk {
    /// Loses power: of what was not synced, `unsynced` says what remains. Open files are dead, locks are free.
    public func crash(_ unsynced: UnsyncedWrites = .mixed, choosing random: inout SeededRandom) {
        state.withLock { $0.crash(unsynced, &random) }
    }

    /// Another disk with the same content, durable and not, and no open files: for crashing in many ways from one moment.
    public func copy() -> FaultyDisk {
        FaultyDisk(
            state.withLock { state in
                var copy = state
                copy.faults = []
                copy.locks = FaultyLocks()
                copy.openHandles = [:]
                return copy
            })
    }

    /// Adds a failure to come. Each call is held against all faults; the first that strikes is thrown.
    public func inject(_ fault: DiskFault) { state.withLock { $0.faults.append(fault) } }

    public func clearFaults() { state.withLock { $0.faults = [] } }

    /// How many calls failed by injection so far. A loop over `ordinal` ends when a run leaves this at 0.
    public var injectedFailures: Int { state.withLock { $0.failures } }

    /// How many reads that could fail came so far.
    public var readCount: Int { state.withLock { $0.reads } }

    /// Runs what belongs to the process whose disk this is; clients and checkers look at the same files without disturbing.
    public func failingReads<Answer: ~Copyable, Failure: Error>(_ body: () throws(Failure) -> Answer) throws(Failure) -> Answer {
        let before = state.withLock { state in
            let before = state.sparesReads
            state.sparesReads = false
            return before
        }
        defer { state.withLock { $0.sparesReads = before } }
        return try body()
    }

    /// How many calls came so far.
    public var operationCount: Int { state.withLock { $0.trace.count } }

    /// The last calls (20,000 at most), oldest first.
    public var trace: [DiskTraceEntry] { state.withLock { $0.trace.entries } }

    /// A file's content as readers see it, nil when there is none. Neither counted nor failed.
    public func contents(_ path: String) -> [UInt8]? {
        state.withLock { state in state.find(path).flatMap { state.files[$0]?.live.bytes } }
    }

    /// A file's length, nil when there is none. Neither counted nor failed.
    public func size(_ path: String) -> Int? {
        state.withLock { state in state.find(path).flatMap { state.files[$0]?.live.size } }
    }

    /// Puts bytes in place of a file's content, durable at once: corruption, or a file somebody else left. Creates the file
    /// when it is missing; its directory must exist.
    public func setContents(_ path: String, _ bytes: [UInt8]) {
        state.withLock { state in
            let inode = try? state.openInode(path, .readWriteCreating(permissions: 0)).inode
            guard let inode, let parent = try? state.parent(of: path, "open") else {
                preconditionFailure("\(path) has no directory, or is one")
            }
            state.files[inode]!.replace(bytes)
            state.directories.sync(parent.directory)
        }
    }
}
