import Bytes

/// `etcdserverpb.HashRequest`.
public struct HashRequest: Message {
    public init() {
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() { try reader.skip(tag) }
    }

    public func encode(into writer: inout ByteWriter) {
    }
}

/// `etcdserverpb.HashKVRequest`: asks for a hash of all keys.
public struct HashKVRequest: Message {
    /// Up to this; 0 for the newest.
    public var revision: Int64

    public init(revision: Int64 = 0) {
        self.revision = revision
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: revision = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, revision)
    }
}

/// `etcdserverpb.HashKVResponse`: a hash of all keys, equal on all members at the same revisions.
public struct HashKVResponse: Message {
    public var header: ResponseHeader?
    public var hash: UInt32
    /// From here on.
    public var compactRevision: Int64
    /// Up to here (from 3.6 on).
    public var hashRevision: Int64

    public init(
        header: ResponseHeader? = nil, hash: UInt32 = 0, compactRevision: Int64 = 0, hashRevision: Int64 = 0
    ) {
        self.header = header
        self.hash = hash
        self.compactRevision = compactRevision
        self.hashRevision = hashRevision
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: hash = try reader.uint32(tag)
            case 3: compactRevision = try reader.int64(tag)
            case 4: hashRevision = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, hash)
        writer.field(3, compactRevision)
        writer.field(4, hashRevision)
    }
}

/// `etcdserverpb.HashResponse`.
public struct HashResponse: Message {
    public var header: ResponseHeader?
    public var hash: UInt32

    public init(header: ResponseHeader? = nil, hash: UInt32 = 0) {
        self.header = header
        self.hash = hash
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: hash = try reader.uint32(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, hash)
    }
}

/// `etcdserverpb.SnapshotRequest`.
public struct SnapshotRequest: Message {
    public init() {
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() { try reader.skip(tag) }
    }

    public func encode(into writer: inout ByteWriter) {
    }
}

/// `etcdserverpb.SnapshotResponse`: a piece of the page file; the last one holds the SHA-256 of all before.
public struct SnapshotResponse: Message {
    public var header: ResponseHeader?
    /// To come after this piece.
    public var remainingBytes: UInt64
    public var blob: [UInt8]
    /// Of the storage (from 3.6 on).
    public var version: String

    public init(header: ResponseHeader? = nil, remainingBytes: UInt64 = 0, blob: [UInt8] = [], version: String = "") {
        self.header = header
        self.remainingBytes = remainingBytes
        self.blob = blob
        self.version = version
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: remainingBytes = try reader.uint64(tag)
            case 3: blob = try reader.bytes(tag)
            case 4: version = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, remainingBytes)
        writer.field(3, blob)
        writer.field(4, version)
    }
}

/// `etcdserverpb.DefragmentRequest`.
public struct DefragmentRequest: Message {
    public init() {
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() { try reader.skip(tag) }
    }

    public func encode(into writer: inout ByteWriter) {
    }
}

/// `etcdserverpb.DefragmentResponse`.
public struct DefragmentResponse: Message {
    public var header: ResponseHeader?

    public init(header: ResponseHeader? = nil) {
        self.header = header
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
    }
}

/// `etcdserverpb.MoveLeaderRequest`: hands leadership to another member.
public struct MoveLeaderRequest: Message {
    public var targetID: UInt64

    public init(targetID: UInt64 = 0) {
        self.targetID = targetID
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: targetID = try reader.uint64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, targetID)
    }
}

/// `etcdserverpb.MoveLeaderResponse`.
public struct MoveLeaderResponse: Message {
    public var header: ResponseHeader?

    public init(header: ResponseHeader? = nil) {
        self.header = header
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
    }
}
