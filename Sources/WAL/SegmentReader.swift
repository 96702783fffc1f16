import Bytes
import Host
import Records

/// Reads one segment's records in order through a buffer of bounded size.
struct SegmentReader: ~Copyable {
    /// Disk sectors are written whole or not at all; etcd's rule for torn writes rests on it.
    static let sectorSize = 512
    private static let chunkSize = 1 << 20

    /// What the next bytes of a segment are.
    enum Step {
        /// A record whose shape is right; its checksum is the caller's to compare. The data is borrowed until the next step.
        case record(LogRecord)
        /// Nothing more: the end of the file or space set aside and never written.
        case end
        /// The writer was killed inside this record, if it was the last one.
        case torn(reason: String)
    }

    let path: String
    let size: Int
    private let file: any DiskFile
    /// Where the next record starts: the end of the last good one.
    private(set) var offset = 0
    /// Bytes of the record last handed out, with its frame.
    private var frameLength = 0
    private var buffer: UnsafeMutableRawBufferPointer
    /// The part of the file that `buffer` holds.
    private var buffered = 0..<0

    init(file: any DiskFile, path: String) throws(WALError) {
        self.file = file
        self.path = path
        size = try onDisk(path) { () throws(DiskError) in try file.size() }
        buffer = .allocate(byteCount: min(SegmentReader.chunkSize, max(size, 16)), alignment: 16)
    }

    deinit { buffer.deallocate() }

    func corrupt(_ reason: String) -> WALError { .corrupt(file: path, offset: offset, reason: reason) }

    /// Accepts the record that ``next()`` gave last.
    mutating func advance() {
        offset += frameLength
        frameLength = 0
    }

    mutating func next() throws(WALError) -> Step {
        guard offset < size else { return .end }
        guard size - offset >= 8 else { return .torn(reason: "file ends inside a length") }
        let lengthField = try load(offset..<offset + 8).loadUnaligned(as: UInt64.self).littleEndian
        if lengthField == 0 { return try endOfRecords() }
        let length = Int(lengthField & 0xff_ffff_ffff_ffff)
        let padding = -length & 7
        guard lengthField >> 56 == (padding == 0 ? 0 : UInt64(0x80 | padding)) else {
            if lengthField >> 56 == 0, try isUnwritten(from: offset + 8) { return .torn(reason: "cut off inside a length") }
            throw corrupt("impossible length field \(String(lengthField, radix: 16))")
        }
        guard length + padding <= size - offset - 8 else {
            // It goes on past the end of the file: cut off there, or its length is wrong.
            return try refuse(UnsafeRawBufferPointer(rebasing: try load(offset..<size)[8...]), frameLength: length)
        }
        frameLength = 8 + length + padding
        let frame = try load(offset..<offset + frameLength)
        guard UnsafeRawBufferPointer(rebasing: frame[(8 + length)...]).allSatisfy({ $0 == 0 }) else {
            throw corrupt("padding that is not zero")
        }
        return try decode(UnsafeRawBufferPointer(rebasing: frame[8..<8 + length]))
    }

    private func decode(_ bytes: UnsafeRawBufferPointer) throws(WALError) -> Step {
        do {
            let record = try LogRecord(decoding: bytes)
            if record.length == bytes.count { return .record(record) }
        } catch {
            // The length that the record gives itself tells below what is wrong.
        }
        return try refuse(bytes, frameLength: bytes.count)
    }

    /// A frame that does not hold its record: torn or corrupt.
    ///
    /// When the record's own head can be read and wants another length, one of the two lengths is corrupt, unless the head
    /// goes over into a sector that was not written.
    private func refuse(_ bytes: UnsafeRawBufferPointer, frameLength: Int) throws(WALError) -> Step {
        let reason = "record of \(frameLength) bytes where the file has \(size - offset - 8) more"
        let extent: (record: Int, head: Int)
        do {
            extent = try LogRecord.extent(startingWith: bytes)
        } catch .truncated where bytes.count < frameLength {
            return .torn(reason: reason)
        } catch {
            return try tornOrCorrupt(bytes, "\(error)")
        }
        if extent.record == frameLength { return .torn(reason: reason) }
        // Cut off inside the head's own length, which then reads as another one: nothing follows it.
        if bytes[extent.head...].allSatisfy({ $0 == 0 }) { return try tornOrCorrupt(bytes, "head cut off") }
        let head = UnsafeRawBufferPointer(rebasing: bytes[..<extent.head])
        return try tornOrCorrupt(head, "record of \(extent.record) bytes in a frame of \(frameLength)")
    }

    /// A record whose checksum is wrong: torn or corrupt.
    func refuse(_ record: LogRecord) throws(WALError) -> Step {
        let start = offset - buffered.lowerBound + 8
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[start..<start + record.length])
        return try tornOrCorrupt(bytes, "checksum mismatch")
    }

    /// A write was torn when a sector that the record covers holds nothing but zeros, as space set aside does.
    private func tornOrCorrupt(_ record: UnsafeRawBufferPointer, _ reason: String) throws(WALError) -> Step {
        var position = 0
        while position < record.count {
            let sectorRest = SegmentReader.sectorSize - (offset + 8 + position) % SegmentReader.sectorSize
            let part = record[position..<min(position + sectorRest, record.count)]
            if part.allSatisfy({ $0 == 0 }) { return .torn(reason: reason) }
            position += part.count
        }
        throw corrupt(reason)
    }

    /// Nothing but zeros up to the end of the sector: a write that was cut off before here left them.
    private mutating func isUnwritten(from position: Int) throws(WALError) -> Bool {
        guard position < size else { return true }
        let sectorEnd = (position / SegmentReader.sectorSize + 1) * SegmentReader.sectorSize
        return try load(offset..<min(sectorEnd, size))[(position - offset)...].allSatisfy { $0 == 0 }
    }

    /// A length of zero ends the records, unless its own sector goes on: sectors are never written in part.
    private mutating func endOfRecords() throws(WALError) -> Step {
        let sectorEnd = (offset / SegmentReader.sectorSize + 1) * SegmentReader.sectorSize
        let rest = try load(offset..<min(sectorEnd, size))
        guard rest.allSatisfy({ $0 == 0 }) else { throw corrupt("length of zero before more data in the same sector") }
        return .end
    }

    /// A part of the file, borrowed until the next load. The buffer grows to the longest record, which no file exceeds.
    private mutating func load(_ range: Range<Int>) throws(WALError) -> UnsafeRawBufferPointer {
        if range.lowerBound < buffered.lowerBound || range.upperBound > buffered.upperBound {
            try fill(from: range.lowerBound, count: range.count)
        }
        let start = range.lowerBound - buffered.lowerBound
        return UnsafeRawBufferPointer(rebasing: buffer[start..<start + range.count])
    }

    private mutating func fill(from start: Int, count: Int) throws(WALError) {
        if buffer.count < count {
            buffer.deallocate()
            buffer = .allocate(byteCount: count, alignment: 16)
        }
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer[0..<min(buffer.count, size - start)])
        let file = file
        let read = try onDisk(path) { () throws(DiskError) in try file.read(at: start, into: target) }
        guard read == target.count else {
            throw .corrupt(file: path, offset: start + read, reason: "file is shorter than its size of \(size) bytes")
        }
        buffered = start..<start + read
    }
}
