import Bytes

/// `mvccpb.KeyValue`: a key as it is stored and answered.
public struct KeyValue: Message {
    public var key: [UInt8]
    /// Of the last creation.
    public var createRevision: Int64
    /// Of the last change.
    public var modRevision: Int64
    /// Changes since the creation; 1 for a key just created, 0 for a deleted one.
    public var version: Int64
    public var value: [UInt8]
    /// 0 for none.
    public var lease: Int64

    public init(
        key: [UInt8] = [], createRevision: Int64 = 0, modRevision: Int64 = 0, version: Int64 = 0, value: [UInt8] = [],
        lease: Int64 = 0
    ) {
        self.key = key
        self.createRevision = createRevision
        self.modRevision = modRevision
        self.version = version
        self.value = value
        self.lease = lease
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: key = try reader.bytes(tag)
            case 2: createRevision = try reader.int64(tag)
            case 3: modRevision = try reader.int64(tag)
            case 4: version = try reader.int64(tag)
            case 5: value = try reader.bytes(tag)
            case 6: lease = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, key)
        writer.field(2, createRevision)
        writer.field(3, modRevision)
        writer.field(4, version)
        writer.field(5, value)
        writer.field(6, lease)
    }
}

/// `mvccpb.Event`: a change of a key.
public struct Event: Message {
    /// Names and numbers of the protocol.
    public enum EventType: OpenEnum {
        case put
        case delete
        case unrecognized(Int32)

        public init(rawValue: Int32) {
            switch rawValue {
            case 0: self = .put
            case 1: self = .delete
            default: self = .unrecognized(rawValue)
            }
        }

        public var rawValue: Int32 {
            switch self {
            case .put: 0
            case .delete: 1
            case .unrecognized(let value): value
            }
        }
    }

    public var type: EventType
    /// What the key holds now; of a deleted one only key and revision.
    public var kv: KeyValue?
    /// What it held before, where that was asked for and is not compacted.
    public var prevKv: KeyValue?

    public init(type: EventType = .put, kv: KeyValue? = nil, prevKv: KeyValue? = nil) {
        self.type = type
        self.kv = kv
        self.prevKv = prevKv
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: type = EventType(rawValue: try reader.int32(tag))
            case 2: kv = try reader.message(tag, KeyValue.self)
            case 3: prevKv = try reader.message(tag, KeyValue.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, type.rawValue)
        if let value = kv { writer.message(2) { value.encode(into: &$0) } }
        if let value = prevKv { writer.message(3) { value.encode(into: &$0) } }
    }
}
