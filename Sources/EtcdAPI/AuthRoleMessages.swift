import Bytes

/// `etcdserverpb.AuthRoleAddRequest`.
public struct AuthRoleAddRequest: Message {
    public var name: String

    public init(name: String = "") {
        self.name = name
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
    }
}

/// `etcdserverpb.AuthRoleGetRequest`.
public struct AuthRoleGetRequest: Message {
    public var role: String

    public init(role: String = "") {
        self.role = role
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: role = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, role)
    }
}

/// `etcdserverpb.AuthRoleListRequest`.
public struct AuthRoleListRequest: Message {
    public init() {
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() { try reader.skip(tag) }
    }

    public func encode(into writer: inout ByteWriter) {
    }
}

/// `etcdserverpb.AuthRoleDeleteRequest`.
public struct AuthRoleDeleteRequest: Message {
    public var role: String

    public init(role: String = "") {
        self.role = role
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: role = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, role)
    }
}

/// `etcdserverpb.AuthRoleGrantPermissionRequest`.
public struct AuthRoleGrantPermissionRequest: Message {
    public var name: String
    public var perm: Permission?

    public init(name: String = "", perm: Permission? = nil) {
        self.name = name
        self.perm = perm
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.string(tag)
            case 2: perm = try reader.message(tag, Permission.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
        if let value = perm { writer.message(2) { value.encode(into: &$0) } }
    }
}

/// `etcdserverpb.AuthRoleRevokePermissionRequest`.
public struct AuthRoleRevokePermissionRequest: Message {
    public var role: String
    public var key: [UInt8]
    public var rangeEnd: [UInt8]

    public init(role: String = "", key: [UInt8] = [], rangeEnd: [UInt8] = []) {
        self.role = role
        self.key = key
        self.rangeEnd = rangeEnd
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: role = try reader.string(tag)
            case 2: key = try reader.bytes(tag)
            case 3: rangeEnd = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, role)
        writer.field(2, key)
        writer.field(3, rangeEnd)
    }
}

/// `etcdserverpb.AuthRoleAddResponse`.
public struct AuthRoleAddResponse: Message {
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

/// `etcdserverpb.AuthRoleGetResponse`.
public struct AuthRoleGetResponse: Message {
    public var header: ResponseHeader?
    public var perm: [Permission]

    public init(header: ResponseHeader? = nil, perm: [Permission] = []) {
        self.header = header
        self.perm = perm
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: perm.append(try reader.message(tag, Permission.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        for value in perm { writer.message(2) { value.encode(into: &$0) } }
    }
}

/// `etcdserverpb.AuthRoleListResponse`.
public struct AuthRoleListResponse: Message {
    public var header: ResponseHeader?
    public var roles: [String]

    public init(header: ResponseHeader? = nil, roles: [String] = []) {
        self.header = header
        self.roles = roles
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: roles.append(try reader.string(tag))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        for value in roles { writer.required(2, value) }
    }
}

/// `etcdserverpb.AuthRoleDeleteResponse`.
public struct AuthRoleDeleteResponse: Message {
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

/// `etcdserverpb.AuthRoleGrantPermissionResponse`.
public struct AuthRoleGrantPermissionResponse: Message {
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

/// `etcdserverpb.AuthRoleRevokePermissionResponse`.
public struct AuthRoleRevokePermissionResponse: Message {
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
