import Bytes

/// `etcdserverpb.ResponseHeader`: who answered, and the newest revision when it did.
public struct ResponseHeader: Message {
    public var clusterId: UInt64
    public var memberId: UInt64
    /// Of the key-value store; 0 in answers that do not come from it.
    public var revision: Int64
    /// The term the answering member was in.
    public var raftTerm: UInt64

    public init(clusterId: UInt64 = 0, memberId: UInt64 = 0, revision: Int64 = 0, raftTerm: UInt64 = 0) {
        self.clusterId = clusterId
        self.memberId = memberId
        self.revision = revision
        self.raftTerm = raftTerm
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: clusterId = try reader.uint64(tag)
            case 2: memberId = try reader.uint64(tag)
            case 3: revision = try reader.int64(tag)
            case 4: raftTerm = try reader.uint64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, clusterId)
        writer.field(2, memberId)
        writer.field(3, revision)
        writer.field(4, raftTerm)
    }
}

/// `etcdserverpb.RangeRequest`: reads keys.
public struct RangeRequest: Message {
    /// Names and numbers of the protocol.
    public enum SortOrder: OpenEnum {
        case none
        case ascend
        case descend
        case unrecognized(Int32)

        public init(rawValue: Int32) {
            switch rawValue {
            case 0: self = .none
            case 1: self = .ascend
            case 2: self = .descend
            default: self = .unrecognized(rawValue)
            }
        }

        public var rawValue: Int32 {
            switch self {
            case .none: 0
            case .ascend: 1
            case .descend: 2
            case .unrecognized(let value): value
            }
        }
    }

    /// Names and numbers of the protocol.
    public enum SortTarget: OpenEnum {
        case key
        case version
        case create
        case mod
        case value
        case unrecognized(Int32)

        public init(rawValue: Int32) {
            switch rawValue {
            case 0: self = .key
            case 1: self = .version
            case 2: self = .create
            case 3: self = .mod
            case 4: self = .value
            default: self = .unrecognized(rawValue)
            }
        }

        public var rawValue: Int32 {
            switch self {
            case .key: 0
            case .version: 1
            case .create: 2
            case .mod: 3
            case .value: 4
            case .unrecognized(let value): value
            }
        }
    }

    public var key: [UInt8]
    /// Empty for the one key, a single zero byte for all keys from it on, else the first key past the range.
    public var rangeEnd: [UInt8]
    /// Keys at most; 0 for all.
    public var limit: Int64
    /// The moment to read at; 0 or less for the newest.
    public var revision: Int64
    /// None means ascending where the target is not the key.
    public var sortOrder: SortOrder
    public var sortTarget: SortTarget
    /// The answering member's own state will do, however old.
    public var serializable: Bool
    public var keysOnly: Bool
    public var countOnly: Bool
    /// Bounds on revisions are inclusive; 0 for none.
    public var minModRevision: Int64
    public var maxModRevision: Int64
    public var minCreateRevision: Int64
    public var maxCreateRevision: Int64

    public init(
        key: [UInt8] = [], rangeEnd: [UInt8] = [], limit: Int64 = 0, revision: Int64 = 0, sortOrder: SortOrder = .none,
        sortTarget: SortTarget = .key, serializable: Bool = false, keysOnly: Bool = false, countOnly: Bool = false,
        minModRevision: Int64 = 0, maxModRevision: Int64 = 0, minCreateRevision: Int64 = 0, maxCreateRevision: Int64 = 0
    ) {
        self.key = key
        self.rangeEnd = rangeEnd
        self.limit = limit
        self.revision = revision
        self.sortOrder = sortOrder
        self.sortTarget = sortTarget
        self.serializable = serializable
        self.keysOnly = keysOnly
        self.countOnly = countOnly
        self.minModRevision = minModRevision
        self.maxModRevision = maxModRevision
        self.minCreateRevision = minCreateRevision
        self.maxCreateRevision = maxCreateRevision
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: key = try reader.bytes(tag)
            case 2: rangeEnd = try reader.bytes(tag)
            case 3: limit = try reader.int64(tag)
            case 4: revision = try reader.int64(tag)
            case 5: sortOrder = SortOrder(rawValue: try reader.int32(tag))
            case 6: sortTarget = SortTarget(rawValue: try reader.int32(tag))
            case 7: serializable = try reader.bool(tag)
            case 8: keysOnly = try reader.bool(tag)
            case 9: countOnly = try reader.bool(tag)
            case 10: minModRevision = try reader.int64(tag)
            case 11: maxModRevision = try reader.int64(tag)
            case 12: minCreateRevision = try reader.int64(tag)
            case 13: maxCreateRevision = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, key)
        writer.field(2, rangeEnd)
        writer.field(3, limit)
        writer.field(4, revision)
        writer.field(5, sortOrder.rawValue)
        writer.field(6, sortTarget.rawValue)
        writer.field(7, serializable)
        writer.field(8, keysOnly)
        writer.field(9, countOnly)
        writer.field(10, minModRevision)
        writer.field(11, maxModRevision)
        writer.field(12, minCreateRevision)
        writer.field(13, maxCreateRevision)
    }
}

/// `etcdserverpb.RangeResponse`: the keys found.
public struct RangeResponse: Message {
    public var header: ResponseHeader?
    public var kvs: [KeyValue]
    /// There are more keys than the limit let through.
    public var more: Bool
    /// Keys in the range whatever the limit.
    public var count: Int64

    public init(header: ResponseHeader? = nil, kvs: [KeyValue] = [], more: Bool = false, count: Int64 = 0) {
        self.header = header
        self.kvs = kvs
        self.more = more
        self.count = count
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: kvs.append(try reader.message(tag, KeyValue.self))
            case 3: more = try reader.bool(tag)
            case 4: count = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        for value in kvs { writer.message(2) { value.encode(into: &$0) } }
        writer.field(3, more)
        writer.field(4, count)
    }
}

/// `etcdserverpb.PutRequest`: stores one key.
public struct PutRequest: Message {
    public var key: [UInt8]
    public var value: [UInt8]
    /// Id of the lease the key is attached to; 0 for none.
    public var lease: Int64
    /// Answer with what the key held before.
    public var prevKv: Bool
    /// Keep the key's value; it must exist, and none may be given.
    public var ignoreValue: Bool
    /// Keep the key's lease; it must exist, and none may be given.
    public var ignoreLease: Bool

    public init(
        key: [UInt8] = [], value: [UInt8] = [], lease: Int64 = 0, prevKv: Bool = false, ignoreValue: Bool = false,
        ignoreLease: Bool = false
    ) {
        self.key = key
        self.value = value
        self.lease = lease
        self.prevKv = prevKv
        self.ignoreValue = ignoreValue
        self.ignoreLease = ignoreLease
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: key = try reader.bytes(tag)
            case 2: value = try reader.bytes(tag)
            case 3: lease = try reader.int64(tag)
            case 4: prevKv = try reader.bool(tag)
            case 5: ignoreValue = try reader.bool(tag)
            case 6: ignoreLease = try reader.bool(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, key)
        writer.field(2, value)
        writer.field(3, lease)
        writer.field(4, prevKv)
        writer.field(5, ignoreValue)
        writer.field(6, ignoreLease)
    }
}

/// `etcdserverpb.PutResponse`.
public struct PutResponse: Message {
    public var header: ResponseHeader?
    public var prevKv: KeyValue?

    public init(header: ResponseHeader? = nil, prevKv: KeyValue? = nil) {
        self.header = header
        self.prevKv = prevKv
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: prevKv = try reader.message(tag, KeyValue.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        if let value = prevKv { writer.message(2) { value.encode(into: &$0) } }
    }
}

/// `etcdserverpb.DeleteRangeRequest`: deletes keys.
public struct DeleteRangeRequest: Message {
    public var key: [UInt8]
    /// As in ``RangeRequest``.
    public var rangeEnd: [UInt8]
    /// Answer with what the keys held before.
    public var prevKv: Bool

    public init(key: [UInt8] = [], rangeEnd: [UInt8] = [], prevKv: Bool = false) {
        self.key = key
        self.rangeEnd = rangeEnd
        self.prevKv = prevKv
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: key = try reader.bytes(tag)
            case 2: rangeEnd = try reader.bytes(tag)
            case 3: prevKv = try reader.bool(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, key)
        writer.field(2, rangeEnd)
        writer.field(3, prevKv)
    }
}

/// `etcdserverpb.DeleteRangeResponse`.
public struct DeleteRangeResponse: Message {
    public var header: ResponseHeader?
    public var deleted: Int64
    public var prevKvs: [KeyValue]

    public init(header: ResponseHeader? = nil, deleted: Int64 = 0, prevKvs: [KeyValue] = []) {
        self.header = header
        self.deleted = deleted
        self.prevKvs = prevKvs
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: deleted = try reader.int64(tag)
            case 3: prevKvs.append(try reader.message(tag, KeyValue.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, deleted)
        for value in prevKvs { writer.message(3) { value.encode(into: &$0) } }
    }
}

/// `etcdserverpb.CompactionRequest`: forgets history before a revision.
public struct CompactionRequest: Message {
    public var revision: Int64
    /// Answer only when it is gone from the page file.
    public var physical: Bool

    public init(revision: Int64 = 0, physical: Bool = false) {
        self.revision = revision
        self.physical = physical
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: revision = try reader.int64(tag)
            case 2: physical = try reader.bool(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, revision)
        writer.field(2, physical)
    }
}

/// `etcdserverpb.CompactionResponse`.
public struct CompactionResponse: Message {
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

/// `etcdserverpb.RangeStreamResponse`: a part of a range that is answered in parts (from 3.7 on).
public struct RangeStreamResponse: Message {
    /// Header, count and `more` come with the last part.
    public var rangeResponse: RangeResponse?

    public init(rangeResponse: RangeResponse? = nil) {
        self.rangeResponse = rangeResponse
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: rangeResponse = try reader.message(tag, RangeResponse.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = rangeResponse { writer.message(1) { value.encode(into: &$0) } }
    }
}
