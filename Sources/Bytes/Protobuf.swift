import Glibc

/// Protobuf's wire types (protobuf encoding guide, "Message Structure"). Groups are refused: etcd's messages have none.
public enum WireType: UInt8, Sendable {
    case varint = 0
    case fixed64 = 1
    case lengthDelimited = 2
    case fixed32 = 5
}

/// One field's number and wire type, as read from its tag.
public struct FieldTag: Equatable, Sendable {
    public let field: Int
    public let wire: WireType
    @inlinable init(field: Int, wire: WireType) {
        self.field = field
        self.wire = wire
    }
}

extension ByteReader {
    /// The next field's tag, or nil at the end of the message.
    @inlinable @inline(__always)
    public mutating func nextTag() throws(DecodeError) -> FieldTag? {
        if isAtEnd { return nil }
        let tag = try varint()
        guard let wire = WireType(rawValue: UInt8(truncatingIfNeeded: tag & 7)) else { throw .groupsNotSupported }
        guard tag >> 3 >= 1, tag >> 3 <= 0x1fff_ffff else { throw .invalid("field number \(tag >> 3)") }
        return FieldTag(field: Int(tag >> 3), wire: wire)
    }

    @inlinable @inline(__always)
    public mutating func uint64(_ tag: FieldTag) throws(DecodeError) -> UInt64 {
        guard tag.wire == .varint else { throw .wrongWireType(field: tag.field) }
        return try varint()
    }

    @inlinable @inline(__always)
    public mutating func int64(_ tag: FieldTag) throws(DecodeError) -> Int64 {
        Int64(bitPattern: try uint64(tag))
    }

    @inlinable
    public mutating func int32(_ tag: FieldTag) throws(DecodeError) -> Int32 {
        Int32(truncatingIfNeeded: try uint64(tag))
    }

    @inlinable
    public mutating func uint32(_ tag: FieldTag) throws(DecodeError) -> UInt32 {
        UInt32(truncatingIfNeeded: try uint64(tag))
    }

    @inlinable @inline(__always)
    public mutating func bool(_ tag: FieldTag) throws(DecodeError) -> Bool { try uint64(tag) != 0 }

    /// A length-delimited field's bytes, borrowed.
    @inlinable @inline(__always)
    public mutating func borrowedBytes(_ tag: FieldTag) throws(DecodeError) -> UnsafeRawBufferPointer {
        guard tag.wire == .lengthDelimited else { throw .wrongWireType(field: tag.field) }
        let length = try varint()
        guard length <= UInt64(remaining) else { throw .truncated }
        return try take(Int(length))
    }

    @inlinable
    public mutating func bytes(_ tag: FieldTag) throws(DecodeError) -> [UInt8] {
        [UInt8](try borrowedBytes(tag))
    }

    /// A string field; bytes that are not UTF-8 are refused, as proto3 demands.
    public mutating func string(_ tag: FieldTag) throws(DecodeError) -> String {
        let raw = try borrowedBytes(tag)
        guard let text = String(validating: raw, as: UTF8.self) else {
            throw .invalid("field \(tag.field) is not UTF-8")
        }
        return text
    }

    /// Passes over a field that this message does not know.
    public mutating func skip(_ tag: FieldTag) throws(DecodeError) {
        switch tag.wire {
        case .varint: _ = try varint()
        case .fixed64: _ = try take(8)
        case .fixed32: _ = try take(4)
        case .lengthDelimited: _ = try borrowedBytes(tag)
        }
    }
}

/// Bytes a varint takes (1 to 10).
@inlinable @inline(__always)
public func varintLength(_ value: UInt64) -> Int {
    // ceil(bits / 7) without a loop; zero takes one byte.
    (70 &- (value | 1).leadingZeroBitCount) / 7
}

extension ByteWriter {
    @inlinable @inline(__always)
    public mutating func varint(_ value: UInt64) {
        reserve(10)
        var value = value
        while value >= 0x80 {
            storage.storeBytes(of: UInt8(truncatingIfNeeded: value) | 0x80, toByteOffset: length, as: UInt8.self)
            length += 1
            value >>= 7
        }
        storage.storeBytes(of: UInt8(truncatingIfNeeded: value), toByteOffset: length, as: UInt8.self)
        length += 1
    }

    @inlinable @inline(__always)
    public mutating func tag(_ field: Int, _ wire: WireType) { varint(UInt64(field) << 3 | UInt64(wire.rawValue)) }

    /// proto3: a field that holds its default is not written.
    @inlinable @inline(__always)
    public mutating func field(_ number: Int, _ value: UInt64) {
        if value != 0 { required(number, value) }
    }

    @inlinable @inline(__always)
    public mutating func field(_ number: Int, _ value: Int64) { field(number, UInt64(bitPattern: value)) }

    @inlinable @inline(__always)
    public mutating func field(_ number: Int, _ value: Int32) { field(number, Int64(value)) }

    @inlinable @inline(__always)
    public mutating func field(_ number: Int, _ value: UInt32) { field(number, UInt64(value)) }

    @inlinable @inline(__always)
    public mutating func field(_ number: Int, _ value: Bool) { field(number, value ? UInt64(1) : 0) }

    @inlinable @inline(__always)
    public mutating func field(_ number: Int, _ value: [UInt8]) {
        if !value.isEmpty { required(number, value) }
    }

    @inlinable @inline(__always)
    public mutating func field(_ number: Int, _ value: UnsafeRawBufferPointer) {
        if value.count > 0 { required(number, value) }
    }

    public mutating func field(_ number: Int, _ value: String) {
        if !value.isEmpty { required(number, value) }
    }

    /// Written whatever the value: proto2's non-nullable fields, elements of repeated fields, members of a oneof.
    @inlinable @inline(__always)
    public mutating func required(_ number: Int, _ value: UInt64) {
        tag(number, .varint)
        varint(value)
    }

    @inlinable @inline(__always)
    public mutating func required(_ number: Int, _ value: [UInt8]) {
        value.withUnsafeBytes { required(number, $0) }
    }

    @inlinable @inline(__always)
    public mutating func required(_ number: Int, _ value: UnsafeRawBufferPointer) {
        tag(number, .lengthDelimited)
        varint(UInt64(value.count))
        append(value)
    }

    public mutating func required(_ number: Int, _ value: String) {
        var value = value
        value.withUTF8 { required(number, UnsafeRawBufferPointer($0)) }
    }

    /// An embedded message, written by `body` and always present, even when empty.
    ///
    /// The length is written after the body: one byte is set aside, and the body moves only if it turns out longer than 127 bytes.
    @inlinable @inline(__always)
    public mutating func message<E: Error>(_ number: Int, _ body: (inout ByteWriter) throws(E) -> Void) throws(E) {
        tag(number, .lengthDelimited)
        let start = length
        append(0)
        try body(&self)
        finishLength(at: start)
    }

    @usableFromInline
    mutating func finishLength(at start: Int) {
        let size = length - start - 1
        let extra = varintLength(UInt64(size)) - 1
        if extra > 0 {
            reserve(extra)
            memmove(storage + start + 1 + extra, storage + start + 1, size)
            length += extra
        }
        var value = UInt64(size)
        var at = start
        while value >= 0x80 {
            storage.storeBytes(of: UInt8(truncatingIfNeeded: value) | 0x80, toByteOffset: at, as: UInt8.self)
            at += 1
            value >>= 7
        }
        storage.storeBytes(of: UInt8(truncatingIfNeeded: value), toByteOffset: at, as: UInt8.self)
    }
}
