import Bytes

/// `authpb.UserAddOptions`: how a user may authenticate.
public struct UserAddOptions: Message {
    /// Only by the name in its certificate.
    public var noPassword: Bool

    public init(noPassword: Bool = false) {
        self.noPassword = noPassword
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: noPassword = try reader.bool(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, noPassword)
    }
}

/// `authpb.User`: a user as the `authUsers` bucket holds it.
public struct UserRecord: Message {
    public var name: [UInt8]
    /// bcrypt hash; empty for a user that may not authenticate by password.
    public var password: [UInt8]
    /// Ascending.
    public var roles: [String]
    public var options: UserAddOptions?

    public init(name: [UInt8] = [], password: [UInt8] = [], roles: [String] = [], options: UserAddOptions? = nil) {
        self.name = name
        self.password = password
        self.roles = roles
        self.options = options
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.bytes(tag)
            case 2: password = try reader.bytes(tag)
            case 3: roles.append(try reader.string(tag))
            case 4: options = try reader.message(tag, UserAddOptions.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
        writer.field(2, password)
        for value in roles { writer.required(3, value) }
        if let value = options { writer.message(4) { value.encode(into: &$0) } }
    }
}

/// `authpb.Permission`: what may be done with a range of keys.
public struct Permission: Message {
    /// Names and numbers of the protocol.
    public enum Kind: OpenEnum {
        case read
        case write
        case readwrite
        case unrecognized(Int32)

        public init(rawValue: Int32) {
            switch rawValue {
            case 0: self = .read
            case 1: self = .write
            case 2: self = .readwrite
            default: self = .unrecognized(rawValue)
            }
        }

        public var rawValue: Int32 {
            switch self {
            case .read: 0
            case .write: 1
            case .readwrite: 2
            case .unrecognized(let value): value
            }
        }
    }

    public var permType: Kind
    public var key: [UInt8]
    /// As in ``RangeRequest``.
    public var rangeEnd: [UInt8]

    public init(permType: Kind = .read, key: [UInt8] = [], rangeEnd: [UInt8] = []) {
        self.permType = permType
        self.key = key
        self.rangeEnd = rangeEnd
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: permType = Kind(rawValue: try reader.int32(tag))
            case 2: key = try reader.bytes(tag)
            case 3: rangeEnd = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, permType.rawValue)
        writer.field(2, key)
        writer.field(3, rangeEnd)
    }
}

/// `authpb.Role`: a role as the `authRoles` bucket holds it.
public struct RoleRecord: Message {
    public var name: [UInt8]
    /// In ascending order of keys.
    public var keyPermission: [Permission]

    public init(name: [UInt8] = [], keyPermission: [Permission] = []) {
        self.name = name
        self.keyPermission = keyPermission
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: name = try reader.bytes(tag)
            case 2: keyPermission.append(try reader.message(tag, Permission.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, name)
        for value in keyPermission { writer.message(2) { value.encode(into: &$0) } }
    }
}
