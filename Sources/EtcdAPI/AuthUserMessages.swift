import Bytes

/// `etcdserverpb.AuthUserAddRequest`: adds a user.
public struct AuthUserAddRequest: Message {
    public var name: String
    public var password: String
    public var options: UserAddOptions?
    /// bcrypt, in place of the password; filled in before the request is proposed.
    public var hashedPassword: String

    public init(
        name: String = "", password: String = "", options: UserAddOptions? = nil, hashedPassword: String = ""
    ) {
        self.name = name
        self.password = password
        self.options = options
        self.hashedPassword = hashedPassword
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.string(tag)
            case 2: password = try reader.string(tag)
            case 3: options = try reader.message(tag, UserAddOptions.self)
            case 4: hashedPassword = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
        writer.field(2, password)
        if let value = options { writer.message(3) { value.encode(into: &$0) } }
        writer.field(4, hashedPassword)
    }
}

/// `etcdserverpb.AuthUserGetRequest`.
public struct AuthUserGetRequest: Message {
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

/// `etcdserverpb.AuthUserDeleteRequest`.
public struct AuthUserDeleteRequest: Message {
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

/// `etcdserverpb.AuthUserChangePasswordRequest`: changes a password.
public struct AuthUserChangePasswordRequest: Message {
    public var name: String
    public var password: String
    /// bcrypt, in place of the password; filled in before the request is proposed.
    public var hashedPassword: String

    public init(name: String = "", password: String = "", hashedPassword: String = "") {
        self.name = name
        self.password = password
        self.hashedPassword = hashedPassword
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.string(tag)
            case 2: password = try reader.string(tag)
            case 3: hashedPassword = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
        writer.field(2, password)
        writer.field(3, hashedPassword)
    }
}

/// `etcdserverpb.AuthUserGrantRoleRequest`.
public struct AuthUserGrantRoleRequest: Message {
    public var user: String
    public var role: String

    public init(user: String = "", role: String = "") {
        self.user = user
        self.role = role
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: user = try reader.string(tag)
            case 2: role = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, user)
        writer.field(2, role)
    }
}

/// `etcdserverpb.AuthUserRevokeRoleRequest`.
public struct AuthUserRevokeRoleRequest: Message {
    public var name: String
    public var role: String

    public init(name: String = "", role: String = "") {
        self.name = name
        self.role = role
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.string(tag)
            case 2: role = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
        writer.field(2, role)
    }
}

/// `etcdserverpb.AuthUserListRequest`.
public struct AuthUserListRequest: Message {
    public init() {
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() { try reader.skip(tag) }
    }

    public func encode(into writer: inout ByteWriter) {
    }
}

/// `etcdserverpb.AuthUserAddResponse`.
public struct AuthUserAddResponse: Message {
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

/// `etcdserverpb.AuthUserGetResponse`.
public struct AuthUserGetResponse: Message {
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

/// `etcdserverpb.AuthUserDeleteResponse`.
public struct AuthUserDeleteResponse: Message {
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

/// `etcdserverpb.AuthUserChangePasswordResponse`.
public struct AuthUserChangePasswordResponse: Message {
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

/// `etcdserverpb.AuthUserGrantRoleResponse`.
public struct AuthUserGrantRoleResponse: Message {
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

/// `etcdserverpb.AuthUserRevokeRoleResponse`.
public struct AuthUserRevokeRoleResponse: Message {
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

/// `etcdserverpb.AuthUserListResponse`.
public struct AuthUserListResponse: Message {
    public var header: ResponseHeader?
    public var users: [String]

    public init(header: ResponseHeader? = nil, users: [String] = []) {
        self.header = header
        self.users = users
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: users.append(try reader.string(tag))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        for value in users { writer.required(2, value) }
    }
}
