import Bytes

/// Names and numbers of the protocol.
public enum AlarmType: OpenEnum {
    case none
    case nospace
    case corrupt
    case unrecognized(Int32)

    public init(rawValue: Int32) {
        switch rawValue {
        case 0: self = .none
        case 1: self = .nospace
        case 2: self = .corrupt
        default: self = .unrecognized(rawValue)
        }
    }

    public var rawValue: Int32 {
        switch self {
        case .none: 0
        case .nospace: 1
        case .corrupt: 2
        case .unrecognized(let value): value
        }
    }
}

/// `etcdserverpb.AlarmRequest`: asks for alarms, raises or lifts one.
public struct AlarmRequest: Message {
    /// Names and numbers of the protocol.
    public enum AlarmAction: OpenEnum {
        case get
        case activate
        case deactivate
        case unrecognized(Int32)

        public init(rawValue: Int32) {
            switch rawValue {
            case 0: self = .get
            case 1: self = .activate
            case 2: self = .deactivate
            default: self = .unrecognized(rawValue)
            }
        }

        public var rawValue: Int32 {
            switch self {
            case .get: 0
            case .activate: 1
            case .deactivate: 2
            case .unrecognized(let value): value
            }
        }
    }

    public var action: AlarmAction
    /// The member it is about; 0 in questions, for all.
    public var memberID: UInt64
    /// None in questions, for all kinds.
    public var alarm: AlarmType

    public init(action: AlarmAction = .get, memberID: UInt64 = 0, alarm: AlarmType = .none) {
        self.action = action
        self.memberID = memberID
        self.alarm = alarm
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: action = AlarmAction(rawValue: try reader.int32(tag))
            case 2: memberID = try reader.uint64(tag)
            case 3: alarm = AlarmType(rawValue: try reader.int32(tag))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, action.rawValue)
        writer.field(2, memberID)
        writer.field(3, alarm.rawValue)
    }
}

/// `etcdserverpb.AlarmMember`.
public struct AlarmMember: Message {
    public var memberID: UInt64
    public var alarm: AlarmType

    public init(memberID: UInt64 = 0, alarm: AlarmType = .none) {
        self.memberID = memberID
        self.alarm = alarm
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: memberID = try reader.uint64(tag)
            case 2: alarm = AlarmType(rawValue: try reader.int32(tag))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, memberID)
        writer.field(2, alarm.rawValue)
    }
}

/// `etcdserverpb.AlarmResponse`.
public struct AlarmResponse: Message {
    public var header: ResponseHeader?
    public var alarms: [AlarmMember]

    public init(header: ResponseHeader? = nil, alarms: [AlarmMember] = []) {
        self.header = header
        self.alarms = alarms
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: alarms.append(try reader.message(tag, AlarmMember.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        for value in alarms { writer.message(2) { value.encode(into: &$0) } }
    }
}
