import Bytes

/// A message with a protobuf form. Decoders are total: any bytes give a value or a ``DecodeError``; unknown fields are passed
/// over.
///
/// The proto2 messages of raft and the log follow gogo-protobuf as etcd 3.5 uses it: fields in order of their numbers, scalars
/// written even when zero, empty bytes left out.
public protocol WireRecord {
    /// Appends the message without any length before it.
    func encode(to writer: inout ByteWriter)
    /// Reads fields up to the reader's end.
    init(decoding reader: inout ByteReader) throws(DecodeError)
}

extension WireRecord {
    @inlinable
    public init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(bytes)
        try self.init(decoding: &reader)
    }

    @inlinable
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        self = try bytes.withBytes { (raw) throws(DecodeError) in try Self(decoding: raw) }
    }

    @inlinable
    public func encoded() -> [UInt8] {
        var writer = ByteWriter()
        encode(to: &writer)
        return writer.array()
    }

    /// Appends the message as field `number` of another one.
    @inlinable
    func encode(as number: Int, to writer: inout ByteWriter) {
        writer.message(number) { encode(to: &$0) }
    }

    /// Reads the message out of a length-delimited field.
    @inlinable
    init(_ reader: inout ByteReader, _ tag: FieldTag) throws(DecodeError) {
        try self.init(decoding: try reader.borrowedBytes(tag))
    }
}

extension ByteWriter {
    /// proto2's non-nullable bool.
    @inlinable
    mutating func required(_ number: Int, _ value: Bool) { required(number, value ? UInt64(1) : 0) }
}
