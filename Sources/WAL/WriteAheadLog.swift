import Bytes
import Host
import Raft
import Records

/// etcd's write-ahead log: what a member must not forget, in the order it happened.
///
/// Appended records are buffered and written by one call a turn; ``append(_:_:sync:)`` and ``sync()`` make everything before
/// them durable. After the first failed write or sync every call throws that same error: what is on disk is unknown then.
/// One owner uses the log at a time; only a ``SegmentPreparation`` may run elsewhere.
public struct WriteAheadLog: ~Copyable {
    public struct Options: Equatable, Sendable {
        /// Bytes set aside for a segment; it is left for the next one at the end of the append that reaches them.
        public var segmentSize: Int
        /// False skips every fdatasync (`--unsafe-no-fsync`).
        public var syncs: Bool

        public init(segmentSize: Int = 64_000_000, syncs: Bool = true) {
            self.segmentSize = segmentSize
            self.syncs = syncs
        }
    }

    /// What one append did, for metrics.
    public struct Appended: Equatable, Sendable {
        public var bytes = 0
        public var didSync = false
        public var didCut = false
    }

    /// Unsynced records gather up to here before they are written anyway.
    static let bufferLimit = 128 << 10
    static let pageSize = 4_096
    /// Memory the buffer keeps between appends.
    private static let keptBuffer = 1 << 20

    public let directory: String
    /// What the log was created with.
    public let metadata: [UInt8]
    let disk: any Disk
    let options: Options
    /// Segments held open and locked, oldest first; the last one is written to. Empty after ``close()``.
    var segments: [OpenSegment]
    /// Where the buffered records will be written in the last segment.
    var tailOffset: Int
    var encoder: RecordEncoder
    var buffer = ByteWriter(capacity: 64 << 10)
    var hasUnsynced = false
    /// Repeated at the head of each segment.
    var hardState: HardState
    /// The index of the last entry or snapshot written.
    public internal(set) var lastIndex: LogIndex
    var nextSegment: PreparedSegment?
    var isPreparing = false
    var preparations: UInt64 = 0
    var failure: WALError?
    private var replay: Replay?

    init(
        disk: any Disk, directory: String, metadata: [UInt8], options: Options, segments: [OpenSegment], tailOffset: Int,
        encoder: RecordEncoder, hardState: HardState = HardState(), lastIndex: LogIndex = 0, replay: Replay? = nil
    ) {
        self.disk = disk
        self.directory = directory
        self.metadata = metadata
        self.options = options
        self.segments = segments
        self.tailOffset = tailOffset
        self.encoder = encoder
        self.hardState = hardState
        self.lastIndex = lastIndex
        self.replay = replay
    }

    deinit {
        for segment in segments { segment.file.close() }
        nextSegment?.file.close()
    }

    /// What opening found, once.
    public mutating func takeReplay() -> Replay? {
        defer { replay = nil }
        return replay
    }

    /// Appends entries, then the hard state (nothing for nil or an empty one), and makes them durable when `sync` says so.
    ///
    /// Without `sync` they may stay in memory: a crash of the process alone can lose them. Whatever waits for these entries or
    /// this state must not happen before a sync. An append that fills the segment always syncs, then starts the next segment.
    @discardableResult
    public mutating func append(_ state: HardState?, _ entries: [Entry], sync: Bool) throws(WALError) -> Appended {
        try checkUsable()
        let before = buffer.count
        for entry in entries { encoder.append(entry, to: &buffer) }
        if let last = entries.last { lastIndex = last.index }
        if let state, state != HardState() {
            encoder.append(.hardState, state, to: &buffer)
            hardState = state
        }
        return try finishAppend(from: before, sync: sync)
    }

    /// Records that a snapshot was saved, and syncs. The snapshot's file must be durable by then.
    @discardableResult
    public mutating func saveSnapshotMarker(_ marker: SnapshotMarker) throws(WALError) -> Appended {
        precondition(marker.confState != nil || marker.index == 0, "etcd 3.5 needs the conf state in every snapshot record")
        try checkUsable()
        let before = buffer.count
        encoder.append(.snapshotMarker, marker, to: &buffer)
        lastIndex = max(lastIndex, marker.index)
        return try finishAppend(from: before, sync: true)
    }

    /// Makes everything appended so far durable.
    public mutating func sync() throws(WALError) {
        try checkUsable()
        try syncTail()
    }

    /// Syncs, gives the locks back and removes the segment prepared ahead. The log is unusable afterwards.
    public mutating func close() throws(WALError) {
        precondition(!segments.isEmpty, "log closed twice")
        var result = failure
        do throws(WALError) {
            if result == nil { try syncTail() }
        } catch {
            result = error
        }
        for segment in segments { segment.file.close() }
        segments = []
        discardNextSegment()
        if let result { throw result }
    }

    private mutating func finishAppend(from before: Int, sync: Bool) throws(WALError) -> Appended {
        var appended = Appended(bytes: buffer.count - before)
        if tailOffset + buffer.count >= options.segmentSize {
            try cut()
            appended.didSync = true
            appended.didCut = true
        } else if sync {
            appended.didSync = hasUnsynced || buffer.count > 0
            try syncTail()
        } else if buffer.count >= WriteAheadLog.bufferLimit {
            try flush(upToPage: true)
        }
        return appended
    }

    func checkUsable() throws(WALError) {
        precondition(!segments.isEmpty, "log used after it was closed")
        if let failure { throw failure }
    }

    /// Runs a disk operation on the last segment whose failure is final.
    mutating func onTail(_ body: (any DiskFile) throws(DiskError) -> Void) throws(WALError) {
        let tail = segments[segments.count - 1]
        do throws(WALError) {
            try onDisk(tail.path) { () throws(DiskError) in try body(tail.file) }
        } catch {
            failure = error
            throw error
        }
    }

    /// Writes what is buffered, all of it or as far as the last page boundary.
    ///
    /// Writes without a sync between them never share a sector: then what a crash leaves of any sector is all or nothing of one
    /// write, and torn records can be told from corrupt ones.
    mutating func flush(upToPage: Bool = false) throws(WALError) {
        let count = upToPage ? max(0, buffer.count - (tailOffset + buffer.count) % WriteAheadLog.pageSize) : buffer.count
        guard count > 0 else { return }
        hasUnsynced = true
        let tail = segments[segments.count - 1]
        let offset = tailOffset
        do throws(WALError) {
            try buffer.withBytes { (bytes) throws(WALError) in
                try onDisk(tail.path) { () throws(DiskError) in
                    try tail.file.write(UnsafeRawBufferPointer(rebasing: bytes[..<count]), at: offset)
                }
            }
        } catch {
            failure = error
            throw error
        }
        tailOffset += count
        dropFirst(count)
    }

    /// Forgets the first bytes of the buffer, which are written.
    private mutating func dropFirst(_ count: Int) {
        let rest = buffer.count - count
        guard rest > 0 else {
            buffer.removeAll(keepingAtMost: WriteAheadLog.keptBuffer)
            return
        }
        buffer.withMutableBytes { bytes in
            UnsafeMutableRawBufferPointer(rebasing: bytes[..<rest]).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[count...]))
        }
        buffer.truncate(to: rest)
    }

    mutating func syncTail() throws(WALError) {
        try flush()
        guard hasUnsynced else { return }
        if options.syncs { try onTail { (file) throws(DiskError) in try file.syncData() } }
        hasUnsynced = false
    }
}
