/// Why bytes could not be decoded. The caller adds what it was reading and where.
public enum DecodeError: Error, Equatable, Sendable {
    case truncated
    case malformedVarint
    case wrongWireType(field: Int)
    case groupsNotSupported
    case invalid(String)
}

/// A cursor over borrowed bytes. Every read is checked against the end; nothing is copied but what is returned.
///
/// The memory must outlive the reader; readers never escape the scope that lends them the bytes.
public struct ByteReader {
    @usableFromInline var position: UnsafeRawPointer
    @usableFromInline let end: UnsafeRawPointer

    @inlinable @inline(__always)
    public init(_ bytes: UnsafeRawBufferPointer) {
        // An empty buffer may have no address; any valid pointer serves for a cursor that never moves.
        let base = bytes.baseAddress ?? ByteReader.emptyBase
        position = base
        end = base + bytes.count
    }

    @usableFromInline static var emptyBase: UnsafeRawPointer { UnsafeRawPointer(bitPattern: 16)! }

    @inlinable @inline(__always) public var remaining: Int { end - position }
    @inlinable @inline(__always) public var isAtEnd: Bool { position == end }
    /// What has not been read yet.
    @inlinable public var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: position, count: remaining) }

    @inlinable @inline(__always)
    public mutating func byte() throws(DecodeError) -> UInt8 {
        guard position < end else { throw .truncated }
        let value = position.load(as: UInt8.self)
        position += 1
        return value
    }

    @inlinable @inline(__always)
    public mutating func littleEndian<T: FixedWidthInteger>(_: T.Type) throws(DecodeError) -> T {
        guard remaining >= MemoryLayout<T>.size else { throw .truncated }
        let value = position.loadUnaligned(as: T.self)
        position += MemoryLayout<T>.size
        return T(littleEndian: value)
    }

    @inlinable @inline(__always)
    public mutating func bigEndian<T: FixedWidthInteger>(_: T.Type) throws(DecodeError) -> T {
        guard remaining >= MemoryLayout<T>.size else { throw .truncated }
        let value = position.loadUnaligned(as: T.self)
        position += MemoryLayout<T>.size
        return T(bigEndian: value)
    }

    /// The next `count` bytes, still borrowed.
    @inlinable @inline(__always)
    public mutating func take(_ count: Int) throws(DecodeError) -> UnsafeRawBufferPointer {
        guard count >= 0, count <= remaining else { throw .truncated }
        let slice = UnsafeRawBufferPointer(start: position, count: count)
        position += count
        return slice
    }

    /// A base-128 varint of at most ten bytes (protobuf encoding, "Base 128 Varints").
    @inlinable @inline(__always)
    public mutating func varint() throws(DecodeError) -> UInt64 {
        guard position < end else { throw .truncated }
        let first = position.load(as: UInt8.self)
        if first < 0x80 {
            position += 1
            return UInt64(first)
        }
        return try longVarint()
    }

    @usableFromInline
    mutating func longVarint() throws(DecodeError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end {
            let byte = position.load(as: UInt8.self)
            position += 1
            if shift == 63, byte > 1 { throw .malformedVarint }
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
            if shift > 63 { throw .malformedVarint }
        }
        throw .truncated
    }
}
