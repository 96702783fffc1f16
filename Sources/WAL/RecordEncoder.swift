import Bytes
import Glibc
import Raft
import Records

/// Frames records: eight bytes of length, the walpb.Record, zeros up to a multiple of eight.
///
/// The length field's low 56 bits are the record's length; its top byte is 0x80 plus the number of zeros, or zero when there
/// are none. Each record carries the CRC-32C of all data since the log began, its own included.
struct RecordEncoder {
    /// The checksum of all data so far.
    var checksum: UInt32

    /// The head of a segment repeats the checksum, so that the chain goes on across files.
    func appendChecksum(to writer: inout ByteWriter) {
        appendFrame(.checksum, dataLength: 0, to: &writer) { _ in checksum }
    }

    mutating func append(_ kind: LogRecordKind, _ record: some WireRecord, to writer: inout ByteWriter) {
        append(kind, record.encoded(), to: &writer)
    }

    mutating func append(_ kind: LogRecordKind, _ data: [UInt8], to writer: inout ByteWriter) {
        var checksum = checksum
        data.withBytes { bytes in
            appendFrame(kind, dataLength: bytes.count, to: &writer) { target in
                target.copyMemory(from: bytes)
                checksum = CRC32C.update(checksum, bytes)
                return checksum
            }
        }
        self.checksum = checksum
    }

    /// Writes an entry's record in place: the hot path, without a copy but the one into the writer.
    mutating func append(_ entry: borrowing Entry, to writer: inout ByteWriter) {
        var checksum = checksum
        let (term, index, kind) = (entry.term, entry.index, UInt64(entry.kind.rawValue))
        entry.data.withBytes { data in
            let dataField = data.count == 0 ? 0 : 1 + varintLength(UInt64(data.count)) + data.count
            let length = 4 + varintLength(term) + varintLength(index) + dataField
            appendFrame(.entry, dataLength: length, to: &writer) { target in
                var position = target.baseAddress!
                position = field(1, kind, at: position)
                position = field(2, term, at: position)
                position = field(3, index, at: position)
                if let base = data.baseAddress, data.count > 0 {
                    position.storeBytes(of: 0x22, as: UInt8.self)
                    position = varint(UInt64(data.count), at: position + 1)
                    position.copyMemory(from: base, byteCount: data.count)
                }
                checksum = CRC32C.update(checksum, UnsafeRawBufferPointer(target))
                return checksum
            }
        }
        self.checksum = checksum
    }

    /// Appends one frame whose data `fill` writes, answering with the record's checksum.
    ///
    /// The checksum stands before the data as a varint, and its length is known only afterwards: the data is put where it
    /// belongs after the commonest length, five bytes, and moves back in the one case of sixteen that it was shorter.
    @inline(__always)
    private func appendFrame(
        _ kind: LogRecordKind, dataLength: Int, to writer: inout ByteWriter,
        _ fill: (UnsafeMutableRawBufferPointer) -> UInt32
    ) {
        let dataTag = kind == .checksum ? 0 : 1 + varintLength(UInt64(dataLength))
        let headLength = 8 + 2 + 1 + 5 + dataTag
        // The body stays within its buffer: head, data and at most seven zeros are what was asked for.
        writer.appendUninitialized(headLength + dataLength + 7) { buffer in
            let frame = buffer.baseAddress!
            let data = UnsafeMutableRawBufferPointer(start: frame + headLength, count: dataLength)
            let checksum = fill(data)
            var position = field(1, kind.rawValue, at: frame + 8)
            position = field(2, UInt64(checksum), at: position)
            if kind != .checksum {
                position.storeBytes(of: 0x1a, as: UInt8.self)
                position = varint(UInt64(dataLength), at: position + 1)
            }
            if position < frame + headLength { memmove(position, frame + headLength, dataLength) }
            let length = position + dataLength - (frame + 8)
            let padding = -length & 7
            memset(frame + 8 + length, 0, padding)
            let lengthField = UInt64(length) | (padding == 0 ? 0 : UInt64(0x80 | padding) << 56)
            frame.storeBytes(of: lengthField.littleEndian, as: UInt64.self)
            return 8 + length + padding
        }
    }
}

/// Writes a varint field with a one-byte tag; the caller has made room.
@inline(__always)
private func field(_ number: UInt8, _ value: UInt64, at position: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    position.storeBytes(of: number << 3, as: UInt8.self)
    return varint(value, at: position + 1)
}

@inline(__always)
private func varint(_ value: UInt64, at position: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer {
    var position = position
    var value = value
    while value >= 0x80 {
        position.storeBytes(of: UInt8(truncatingIfNeeded: value) | 0x80, as: UInt8.self)
        position += 1
        value >>= 7
    }
    position.storeBytes(of: UInt8(truncatingIfNeeded: value), as: UInt8.self)
    return position + 1
}
