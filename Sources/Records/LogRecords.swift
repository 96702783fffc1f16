import Bytes
import Raft

/// What a record of the write-ahead log holds (etcd's numbers).
public enum LogRecordKind: UInt64, Sendable {
    case metadata = 1
    case entry = 2
    case hardState = 3
    /// The running checksum at the head of a segment.
    case checksum = 4
    case snapshotMarker = 5
}

/// walpb.Record: type 1, crc 2, data 3. The data is borrowed.
///
/// Only the one form that etcd writes is taken (fields in order, shortest varints, nothing unknown), because the checksum
/// covers the data alone and everything else must be checked by its shape.
public struct LogRecord {
    public let kind: LogRecordKind
    public let checksum: UInt32
    public let data: UnsafeRawBufferPointer
    /// Bytes of the whole record.
    public let length: Int

    /// Reads the record that `bytes` starts with and leaves its data's checksum to the caller.
    ///
    /// When `bytes` ends before the data does, only ``extent(startingWith:)`` can tell how long the record wanted to be.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var header = try Header(bytes)
        kind = header.kind
        checksum = header.checksum
        data = try header.rest.take(header.dataLength)
        length = header.length
    }

    /// The length of the record that `bytes` starts with, which may go on past their end, and of what stands before its data.
    public static func extent(startingWith bytes: UnsafeRawBufferPointer) throws(DecodeError) -> (record: Int, head: Int) {
        let header = try Header(bytes)
        return (header.length, header.length - header.dataLength)
    }

    /// Everything but the data.
    private struct Header {
        var kind: LogRecordKind
        var checksum: UInt32
        var dataLength = 0
        var length: Int
        var rest: ByteReader

        init(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) {
            rest = ByteReader(bytes)
            guard try rest.byte() == 0x08 else { throw .invalid("record does not start with its type") }
            let number = try rest.shortestVarint()
            guard let known = LogRecordKind(rawValue: number) else { throw .invalid("record type \(number)") }
            kind = known
            guard try rest.byte() == 0x10 else { throw .invalid("record without a checksum") }
            let checksum = try rest.shortestVarint()
            guard let checksum = UInt32(exactly: checksum) else { throw .invalid("checksum wider than 32 bits") }
            self.checksum = checksum
            length = bytes.count - rest.remaining
            if known == .checksum { return }
            guard try rest.byte() == 0x1a else { throw .invalid("record without data") }
            let size = try rest.shortestVarint()
            guard size < 1 << 56 else { throw .invalid("data of \(size) bytes") }
            dataLength = Int(size)
            length = bytes.count - rest.remaining + dataLength
        }
    }
}

extension ByteReader {
    fileprivate mutating func shortestVarint() throws(DecodeError) -> UInt64 {
        let before = remaining
        let value = try varint()
        guard before - remaining == varintLength(value) else { throw .malformedVarint }
        return value
    }
}

/// walpb.Snapshot: index 1, term 2, conf_state 3. It says in the log that a snapshot was saved.
public struct SnapshotMarker: Equatable, Sendable, WireRecord {
    public var index: LogIndex
    public var term: Term
    /// Absent in what etcd before 3.5 wrote, and in the first marker of every log.
    public var confState: ConfState?

    public init(index: LogIndex = 0, term: Term = 0, confState: ConfState? = nil) {
        self.index = index
        self.term = term
        self.confState = confState
    }

    public func encode(to writer: inout ByteWriter) {
        writer.required(1, index)
        writer.required(2, term)
        confState?.encode(as: 3, to: &writer)
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: index = try reader.uint64(tag)
            case 2: term = try reader.uint64(tag)
            case 3: confState = try ConfState(&reader, tag)
            default: try reader.skip(tag)
            }
        }
    }
}

/// etcdserverpb.Metadata: NodeID 1, ClusterID 2. It stands at the head of every segment of a log.
public struct LogMetadata: Equatable, Sendable, WireRecord {
    public var member: MemberID
    public var cluster: UInt64

    public init(member: MemberID, cluster: UInt64) {
        self.member = member
        self.cluster = cluster
    }

    public func encode(to writer: inout ByteWriter) {
        writer.required(1, member)
        writer.required(2, cluster)
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init(member: 0, cluster: 0)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: member = try reader.uint64(tag)
            case 2: cluster = try reader.uint64(tag)
            default: try reader.skip(tag)
            }
        }
    }
}

/// snappb.snapshot: crc 1, data 2. A `.snap` file is one of these; the data is a raftpb.Snapshot.
public struct SnapshotEnvelope: Equatable, Sendable, WireRecord {
    /// CRC-32C of the data.
    public var checksum: UInt32
    public var data: [UInt8]

    public init(checksum: UInt32, data: [UInt8]) {
        self.checksum = checksum
        self.data = data
    }

    public func encode(to writer: inout ByteWriter) {
        writer.required(1, UInt64(checksum))
        writer.field(2, data)
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init(checksum: 0, data: [])
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1:
                guard let value = UInt32(exactly: try reader.uint64(tag)) else { throw .invalid("checksum wider than 32 bits") }
                checksum = value
            case 2: data = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
    }
}
