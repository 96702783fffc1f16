import Bytes

/// A stored `mvccpb.KeyValue` read in place: fields borrow from the encoded bytes.
///
/// Stored values are already in the form that range replies and watch events carry, so most reads never look inside.
public struct StoredKeyValue {
    /// The whole encoded message.
    public let encoded: UnsafeRawBufferPointer
    public private(set) var key = UnsafeRawBufferPointer(start: nil, count: 0)
    public private(set) var createRevision: Int64 = 0
    public private(set) var modRevision: Int64 = 0
    public private(set) var version: Int64 = 0
    public private(set) var value = UnsafeRawBufferPointer(start: nil, count: 0)
    public private(set) var lease: Int64 = 0

    public init(_ encoded: UnsafeRawBufferPointer) throws(DecodeError) {
        self.encoded = encoded
        var reader = ByteReader(encoded)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: key = try reader.borrowedBytes(tag)
            case 2: createRevision = try reader.int64(tag)
            case 3: modRevision = try reader.int64(tag)
            case 4: version = try reader.int64(tag)
            case 5: value = try reader.borrowedBytes(tag)
            case 6: lease = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    /// Only the key, which comes first: enough to find whose revision this is.
    public static func key(of encoded: UnsafeRawBufferPointer) throws(DecodeError) -> UnsafeRawBufferPointer {
        var reader = ByteReader(encoded)
        if let tag = try reader.nextTag(), tag.field == 1 { return try reader.borrowedBytes(tag) }
        return try StoredKeyValue(encoded).key
    }

    /// Writes the message without its value, as `keys_only` asks.
    public func encodeWithoutValue(into writer: inout ByteWriter) {
        writer.field(1, key)
        writer.field(2, createRevision)
        writer.field(3, modRevision)
        writer.field(4, version)
        writer.field(6, lease)
    }
}

/// The fields of a key-value about to be stored.
struct NewKeyValue {
    let key: UnsafeRawBufferPointer
    let createRevision: Int64
    let modRevision: Int64
    let version: Int64
    let value: UnsafeRawBufferPointer
    let lease: Int64

    var encodedLength: Int {
        bytesLength(key) + integerLength(createRevision) + integerLength(modRevision) + integerLength(version)
            + bytesLength(value) + integerLength(lease)
    }

    private func integerLength(_ value: Int64) -> Int { value == 0 ? 0 : 1 + varintLength(UInt64(bitPattern: value)) }
    private func bytesLength(_ bytes: UnsafeRawBufferPointer) -> Int {
        bytes.count == 0 ? 0 : 1 + varintLength(UInt64(bytes.count)) + bytes.count
    }

    /// Fills `room`, which has exactly ``encodedLength`` bytes.
    func encode(into room: UnsafeMutableRawBufferPointer) {
        var cursor = Cursor(room)
        cursor.bytes(1, key)
        cursor.integer(2, createRevision)
        cursor.integer(3, modRevision)
        cursor.integer(4, version)
        cursor.bytes(5, value)
        cursor.integer(6, lease)
        precondition(cursor.offset == room.count, "a stored value fills the room that was measured for it")
    }

    private struct Cursor {
        let room: UnsafeMutableRawBufferPointer
        var offset = 0

        init(_ room: UnsafeMutableRawBufferPointer) { self.room = room }

        mutating func varint(_ value: UInt64) {
            var value = value
            while value >= 0x80 {
                room[offset] = UInt8(truncatingIfNeeded: value) | 0x80
                offset += 1
                value >>= 7
            }
            room[offset] = UInt8(truncatingIfNeeded: value)
            offset += 1
        }

        mutating func integer(_ field: UInt64, _ value: Int64) {
            if value == 0 { return }
            varint(field << 3)
            varint(UInt64(bitPattern: value))
        }

        mutating func bytes(_ field: UInt64, _ bytes: UnsafeRawBufferPointer) {
            if bytes.count == 0 { return }
            varint(field << 3 | 2)
            varint(UInt64(bytes.count))
            UnsafeMutableRawBufferPointer(rebasing: room[offset...]).copyMemory(from: bytes)
            offset += bytes.count
        }
    }
}
