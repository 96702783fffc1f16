import Bytes

/// A protobuf message of etcd's API. Field numbers and types are those of etcd 3.7's `.proto` files, which add to 3.5's and 3.6's
/// and take nothing away but bare v2 requests.
public protocol Message: Equatable, Sendable {
    /// Unknown fields are skipped; of a field given twice the last one counts.
    init(decoding reader: inout ByteReader) throws(DecodeError)
    /// Appends the fields in ascending order, defaults left out, as Go's encoder writes them.
    func encode(into writer: inout ByteWriter)
}

extension Message {
    public init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(bytes)
        try self.init(decoding: &reader)
    }

    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        self = try bytes.withBytes { (raw) throws(DecodeError) in try Self(decoding: raw) }
    }

    public func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 128)
        encode(into: &writer)
        return writer.array()
    }
}

/// An enumeration of the protocol. A number that this release has no name for is kept, as proto3 asks.
public protocol OpenEnum: Hashable, Sendable {
    init(rawValue: Int32)
    var rawValue: Int32 { get }
}

/// A message that may hold messages of its own kind: transactions hold transactions.
protocol NestedMessage: Message {
    /// `depth`: transactions around this one.
    init(decoding reader: inout ByteReader, depth: Int) throws(DecodeError)
}

extension NestedMessage {
    public init(decoding reader: inout ByteReader) throws(DecodeError) { try self.init(decoding: &reader, depth: 0) }
}

/// How deep transactions may be nested. More is refused, so that no request can exhaust the stack: not by being decoded, nor by
/// being checked, applied or freed later. etcd's own bound is `--max-txn-ops`, 128 unless configured, as each level takes one.
public let largestTransactionDepth = 250

extension ByteReader {
    mutating func message<M: Message>(_ tag: FieldTag, _: M.Type) throws(DecodeError) -> M {
        var inner = ByteReader(try borrowedBytes(tag))
        return try M(decoding: &inner)
    }

    mutating func message<M: NestedMessage>(_ tag: FieldTag, _: M.Type, depth: Int) throws(DecodeError) -> M {
        if depth > largestTransactionDepth { throw .invalid("transactions nested deeper than \(largestTransactionDepth)") }
        var inner = ByteReader(try borrowedBytes(tag))
        return try M(decoding: &inner, depth: depth)
    }

    /// A repeated integer, packed or not: decoders have to take both (protobuf encoding guide, "Packed Repeated Fields").
    mutating func repeated(_ tag: FieldTag, _ body: (UInt64) -> Void) throws(DecodeError) {
        guard tag.wire == .lengthDelimited else {
            body(try uint64(tag))
            return
        }
        var inner = ByteReader(try borrowedBytes(tag))
        while !inner.isAtEnd { body(try inner.varint()) }
    }
}

extension ByteWriter {
    mutating func packed(_ number: Int, _ values: [UInt64]) {
        guard !values.isEmpty else { return }
        message(number) { for value in values { $0.varint(value) } }
    }
}
