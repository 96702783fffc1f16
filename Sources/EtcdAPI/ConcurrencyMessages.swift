import Bytes

/// `v3electionpb.CampaignRequest`: waits to become leader of an election.
public struct CampaignRequest: Message {
    public var name: [UInt8]
    public var lease: Int64
    /// What the leader proclaims.
    public var value: [UInt8]

    public init(name: [UInt8] = [], lease: Int64 = 0, value: [UInt8] = []) {
        self.name = name
        self.lease = lease
        self.value = value
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.bytes(tag)
            case 2: lease = try reader.int64(tag)
            case 3: value = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
        writer.field(2, lease)
        writer.field(3, value)
    }
}

/// `v3electionpb.CampaignResponse`.
public struct CampaignResponse: Message {
    public var header: ResponseHeader?
    public var leader: LeaderKey?

    public init(header: ResponseHeader? = nil, leader: LeaderKey? = nil) {
        self.header = header
        self.leader = leader
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: leader = try reader.message(tag, LeaderKey.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        if let value = leader { writer.message(2) { value.encode(into: &$0) } }
    }
}

/// `v3electionpb.LeaderKey`: proof of leadership in an election.
public struct LeaderKey: Message {
    /// Of the election.
    public var name: [UInt8]
    /// What the leader holds; it leads as long as the key exists.
    public var key: [UInt8]
    /// The key's creation revision.
    public var rev: Int64
    /// The lease the key is attached to.
    public var lease: Int64

    public init(name: [UInt8] = [], key: [UInt8] = [], rev: Int64 = 0, lease: Int64 = 0) {
        self.name = name
        self.key = key
        self.rev = rev
        self.lease = lease
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.bytes(tag)
            case 2: key = try reader.bytes(tag)
            case 3: rev = try reader.int64(tag)
            case 4: lease = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
        writer.field(2, key)
        writer.field(3, rev)
        writer.field(4, lease)
    }
}

/// `v3electionpb.LeaderRequest`.
public struct LeaderRequest: Message {
    public var name: [UInt8]

    public init(name: [UInt8] = []) {
        self.name = name
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
    }
}

/// `v3electionpb.LeaderResponse`.
public struct LeaderResponse: Message {
    public var header: ResponseHeader?
    public var kv: KeyValue?

    public init(header: ResponseHeader? = nil, kv: KeyValue? = nil) {
        self.header = header
        self.kv = kv
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: kv = try reader.message(tag, KeyValue.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        if let value = kv { writer.message(2) { value.encode(into: &$0) } }
    }
}

/// `v3electionpb.ResignRequest`.
public struct ResignRequest: Message {
    public var leader: LeaderKey?

    public init(leader: LeaderKey? = nil) {
        self.leader = leader
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: leader = try reader.message(tag, LeaderKey.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = leader { writer.message(1) { value.encode(into: &$0) } }
    }
}

/// `v3electionpb.ResignResponse`.
public struct ResignResponse: Message {
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

/// `v3electionpb.ProclaimRequest`.
public struct ProclaimRequest: Message {
    public var leader: LeaderKey?
    public var value: [UInt8]

    public init(leader: LeaderKey? = nil, value: [UInt8] = []) {
        self.leader = leader
        self.value = value
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: leader = try reader.message(tag, LeaderKey.self)
            case 2: value = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = leader { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, value)
    }
}

/// `v3electionpb.ProclaimResponse`.
public struct ProclaimResponse: Message {
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

/// `v3lockpb.LockRequest`: waits for a lock.
public struct LockRequest: Message {
    public var name: [UInt8]
    /// Whose end frees the lock.
    public var lease: Int64

    public init(name: [UInt8] = [], lease: Int64 = 0) {
        self.name = name
        self.lease = lease
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.bytes(tag)
            case 2: lease = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
        writer.field(2, lease)
    }
}

/// `v3lockpb.LockResponse`: a lock held.
public struct LockResponse: Message {
    public var header: ResponseHeader?
    /// It is held as long as this key exists.
    public var key: [UInt8]

    public init(header: ResponseHeader? = nil, key: [UInt8] = []) {
        self.header = header
        self.key = key
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: key = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, key)
    }
}

/// `v3lockpb.UnlockRequest`: frees a lock.
public struct UnlockRequest: Message {
    /// As the lock's answer gave it.
    public var key: [UInt8]

    public init(key: [UInt8] = []) {
        self.key = key
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: key = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, key)
    }
}

/// `v3lockpb.UnlockResponse`.
public struct UnlockResponse: Message {
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
