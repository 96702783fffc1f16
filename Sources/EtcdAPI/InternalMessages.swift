import Bytes

/// `etcdserverpb.RequestHeader`: who proposed an entry.
public struct RequestHeader: Message {
    /// The proposer waits for the entry with this id.
    public var id: UInt64
    /// Who asked, where authentication is on.
    public var username: String
    /// What the user's rights were checked against.
    public var authRevision: UInt64

    public init(id: UInt64 = 0, username: String = "", authRevision: UInt64 = 0) {
        self.id = id
        self.username = username
        self.authRevision = authRevision
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.uint64(tag)
            case 2: username = try reader.string(tag)
            case 3: authRevision = try reader.uint64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, id)
        writer.field(2, username)
        writer.field(3, authRevision)
    }
}

/// `etcdserverpb.EmptyResponse`.
public struct EmptyResponse: Message {
    public init() {
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() { try reader.skip(tag) }
    }

    public func encode(into writer: inout ByteWriter) {
    }
}

/// `etcdserverpb.InternalAuthenticateRequest`: an authentication on its way through the log.
public struct InternalAuthenticateRequest: Message {
    public var name: String
    public var password: String
    /// The token to be handed out, made up by the proposer.
    public var simpleToken: String

    public init(name: String = "", password: String = "", simpleToken: String = "") {
        self.name = name
        self.password = password
        self.simpleToken = simpleToken
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.string(tag)
            case 2: password = try reader.string(tag)
            case 3: simpleToken = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
        writer.field(2, password)
        writer.field(3, simpleToken)
    }
}

/// `membershippb.Attributes`: what a member tells of itself.
public struct MemberAttributes: Message {
    public var name: String
    public var clientUrls: [String]

    public init(name: String = "", clientUrls: [String] = []) {
        self.name = name
        self.clientUrls = clientUrls
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.string(tag)
            case 2: clientUrls.append(try reader.string(tag))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
        for value in clientUrls { writer.required(2, value) }
    }
}

/// `membershippb.ClusterVersionSetRequest`: agrees on the version all members understand.
public struct ClusterVersionSetRequest: Message {
    /// Such as 3.6.0.
    public var ver: String

    public init(ver: String = "") {
        self.ver = ver
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: ver = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, ver)
    }
}

/// `membershippb.ClusterMemberAttrSetRequest`: publishes a member's name and client URLs.
public struct ClusterMemberAttrSetRequest: Message {
    public var memberID: UInt64
    public var memberAttributes: MemberAttributes?

    public init(memberID: UInt64 = 0, memberAttributes: MemberAttributes? = nil) {
        self.memberID = memberID
        self.memberAttributes = memberAttributes
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: memberID = try reader.uint64(tag)
            case 2: memberAttributes = try reader.message(tag, MemberAttributes.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, memberID)
        if let value = memberAttributes { writer.message(2) { value.encode(into: &$0) } }
    }
}

/// `membershippb.DowngradeInfoSetRequest`: begins or ends a downgrade.
public struct DowngradeInfoSetRequest: Message {
    public var enabled: Bool
    /// The target; empty where it ends.
    public var ver: String

    public init(enabled: Bool = false, ver: String = "") {
        self.enabled = enabled
        self.ver = ver
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: enabled = try reader.bool(tag)
            case 2: ver = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, enabled)
        writer.field(2, ver)
    }
}
