import Bytes

/// `etcdserverpb.StatusRequest`.
public struct StatusRequest: Message {
    public init() {
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() { try reader.skip(tag) }
    }

    public func encode(into writer: inout ByteWriter) {
    }
}

/// `etcdserverpb.StatusResponse`: how a member is.
public struct StatusResponse: Message {
    public var header: ResponseHeader?
    /// The release it behaves as.
    public var version: String
    /// Bytes of the page file.
    public var dbSize: Int64
    /// 0 when it knows none.
    public var leader: UInt64
    /// The newest committed entry it knows.
    public var raftIndex: UInt64
    public var raftTerm: UInt64
    /// The newest entry it has applied.
    public var raftAppliedIndex: UInt64
    /// What is wrong, in words: no leader, alarms.
    public var errors: [String]
    /// Bytes of the page file that are not free.
    public var dbSizeInUse: Int64
    public var isLearner: Bool
    /// Of the data directory (from 3.6 on).
    public var storageVersion: String
    /// Bytes the page file may grow to (from 3.6 on).
    public var dbSizeQuota: Int64
    public var downgradeInfo: DowngradeInfo?

    public init(
        header: ResponseHeader? = nil, version: String = "", dbSize: Int64 = 0, leader: UInt64 = 0, raftIndex: UInt64 = 0,
        raftTerm: UInt64 = 0, raftAppliedIndex: UInt64 = 0, errors: [String] = [], dbSizeInUse: Int64 = 0,
        isLearner: Bool = false, storageVersion: String = "", dbSizeQuota: Int64 = 0, downgradeInfo: DowngradeInfo? = nil
    ) {
        self.header = header
        self.version = version
        self.dbSize = dbSize
        self.leader = leader
        self.raftIndex = raftIndex
        self.raftTerm = raftTerm
        self.raftAppliedIndex = raftAppliedIndex
        self.errors = errors
        self.dbSizeInUse = dbSizeInUse
        self.isLearner = isLearner
        self.storageVersion = storageVersion
        self.dbSizeQuota = dbSizeQuota
        self.downgradeInfo = downgradeInfo
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: version = try reader.string(tag)
            case 3: dbSize = try reader.int64(tag)
            case 4: leader = try reader.uint64(tag)
            case 5: raftIndex = try reader.uint64(tag)
            case 6: raftTerm = try reader.uint64(tag)
            case 7: raftAppliedIndex = try reader.uint64(tag)
            case 8: errors.append(try reader.string(tag))
            case 9: dbSizeInUse = try reader.int64(tag)
            case 10: isLearner = try reader.bool(tag)
            case 11: storageVersion = try reader.string(tag)
            case 12: dbSizeQuota = try reader.int64(tag)
            case 13: downgradeInfo = try reader.message(tag, DowngradeInfo.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, version)
        writer.field(3, dbSize)
        writer.field(4, leader)
        writer.field(5, raftIndex)
        writer.field(6, raftTerm)
        writer.field(7, raftAppliedIndex)
        for value in errors { writer.required(8, value) }
        writer.field(9, dbSizeInUse)
        writer.field(10, isLearner)
        writer.field(11, storageVersion)
        writer.field(12, dbSizeQuota)
        if let value = downgradeInfo { writer.message(13) { value.encode(into: &$0) } }
    }
}

/// `etcdserverpb.DowngradeInfo`: a downgrade under way.
public struct DowngradeInfo: Message {
    public var enabled: Bool
    public var targetVersion: String

    public init(enabled: Bool = false, targetVersion: String = "") {
        self.enabled = enabled
        self.targetVersion = targetVersion
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: enabled = try reader.bool(tag)
            case 2: targetVersion = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, enabled)
        writer.field(2, targetVersion)
    }
}

/// `etcdserverpb.DowngradeRequest`: prepares the cluster for an earlier release, or stops that.
public struct DowngradeRequest: Message {
    /// Names and numbers of the protocol.
    public enum DowngradeAction: OpenEnum {
        case validate
        case enable
        case cancel
        case unrecognized(Int32)

        public init(rawValue: Int32) {
            switch rawValue {
            case 0: self = .validate
            case 1: self = .enable
            case 2: self = .cancel
            default: self = .unrecognized(rawValue)
            }
        }

        public var rawValue: Int32 {
            switch self {
            case .validate: 0
            case .enable: 1
            case .cancel: 2
            case .unrecognized(let value): value
            }
        }
    }

    public var action: DowngradeAction
    /// The release to go back to, such as 3.5.
    public var version: String

    public init(action: DowngradeAction = .validate, version: String = "") {
        self.action = action
        self.version = version
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: action = DowngradeAction(rawValue: try reader.int32(tag))
            case 2: version = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, action.rawValue)
        writer.field(2, version)
    }
}

/// `etcdserverpb.DowngradeResponse`.
public struct DowngradeResponse: Message {
    public var header: ResponseHeader?
    public var version: String

    public init(header: ResponseHeader? = nil, version: String = "") {
        self.header = header
        self.version = version
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: version = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, version)
    }
}

/// `etcdserverpb.DowngradeVersionTestRequest`.
public struct DowngradeVersionTestRequest: Message {
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
