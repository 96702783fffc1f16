import Bytes
import Host
import Raft
import Records

extension WriteAheadLog {
    /// Opens a log for appending after reading it from a snapshot on; ``takeReplay()`` hands out what it held.
    ///
    /// Segments are locked from the one that holds the snapshot's record. A last record that a crash cut off is removed, and
    /// the segment as it was stays behind as `SEGMENT.broken`; whatever else is wrong is an error, and nothing is changed.
    ///
    /// - Parameters:
    ///   - start: the snapshot whose state the caller has, or the empty marker for none. See ``snapshotMarkers(_:_:)``.
    ///   - progress: called about every MiB and at each segment's end.
    public static func open(
        _ disk: any Disk, _ directory: String, from start: SnapshotMarker, options: Options = Options(),
        progress: @escaping (ReplayProgress) -> Void = { _ in }
    ) throws(WALError) -> WriteAheadLog {
        let opened = try openSegments(disk, directory, from: start, writable: true)
        do throws(WALError) {
            return try resume(disk, directory, opened, from: start, options, progress)
        } catch {
            for segment in opened { segment.file.close() }
            throw error
        }
    }

    /// Reads a log that another process may be writing: no locks, no repair, a torn tail is only reported.
    public static func read(
        _ disk: any Disk, _ directory: String, from start: SnapshotMarker,
        progress: @escaping (ReplayProgress) -> Void = { _ in }
    ) throws(WALError) -> Replay {
        let opened = try openSegments(disk, directory, from: start, writable: false)
        defer { for segment in opened { segment.file.close() } }
        return try build(directory, opened, from: start, progress).builder.replay
    }

    /// All snapshots the log knows of, oldest first, that are not ahead of its last commit index: those that may be started
    /// from. A `.snap` file without its record here was saved just before a crash and does not count.
    public static func snapshotMarkers(_ disk: any Disk, _ directory: String) throws(WALError) -> [SnapshotMarker] {
        let names = try consecutive(try SegmentName.list(disk, directory), directory)
        guard !names.isEmpty else { throw .segmentMissing(directory: directory, index: 0) }
        let opened = try open(names[...], disk, directory, writable: false)
        defer { for segment in opened { segment.file.close() } }
        var reader = try LogReader(opened, progress: { _ in })
        var markers: [SnapshotMarker] = []
        var commit: LogIndex = 0
        while let located = try reader.next() {
            switch located.record.kind {
            case .snapshotMarker: markers.append(try located.decode(SnapshotMarker.self))
            case .hardState: commit = try located.decode(HardState.self).commit
            case .checksum, .metadata, .entry: break
            }
        }
        return markers.filter { $0.index <= commit }
    }

    // MARK: Segments

    /// The segments from the one that holds what follows the snapshot, opened.
    private static func openSegments(
        _ disk: any Disk, _ directory: String, from start: SnapshotMarker, writable: Bool
    ) throws(WALError) -> [OpenSegment] {
        let names = try SegmentName.list(disk, directory)
        guard let position = names.lastIndex(where: { $0.firstIndex <= start.index }) else {
            throw .segmentMissing(directory: directory, index: start.index)
        }
        let selected = try consecutive(Array(names[position...]), directory)
        let opened = try open(selected[...], disk, directory, writable: writable)
        guard position > 0, try !holds(start, opened) else { return opened }
        // etcd names a segment after the last entry it read, which after a received snapshot and a restart lies before the
        // snapshot: then the record stands in an earlier segment than the names say.
        for segment in opened { segment.file.close() }
        let all = try consecutive(names, directory)
        return try open(all[...], disk, directory, writable: writable)
    }

    private static func holds(_ marker: SnapshotMarker, _ segments: [OpenSegment]) throws(WALError) -> Bool {
        do throws(WALError) {
            var reader = try LogReader(segments, progress: { _ in })
            while let located = try reader.next() {
                guard located.record.kind == .snapshotMarker else { continue }
                if try located.decode(SnapshotMarker.self).index == marker.index { return true }
            }
            return false
        } catch {
            for segment in segments { segment.file.close() }
            throw error
        }
    }

    private static func consecutive(_ names: [SegmentName], _ directory: String) throws(WALError) -> [SegmentName] {
        for (previous, next) in zip(names, names.dropFirst()) where next.sequence != previous.sequence &+ 1 {
            throw .sequenceGap(file: "\(directory)/\(next)", expected: previous.sequence &+ 1)
        }
        return names
    }

    private static func open(
        _ names: ArraySlice<SegmentName>, _ disk: any Disk, _ directory: String, writable: Bool
    ) throws(WALError) -> [OpenSegment] {
        var opened: [OpenSegment] = []
        do throws(WALError) {
            for name in names {
                let path = "\(directory)/\(name)"
                let file = try onDisk { () throws(DiskError) in try disk.open(path, writable ? .readWrite : .readOnly) }
                opened.append(OpenSegment(name: name, path: path, file: file))
                if writable, try !onDisk(path, { () throws(DiskError) in try file.tryLock(.openFileDescription) }) {
                    throw .locked(file: path)
                }
            }
            return opened
        } catch {
            for segment in opened { segment.file.close() }
            throw error
        }
    }

    // MARK: Reading

    private struct Built {
        var builder: ReplayBuilder
        var checksum: UInt32
        var endOffset: Int
        var lastSegmentSize: Int
    }

    private static func build(
        _ directory: String, _ segments: [OpenSegment], from start: SnapshotMarker,
        _ progress: @escaping (ReplayProgress) -> Void
    ) throws(WALError) -> Built {
        var reader = try LogReader(segments, progress: progress)
        var builder = ReplayBuilder(from: start)
        while let located = try reader.next() { try builder.take(located) }
        let path = segments[segments.count - 1].path
        try builder.finish(file: path, offset: reader.endOffset)
        guard builder.foundStart else {
            throw .snapshotNotFound(directory: directory, index: start.index, term: start.term)
        }
        if case .torn(let reason) = reader.tail {
            builder.markTorn(Replay.TornTail(file: path, offset: reader.endOffset, reason: reason))
        }
        return Built(
            builder: builder, checksum: reader.checksum, endOffset: reader.endOffset,
            lastSegmentSize: reader.lastSegmentSize)
    }

    private static func resume(
        _ disk: any Disk, _ directory: String, _ segments: [OpenSegment], from start: SnapshotMarker, _ options: Options,
        _ progress: @escaping (ReplayProgress) -> Void
    ) throws(WALError) -> WriteAheadLog {
        let built = try build(directory, segments, from: start, progress)
        let replay = built.builder.replay
        let last = segments[segments.count - 1]
        if replay.tornTail != nil { try keepBrokenCopy(disk, directory, of: last, size: built.lastSegmentSize) }
        try clear(last, from: built.endOffset, size: built.lastSegmentSize)
        try removeLeftovers(disk, directory)
        return WriteAheadLog(
            disk: disk, directory: directory, metadata: replay.metadata, options: options, segments: segments,
            tailOffset: built.endOffset, encoder: RecordEncoder(checksum: built.checksum), hardState: replay.hardState,
            lastIndex: built.builder.lastIndex, replay: replay)
    }

    // MARK: Repair

    private static func keepBrokenCopy(
        _ disk: any Disk, _ directory: String, of segment: OpenSegment, size: Int
    ) throws(WALError) {
        try onDisk { () throws(DiskError) in
            let copy = try disk.open(segment.path + ".broken", .readWriteCreating(permissions: filePermissions))
            defer { copy.close() }
            try copy.setSize(0)
            var chunk = [UInt8](repeating: 0, count: 1 << 20)
            var offset = 0
            while offset < size {
                let read = try chunk.withUnsafeMutableBufferPointer { (buffer) throws(DiskError) in
                    try segment.file.read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
                }
                guard read > 0 else { break }
                try chunk.withBytes { (bytes) throws(DiskError) in
                    try copy.write(UnsafeRawBufferPointer(rebasing: bytes[..<read]), at: offset)
                }
                offset += read
            }
            try copy.syncData()
            try disk.syncDirectory(directory)
        }
    }

    /// Makes everything behind the last good record zero again. Remains of a torn write may lie there behind a length of zero;
    /// records written over a part of them would look corrupt.
    private static func clear(_ segment: OpenSegment, from offset: Int, size: Int) throws(WALError) {
        guard offset < size else { return }
        try onDisk(segment.path) { () throws(DiskError) in
            try segment.file.setSize(offset)
            try segment.file.preallocate(size)
            try segment.file.syncData()
        }
    }

    /// Segments that were prepared and never used.
    private static func removeLeftovers(_ disk: any Disk, _ directory: String) throws(WALError) {
        try onDisk { () throws(DiskError) in
            for name in try disk.list(directory) where name.hasSuffix(".tmp") { try disk.remove("\(directory)/\(name)") }
        }
    }
}
