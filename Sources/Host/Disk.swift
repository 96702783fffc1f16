/// A disk operation that failed: what was tried, on which file, where, and the operating system's reason.
public struct DiskError: Error, Equatable, Sendable, CustomStringConvertible {
    public let operation: String
    public let path: String
    public let offset: Int?
    /// The `errno` value.
    public let code: Int32
    /// The reason in words.
    public let reason: String

    public init(operation: String, path: String, offset: Int? = nil, code: Int32, reason: String) {
        self.operation = operation
        self.path = path
        self.offset = offset
        self.code = code
        self.reason = reason
    }

    public var description: String {
        let place = offset.map { " at offset \($0)" } ?? ""
        return "\(operation) \(path)\(place): \(reason)"
    }
}

/// How a file is opened. Parent directories must exist.
public enum OpenMode: Sendable {
    case readOnly
    case readWrite
    /// Created with the given permission bits when missing.
    case readWriteCreating(permissions: UInt32)
    /// Fails when the file exists.
    case createNew(permissions: UInt32)
}

/// The kinds of lock etcd takes: `flock` on the page file, open-file-description locks on WAL segments.
public enum FileLock: Sendable {
    case flockShared
    case flockExclusive
    case openFileDescription
}

/// What the logic may ask of a file system. Paths are absolute or relative to the process, as the shell gave them.
///
/// Real: `LinuxHost`. In tests: a disk in memory that loses, tears and fails on demand.
public protocol Disk: AnyObject, Sendable {
    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile
    /// Names in a directory, sorted.
    func list(_ directory: String) throws(DiskError) -> [String]
    func exists(_ path: String) throws(DiskError) -> Bool
    /// Creates the directory and its missing parents with the given permission bits.
    func createDirectory(_ path: String, permissions: UInt32) throws(DiskError)
    /// Atomic within one directory; durable after ``syncDirectory(_:)``.
    func rename(_ path: String, to target: String) throws(DiskError)
    func remove(_ path: String) throws(DiskError)
    /// Removes a directory with all it holds; nothing happens when it is missing.
    func removeTree(_ path: String) throws(DiskError)
    /// Makes creations, renames and removals in a directory durable.
    func syncDirectory(_ path: String) throws(DiskError)
}

/// One open file. Positions are given with every call; there is no cursor.
///
/// Reads may run on any thread at once; writes, syncs and size changes come from one owner at a time.
public protocol DiskFile: AnyObject, Sendable {
    var path: String { get }
    func size() throws(DiskError) -> Int
    /// Bytes read; fewer than asked only at the end of the file.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(DiskError) -> Int
    /// Writes all of `bytes`, or throws.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskError)
    func setSize(_ size: Int) throws(DiskError)
    /// Allocates disk space up to `size` and grows the file to it.
    func preallocate(_ size: Int) throws(DiskError)
    /// `fdatasync`: the content, and what is needed to find it, is durable.
    func syncData() throws(DiskError)
    /// `fsync`.
    func sync() throws(DiskError)
    /// Starts to write a part of the content to the disk, or waits until what was started is there. Says nothing about durability, which
    /// needs a sync; that one then finds little left to do. Nothing where files are in memory.
    func writeBack(_ range: Range<Int>, waits: Bool) throws(DiskError)
    /// Takes the lock without waiting; false when somebody else holds it. Freed on ``close()``.
    func tryLock(_ kind: FileLock) throws(DiskError) -> Bool
    /// Reserves `capacity` bytes of address space over the file, or nil where files cannot be mapped (a disk in memory).
    func map(capacity: Int) throws(DiskError) -> (any FileMapping)?
    /// Closes the file; calling anything afterwards is a bug.
    func close()
}

extension DiskFile {
    public func writeBack(_ range: Range<Int>, waits: Bool) throws(DiskError) {}
}

/// A read-only shared mapping whose address never changes while the file grows inside the reserved range.
///
/// Unmapped when the last reference goes; nothing may still point into it then. Bytes past the end of the file must not be touched.
public protocol FileMapping: AnyObject, Sendable {
    var base: UnsafeRawPointer { get }
    /// Bytes of address space reserved.
    var capacity: Int { get }
    /// The process keeps no memory for the range, which starts at a multiple of 64 KiB; what is read from it is found again.
    func letGo(of range: Range<Int>)
}
