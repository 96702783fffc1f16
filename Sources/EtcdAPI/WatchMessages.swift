import Bytes

/// `etcdserverpb.WatchRequest`: what a client sends on a watch stream.
public struct WatchRequest: Message {
    public enum RequestUnion: Equatable, Sendable {
        case createRequest(WatchCreateRequest)
        case cancelRequest(WatchCancelRequest)
        case progressRequest(WatchProgressRequest)
    }

    public var requestUnion: RequestUnion?

    public init(requestUnion: RequestUnion? = nil) {
        self.requestUnion = requestUnion
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: requestUnion = .createRequest(try reader.message(tag, WatchCreateRequest.self))
            case 2: requestUnion = .cancelRequest(try reader.message(tag, WatchCancelRequest.self))
            case 3: requestUnion = .progressRequest(try reader.message(tag, WatchProgressRequest.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch requestUnion {
        case .createRequest(let value): writer.message(1) { value.encode(into: &$0) }
        case .cancelRequest(let value): writer.message(2) { value.encode(into: &$0) }
        case .progressRequest(let value): writer.message(3) { value.encode(into: &$0) }
        case nil: break
        }
    }
}

/// `etcdserverpb.WatchCreateRequest`: begins to watch keys.
public struct WatchCreateRequest: Message {
    /// Names and numbers of the protocol.
    public enum FilterType: OpenEnum {
        case noput
        case nodelete
        case unrecognized(Int32)

        public init(rawValue: Int32) {
            switch rawValue {
            case 0: self = .noput
            case 1: self = .nodelete
            default: self = .unrecognized(rawValue)
            }
        }

        public var rawValue: Int32 {
            switch self {
            case .noput: 0
            case .nodelete: 1
            case .unrecognized(let value): value
            }
        }
    }

    /// Empty for the smallest key there can be.
    public var key: [UInt8]
    /// As in ``RangeRequest``.
    public var rangeEnd: [UInt8]
    /// The first revision to hear of; 0 for what comes from now on.
    public var startRevision: Int64
    /// Tell now and then how far the watch is even if nothing happens.
    public var progressNotify: Bool
    /// Kinds of events to leave out.
    public var filters: [FilterType]
    /// Send what the keys held before.
    public var prevKv: Bool
    /// An id of the client's own; 0 to be given one.
    public var watchId: Int64
    /// Large responses may be sent in pieces.
    public var fragment: Bool

    public init(
        key: [UInt8] = [], rangeEnd: [UInt8] = [], startRevision: Int64 = 0, progressNotify: Bool = false,
        filters: [FilterType] = [], prevKv: Bool = false, watchId: Int64 = 0, fragment: Bool = false
    ) {
        self.key = key
        self.rangeEnd = rangeEnd
        self.startRevision = startRevision
        self.progressNotify = progressNotify
        self.filters = filters
        self.prevKv = prevKv
        self.watchId = watchId
        self.fragment = fragment
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: key = try reader.bytes(tag)
            case 2: rangeEnd = try reader.bytes(tag)
            case 3: startRevision = try reader.int64(tag)
            case 4: progressNotify = try reader.bool(tag)
            case 5: try reader.repeated(tag) { filters.append(FilterType(rawValue: Int32(truncatingIfNeeded: $0))) }
            case 6: prevKv = try reader.bool(tag)
            case 7: watchId = try reader.int64(tag)
            case 8: fragment = try reader.bool(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, key)
        writer.field(2, rangeEnd)
        writer.field(3, startRevision)
        writer.field(4, progressNotify)
        writer.packed(5, filters.map { UInt64(bitPattern: Int64($0.rawValue)) })
        writer.field(6, prevKv)
        writer.field(7, watchId)
        writer.field(8, fragment)
    }
}

/// `etcdserverpb.WatchCancelRequest`: ends a watch.
public struct WatchCancelRequest: Message {
    public var watchId: Int64

    public init(watchId: Int64 = 0) {
        self.watchId = watchId
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: watchId = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, watchId)
    }
}

/// `etcdserverpb.WatchProgressRequest`: asks how far all watches of the stream are.
public struct WatchProgressRequest: Message {
    public init() {
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() { try reader.skip(tag) }
    }

    public func encode(into writer: inout ByteWriter) {
    }
}

/// `etcdserverpb.WatchResponse`: events of one watch, or news of the watch itself.
public struct WatchResponse: Message {
    public var header: ResponseHeader?
    /// -1 where it is about no single watch.
    public var watchId: Int64
    /// The watch has begun; no events come before this.
    public var created: Bool
    /// The watch has ended.
    public var canceled: Bool
    /// Where it ended because history is gone: the first revision that can be watched from.
    public var compactRevision: Int64
    /// Why it ended.
    public var cancelReason: String
    /// More of the same events follow.
    public var fragment: Bool
    /// In order of their revisions.
    public var events: [Event]

    public init(
        header: ResponseHeader? = nil, watchId: Int64 = 0, created: Bool = false, canceled: Bool = false,
        compactRevision: Int64 = 0, cancelReason: String = "", fragment: Bool = false, events: [Event] = []
    ) {
        self.header = header
        self.watchId = watchId
        self.created = created
        self.canceled = canceled
        self.compactRevision = compactRevision
        self.cancelReason = cancelReason
        self.fragment = fragment
        self.events = events
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: watchId = try reader.int64(tag)
            case 3: created = try reader.bool(tag)
            case 4: canceled = try reader.bool(tag)
            case 5: compactRevision = try reader.int64(tag)
            case 6: cancelReason = try reader.string(tag)
            case 7: fragment = try reader.bool(tag)
            case 11: events.append(try reader.message(tag, Event.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, watchId)
        writer.field(3, created)
        writer.field(4, canceled)
        writer.field(5, compactRevision)
        writer.field(6, cancelReason)
        writer.field(7, fragment)
        for value in events { writer.message(11) { value.encode(into: &$0) } }
    }
}
