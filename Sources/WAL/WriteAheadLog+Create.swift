import Bytes
import Host
import Raft
import Records

extension WriteAheadLog {
    static let directoryPermissions: UInt32 = 0o700
    static let filePermissions: UInt32 = 0o600

    /// Whether a directory holds a log.
    public static func exists(_ disk: any Disk, _ directory: String) throws(WALError) -> Bool {
        try !SegmentName.list(disk, directory).isEmpty
    }

    /// Creates a log that is open for appending. It appears at once or not at all: it is made in `DIRECTORY.tmp`, synced, and
    /// renamed. The parent directory must exist.
    ///
    /// - Parameter metadata: an encoded `LogMetadata`, repeated in every segment.
    public static func create(
        _ disk: any Disk, _ directory: String, metadata: [UInt8], options: Options = Options()
    ) throws(WALError) -> WriteAheadLog {
        guard try !exists(disk, directory) else { throw .exists(directory: directory) }
        let temporary = directory + ".tmp"
        let name = SegmentName(sequence: 0, firstIndex: 0)
        try onDisk { () throws(DiskError) in
            try disk.removeTree(temporary)
            try disk.createDirectory(temporary, permissions: directoryPermissions)
        }
        do throws(WALError) {
            let file = try onDisk { () throws(DiskError) in
                try disk.open(temporary + "/" + name.description, .createNew(permissions: filePermissions))
            }
            let segment = OpenSegment(name: name, path: directory + "/" + name.description, file: file)
            var log = WriteAheadLog(
                disk: disk, directory: directory, metadata: metadata, options: options, segments: [segment], tailOffset: 0,
                encoder: RecordEncoder(checksum: 0))
            try log.writeFirstSegment()
            try log.moveIntoPlace(from: temporary)
            return log
        } catch {
            // The first error is what counts; what cannot be removed now is removed by the next attempt.
            try? disk.removeTree(temporary)
            throw error
        }
    }

    private mutating func writeFirstSegment() throws(WALError) {
        let size = options.segmentSize
        let path = segments[0].path
        try onTail { (file) throws(DiskError) in try file.preallocate(size) }
        let isLocked = try onDisk(path) { [file = segments[0].file] () throws(DiskError) in
            try file.tryLock(.openFileDescription)
        }
        guard isLocked else { throw .locked(file: path) }
        encoder.appendChecksum(to: &buffer)
        encoder.append(.metadata, metadata, to: &buffer)
        encoder.append(.snapshotMarker, SnapshotMarker(), to: &buffer)
        try syncTail()
    }

    /// The locks stay held through the rename. If the rename cannot be made durable, the log goes away again.
    private func moveIntoPlace(from temporary: String) throws(WALError) {
        let disk = disk
        let directory = directory
        let parent = parentDirectory(of: directory)
        try onDisk { () throws(DiskError) in
            try disk.syncDirectory(temporary)
            // An empty directory may be in the way, made by the shell or by an operator.
            try disk.removeTree(directory)
            try disk.rename(temporary, to: directory)
        }
        do throws(WALError) {
            try onDisk { () throws(DiskError) in try disk.syncDirectory(parent) }
        } catch {
            try? disk.removeTree(directory)
            throw error
        }
    }
}

/// The directory that holds `path`.
func parentDirectory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}
