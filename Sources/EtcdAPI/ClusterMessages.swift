import Bytes

/// `etcdserverpb.Member`: a member as clients see it.
public struct ClusterMember: Message {
    public var id: UInt64
    /// Empty until it has started for the first time.
    public var name: String
    public var peerURLs: [String]
    public var clientURLs: [String]
    /// It has no vote.
    public var isLearner: Bool

    public init(
        id: UInt64 = 0, name: String = "", peerURLs: [String] = [], clientURLs: [String] = [], isLearner: Bool = false
    ) {
        self.id = id
        self.name = name
        self.peerURLs = peerURLs
        self.clientURLs = clientURLs
        self.isLearner = isLearner
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.uint64(tag)
            case 2: name = try reader.string(tag)
            case 3: peerURLs.append(try reader.string(tag))
            case 4: clientURLs.append(try reader.string(tag))
            case 5: isLearner = try reader.bool(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, id)
        writer.field(2, name)
        for value in peerURLs { writer.required(3, value) }
        for value in clientURLs { writer.required(4, value) }
        writer.field(5, isLearner)
    }
}

/// `etcdserverpb.MemberAddRequest`: adds a member.
public struct MemberAddRequest: Message {
    public var peerURLs: [String]
    public var isLearner: Bool

    public init(peerURLs: [String] = [], isLearner: Bool = false) {
        self.peerURLs = peerURLs
        self.isLearner = isLearner
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: peerURLs.append(try reader.string(tag))
            case 2: isLearner = try reader.bool(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        for value in peerURLs { writer.required(1, value) }
        writer.field(2, isLearner)
    }
}

/// `etcdserverpb.MemberAddResponse`.
public struct MemberAddResponse: Message {
    public var header: ResponseHeader?
    public var member: ClusterMember?
    public var members: [ClusterMember]

    public init(header: ResponseHeader? = nil, member: ClusterMember? = nil, members: [ClusterMember] = []) {
        self.header = header
        self.member = member
        self.members = members
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: member = try reader.message(tag, ClusterMember.self)
            case 3: members.append(try reader.message(tag, ClusterMember.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        if let value = member { writer.message(2) { value.encode(into: &$0) } }
        for value in members { writer.message(3) { value.encode(into: &$0) } }
    }
}

/// `etcdserverpb.MemberRemoveRequest`.
public struct MemberRemoveRequest: Message {
    public var id: UInt64

    public init(id: UInt64 = 0) {
        self.id = id
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.uint64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, id)
    }
}

/// `etcdserverpb.MemberRemoveResponse`.
public struct MemberRemoveResponse: Message {
    public var header: ResponseHeader?
    public var members: [ClusterMember]

    public init(header: ResponseHeader? = nil, members: [ClusterMember] = []) {
        self.header = header
        self.members = members
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: members.append(try reader.message(tag, ClusterMember.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        for value in members { writer.message(2) { value.encode(into: &$0) } }
    }
}

/// `etcdserverpb.MemberUpdateRequest`.
public struct MemberUpdateRequest: Message {
    public var id: UInt64
    public var peerURLs: [String]

    public init(id: UInt64 = 0, peerURLs: [String] = []) {
        self.id = id
        self.peerURLs = peerURLs
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.uint64(tag)
            case 2: peerURLs.append(try reader.string(tag))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, id)
        for value in peerURLs { writer.required(2, value) }
    }
}

/// `etcdserverpb.MemberUpdateResponse`.
public struct MemberUpdateResponse: Message {
    public var header: ResponseHeader?
    public var members: [ClusterMember]

    public init(header: ResponseHeader? = nil, members: [ClusterMember] = []) {
        self.header = header
        self.members = members
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: members.append(try reader.message(tag, ClusterMember.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        for value in members { writer.message(2) { value.encode(into: &$0) } }
    }
}

/// `etcdserverpb.MemberListRequest`: asks who the members are.
public struct MemberListRequest: Message {
    /// The newest there is, not only what the answering member knows.
    public var linearizable: Bool

    public init(linearizable: Bool = false) {
        self.linearizable = linearizable
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: linearizable = try reader.bool(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, linearizable)
    }
}

/// `etcdserverpb.MemberListResponse`.
public struct MemberListResponse: Message {
    public var header: ResponseHeader?
    public var members: [ClusterMember]

    public init(header: ResponseHeader? = nil, members: [ClusterMember] = []) {
        self.header = header
        self.members = members
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: members.append(try reader.message(tag, ClusterMember.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        for value in members { writer.message(2) { value.encode(into: &$0) } }
    }
}

/// `etcdserverpb.MemberPromoteRequest`: gives a learner its vote.
public struct MemberPromoteRequest: Message {
    public var id: UInt64

    public init(id: UInt64 = 0) {
        self.id = id
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.uint64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, id)
    }
}

/// `etcdserverpb.MemberPromoteResponse`.
public struct MemberPromoteResponse: Message {
    public var header: ResponseHeader?
    public var members: [ClusterMember]

    public init(header: ResponseHeader? = nil, members: [ClusterMember] = []) {
        self.header = header
        self.members = members
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: members.append(try reader.message(tag, ClusterMember.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        for value in members { writer.message(2) { value.encode(into: &$0) } }
    }
}
