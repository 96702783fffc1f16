import Host
import Raft
import Records

/// Why the write-ahead log cannot be created, opened or written.
public enum WALError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The disk refused. After a failed write or sync the log stays failed: what is on disk is unknown.
    case disk(DiskError)
    /// Bytes that no writer of this format leaves behind, even when it is killed.
    case corrupt(file: String, offset: Int, reason: String)
    /// A log exists already where one was to be created.
    case exists(directory: String)
    /// No segment holds what follows the index.
    case segmentMissing(directory: String, index: LogIndex)
    /// Segments must follow each other without a gap.
    case sequenceGap(file: String, expected: UInt64)
    /// Another process writes this log.
    case locked(file: String)
    /// The snapshot to start from was never recorded.
    case snapshotNotFound(directory: String, index: LogIndex, term: Term)

    public var description: String {
        switch self {
        case .disk(let error): "write-ahead log: \(error)"
        case .corrupt(let file, let offset, let reason): "write-ahead log \(file) at offset \(offset): \(reason)"
        case .exists(let directory): "write-ahead log \(directory) exists already"
        case .segmentMissing(let directory, let index):
            "write-ahead log \(directory): no segment starts at or before index \(index)"
        case .sequenceGap(let file, let expected):
            "write-ahead log \(file): segment \(expected) is missing before it"
        case .locked(let file): "write-ahead log \(file) is locked by another process"
        case .snapshotNotFound(let directory, let index, let term):
            "write-ahead log \(directory): no record of the snapshot at index \(index), term \(term)"
        }
    }
}

/// Runs a disk operation and names the file as the log knows it: a segment keeps the handle it had before it was renamed.
func onDisk<R>(_ path: String? = nil, _ body: () throws(DiskError) -> R) throws(WALError) -> R {
    do {
        return try body()
    } catch {
        let path = path ?? error.path
        throw .disk(
            DiskError(operation: error.operation, path: path, offset: error.offset, code: error.code, reason: error.reason))
    }
}
