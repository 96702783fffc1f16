import Bytes
import Host
import Records

/// One record and where it stands.
struct LocatedRecord {
    /// Its data is borrowed until the next record is asked for.
    let record: LogRecord
    let path: String
    let offset: Int

    func corrupt(_ reason: String) -> WALError { .corrupt(file: path, offset: offset, reason: reason) }

    /// Decodes the data, naming the place when it is malformed.
    func decode<Value: WireRecord>(_: Value.Type) throws(WALError) -> Value {
        do {
            return try Value(decoding: record.data)
        } catch {
            throw corrupt("\(record.kind): \(error)")
        }
    }
}

/// A segment to be read, opened by whoever owns the log.
struct OpenSegment: Sendable {
    var name: SegmentName
    var path: String
    var file: any DiskFile
}

/// Reads the records of consecutive segments and checks the chain of checksums through all of them.
///
/// Every segment starts with its checksum and metadata records, which were synced before the segment got its name; neither
/// occurs anywhere else.
struct LogReader: ~Copyable {
    /// How the last segment ends.
    enum Tail: Equatable {
        case clean
        case torn(reason: String)
    }

    private let segments: [OpenSegment]
    private var current: SegmentReader
    private var position = 0
    private var recordsInSegment = 0
    private var isFirstSegment: Bool { position == 0 }
    /// The checksum of all data read.
    private(set) var checksum: UInt32 = 0
    /// Set once the last record has been read.
    private(set) var tail: Tail?
    private let progress: (ReplayProgress) -> Void
    private var progressed: ReplayProgress
    private var reportAt = LogReader.reportInterval
    private static let reportInterval = 1 << 20

    /// Where the last good record of the last segment ends.
    var endOffset: Int { current.offset }
    /// The last segment's size when it was opened.
    var lastSegmentSize: Int { current.size }

    /// - Parameter segments: at least one, with consecutive numbers.
    init(_ segments: [OpenSegment], progress: @escaping (ReplayProgress) -> Void) throws(WALError) {
        self.segments = segments
        self.progress = progress
        progressed = ReplayProgress(segments: segments.count)
        current = try SegmentReader(file: segments[0].file, path: segments[0].path)
    }

    mutating func next() throws(WALError) -> LocatedRecord? {
        while tail == nil {
            switch try step() {
            case .record(let record):
                let located = LocatedRecord(record: record, path: current.path, offset: current.offset)
                current.advance()
                recordsInSegment += 1
                report()
                return located
            case .end: try endSegment(.clean)
            case .torn(let reason): try endSegment(.torn(reason: reason))
            }
        }
        return nil
    }

    /// The next record with its checksum and place checked.
    private mutating func step() throws(WALError) -> SegmentReader.Step {
        let step = try current.next()
        guard case .record(let record) = step else { return step }
        guard (record.kind == .checksum) == (recordsInSegment == 0), (record.kind == .metadata) == (recordsInSegment == 1) else {
            throw current.corrupt("record \(record.kind) at place \(recordsInSegment) of its segment")
        }
        if record.kind == .checksum {
            // The first segment may have predecessors that were purged: its checksum is taken, and the next record proves it.
            guard isFirstSegment || record.checksum == checksum else {
                throw current.corrupt("checksum does not continue the segment before")
            }
            checksum = record.checksum
            return step
        }
        let updated = CRC32C.update(checksum, record.data)
        guard updated == record.checksum else { return try current.refuse(record) }
        checksum = updated
        return step
    }

    private mutating func endSegment(_ tail: Tail) throws(WALError) {
        guard recordsInSegment >= 2 else { throw current.corrupt("segment without its head") }
        if position + 1 == segments.count {
            self.tail = tail
        } else {
            if case .torn(let reason) = tail { throw current.corrupt("\(reason), and more segments follow") }
            position += 1
            recordsInSegment = 0
            reportAt = LogReader.reportInterval
            current = try SegmentReader(file: segments[position].file, path: segments[position].path)
        }
        progressed.segment = min(position + 1, segments.count)
        progress(progressed)
    }

    private mutating func report() {
        progressed.segment = position + 1
        progressed.offset = current.offset
        guard current.offset >= reportAt else { return }
        reportAt = current.offset + LogReader.reportInterval
        progress(progressed)
    }
}

/// How far reading has come.
public struct ReplayProgress: Equatable, Sendable {
    /// The segment being read, from 1.
    public var segment = 1
    public let segments: Int
    /// Bytes of it read so far.
    public var offset = 0

    init(segments: Int) { self.segments = segments }
}
