import Bytes
import Host
import Raft
import Records

/// A segment set aside ahead of its use: allocated, locked, without its name yet.
public struct PreparedSegment: Sendable {
    let path: String
    let file: any DiskFile
}

/// The work of setting the next segment aside. It touches no state of the log and may run on any thread.
public struct SegmentPreparation: Sendable {
    let disk: any Disk
    let path: String
    let size: Int

    /// Allocates and locks the file. An error leaves nothing behind and does not fail the log, which tries again when it needs
    /// the segment.
    public func run() throws(WALError) -> PreparedSegment {
        let file = try onDisk { () throws(DiskError) in
            if try disk.exists(path) { try disk.remove(path) }
            return try disk.open(path, .createNew(permissions: WriteAheadLog.filePermissions))
        }
        do throws(WALError) {
            let isLocked = try onDisk(path) { () throws(DiskError) in
                try file.preallocate(size)
                return try file.tryLock(.openFileDescription)
            }
            guard isLocked else { throw WALError.locked(file: path) }
            return PreparedSegment(path: path, file: file)
        } catch {
            file.close()
            try? disk.remove(path)
            throw error
        }
    }
}

extension WriteAheadLog {
    /// The segment is half full, and nobody has begun to prepare the next one.
    public var needsNextSegment: Bool {
        nextSegment == nil && !isPreparing && (tailOffset + buffer.count) * 2 >= options.segmentSize
    }

    /// The work of preparing the next segment, nil when it is done or under way. The result goes to ``adopt(_:)``, its failure
    /// to ``preparationFailed()``.
    public mutating func segmentPreparation() -> SegmentPreparation? {
        guard nextSegment == nil, !isPreparing, !segments.isEmpty else { return nil }
        isPreparing = true
        return makePreparation()
    }

    /// Takes a prepared segment for the next cut.
    public mutating func adopt(_ prepared: PreparedSegment) {
        isPreparing = false
        nextSegment = prepared
        if segments.isEmpty { discardNextSegment() }
    }

    /// Lets a later turn prepare again.
    public mutating func preparationFailed() { isPreparing = false }

    /// Prepares the next segment here and now.
    public mutating func prepareNextSegment() throws(WALError) {
        guard let preparation = segmentPreparation() else { return }
        do throws(WALError) {
            adopt(try preparation.run())
        } catch {
            preparationFailed()
            throw error
        }
    }

    /// Gives back the locks of segments that a snapshot at `index` makes superfluous: all but the newest one that starts
    /// before the index, and those after it. Others may purge them then.
    public mutating func releaseLocks(to index: LogIndex) throws(WALError) {
        try checkUsable()
        let newer = segments.firstIndex { $0.name.firstIndex >= index } ?? segments.count
        let released = max(newer - 1, 0)
        for segment in segments[..<released] { segment.file.close() }
        segments.removeFirst(released)
    }

    /// Removes the oldest segments until `maximum` are left, stopping at the first one that this or another process holds.
    ///
    /// - Returns: the names removed.
    @discardableResult
    public func purgeSegments(keeping maximum: Int) throws(WALError) -> [String] {
        precondition(maximum > 0, "the last segment is never purged")
        let names = try SegmentName.list(disk, directory)
        var purged: [String] = []
        for name in names.dropLast(maximum) {
            guard !segments.contains(where: { $0.name == name }), try removeUnlessLocked("\(directory)/\(name)") else { break }
            // One at a time: a file system may forget a removal and keep a later one, and the log had a gap.
            try onDisk { () throws(DiskError) in try disk.syncDirectory(directory) }
            purged.append(name.description)
        }
        return purged
    }

    private func removeUnlessLocked(_ path: String) throws(WALError) -> Bool {
        try onDisk(path) { () throws(DiskError) in
            let file = try disk.open(path, .readWrite)
            defer { file.close() }
            guard try file.tryLock(.openFileDescription) else { return false }
            try disk.remove(path)
            return true
        }
    }

    // MARK: Cutting

    /// Ends the segment and starts the next one, which gets its name only once its head is durable.
    mutating func cut() throws(WALError) {
        try flush()
        let end = tailOffset
        try onTail { (file) throws(DiskError) in if try file.size() > end { try file.setSize(end) } }
        hasUnsynced = true
        try syncTail()
        do throws(WALError) {
            let prepared = try takeNextSegment()
            let name = SegmentName(sequence: segments[segments.count - 1].name.sequence + 1, firstIndex: lastIndex + 1)
            let path = "\(directory)/\(name)"
            segments.append(OpenSegment(name: name, path: path, file: prepared.file))
            try writeHead()
            try onDisk { [disk, directory] () throws(DiskError) in
                try disk.rename(prepared.path, to: path)
                try disk.syncDirectory(directory)
            }
        } catch {
            failure = failure ?? error
            throw error
        }
    }

    private mutating func writeHead() throws(WALError) {
        tailOffset = 0
        encoder.appendChecksum(to: &buffer)
        encoder.append(.metadata, metadata, to: &buffer)
        if hardState != HardState() { encoder.append(.hardState, hardState, to: &buffer) }
        try syncTail()
    }

    private mutating func takeNextSegment() throws(WALError) -> PreparedSegment {
        if let prepared = nextSegment {
            nextSegment = nil
            return prepared
        }
        return try makePreparation().run()
    }

    /// Every preparation has a name of its own, so that one under way never meets another.
    private mutating func makePreparation() -> SegmentPreparation {
        let path = "\(directory)/\(preparations).tmp"
        preparations += 1
        return SegmentPreparation(disk: disk, path: path, size: options.segmentSize)
    }

    mutating func discardNextSegment() {
        guard let prepared = nextSegment else { return }
        nextSegment = nil
        prepared.file.close()
        // A leftover is harmless: opening removes it.
        try? disk.remove(prepared.path)
    }
}
