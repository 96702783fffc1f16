import Bytes
import Raft

/// raftpb.Entry: Type 1, Term 2, Index 3, Data 4.
extension Entry: WireRecord {
    @inlinable
    public func encode(to writer: inout ByteWriter) {
        writer.required(1, UInt64(kind.rawValue))
        writer.required(2, term)
        writer.required(3, index)
        writer.field(4, data)
    }

    /// Bytes that ``encode(to:)`` appends.
    @inlinable
    public var encodedLength: Int {
        let size = data.count
        let dataLength = size == 0 ? 0 : 1 + varintLength(UInt64(size)) + size
        return 4 + varintLength(term) + varintLength(index) + dataLength
    }

    @inlinable
    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init(term: 0, index: 0)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1:
                let number = try reader.int32(tag)
                guard let known = EntryKind(rawValue: number) else { throw .invalid("entry kind \(number)") }
                kind = known
            case 2: term = try reader.uint64(tag)
            case 3: index = try reader.uint64(tag)
            case 4: data = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
    }
}

/// raftpb.HardState: term 1, vote 2, commit 3.
extension HardState: WireRecord {
    public func encode(to writer: inout ByteWriter) {
        writer.required(1, term)
        writer.required(2, vote)
        writer.required(3, commit)
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: term = try reader.uint64(tag)
            case 2: vote = try reader.uint64(tag)
            case 3: commit = try reader.uint64(tag)
            default: try reader.skip(tag)
            }
        }
    }
}

/// raftpb.ConfState: voters 1, learners 2, voters_outgoing 3, learners_next 4 (one field an id), auto_leave 5.
extension ConfState: WireRecord {
    public func encode(to writer: inout ByteWriter) {
        for member in voters { writer.required(1, member) }
        for member in learners { writer.required(2, member) }
        for member in votersOutgoing { writer.required(3, member) }
        for member in learnersNext { writer.required(4, member) }
        writer.required(5, autoLeave)
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: try reader.appendNumbers(tag, to: &voters)
            case 2: try reader.appendNumbers(tag, to: &learners)
            case 3: try reader.appendNumbers(tag, to: &votersOutgoing)
            case 4: try reader.appendNumbers(tag, to: &learnersNext)
            case 5: autoLeave = try reader.bool(tag)
            default: try reader.skip(tag)
            }
        }
    }
}

extension ByteReader {
    /// A repeated number: one a field, or packed into one field, which decoders must take too (protobuf encoding guide).
    fileprivate mutating func appendNumbers(_ tag: FieldTag, to numbers: inout [UInt64]) throws(DecodeError) {
        guard tag.wire == .lengthDelimited else {
            numbers.append(try uint64(tag))
            return
        }
        var packed = ByteReader(try borrowedBytes(tag))
        while !packed.isAtEnd { numbers.append(try packed.varint()) }
    }
}

/// raftpb.Snapshot: data 1, metadata 2 { conf_state 1, index 2, term 3 }.
extension Snapshot: WireRecord {
    public func encode(to writer: inout ByteWriter) {
        writer.field(1, data)
        writer.message(2) { metadata in
            confState.encode(as: 1, to: &metadata)
            metadata.required(2, index)
            metadata.required(3, term)
        }
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: data = try reader.bytes(tag)
            case 2: try decodeMetadata(try reader.borrowedBytes(tag))
            default: try reader.skip(tag)
            }
        }
    }

    private mutating func decodeMetadata(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(bytes)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: confState = try ConfState(&reader, tag)
            case 2: index = try reader.uint64(tag)
            case 3: term = try reader.uint64(tag)
            default: try reader.skip(tag)
            }
        }
    }
}
