import Bytes

/// `etcdserverpb.LeaseGrantRequest`: asks for a lease.
public struct LeaseGrantRequest: Message {
    /// Seconds; the shortest there is where less is asked for.
    public var ttl: Int64
    /// 0 to be given one.
    public var id: Int64

    public init(ttl: Int64 = 0, id: Int64 = 0) {
        self.ttl = ttl
        self.id = id
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: ttl = try reader.int64(tag)
            case 2: id = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, ttl)
        writer.field(2, id)
    }
}

/// `etcdserverpb.LeaseGrantResponse`: a granted lease.
public struct LeaseGrantResponse: Message {
    public var header: ResponseHeader?
    public var id: Int64
    /// Seconds really granted.
    public var ttl: Int64
    public var error: String

    public init(header: ResponseHeader? = nil, id: Int64 = 0, ttl: Int64 = 0, error: String = "") {
        self.header = header
        self.id = id
        self.ttl = ttl
        self.error = error
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: id = try reader.int64(tag)
            case 3: ttl = try reader.int64(tag)
            case 4: error = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, id)
        writer.field(3, ttl)
        writer.field(4, error)
    }
}

/// `etcdserverpb.LeaseRevokeRequest`: ends a lease and deletes its keys.
public struct LeaseRevokeRequest: Message {
    public var id: Int64

    public init(id: Int64 = 0) {
        self.id = id
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, id)
    }
}

/// `etcdserverpb.LeaseRevokeResponse`.
public struct LeaseRevokeResponse: Message {
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

/// `etcdserverpb.LeaseCheckpoint`: what is left of a lease.
public struct LeaseCheckpoint: Message {
    public var id: Int64
    /// Seconds; 0 for its whole time.
    public var remainingTTL: Int64

    public init(id: Int64 = 0, remainingTTL: Int64 = 0) {
        self.id = id
        self.remainingTTL = remainingTTL
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.int64(tag)
            case 2: remainingTTL = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, id)
        writer.field(2, remainingTTL)
    }
}

/// `etcdserverpb.LeaseCheckpointRequest`: writes down what is left of leases; within the log only.
public struct LeaseCheckpointRequest: Message {
    public var checkpoints: [LeaseCheckpoint]

    public init(checkpoints: [LeaseCheckpoint] = []) {
        self.checkpoints = checkpoints
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: checkpoints.append(try reader.message(tag, LeaseCheckpoint.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        for value in checkpoints { writer.message(1) { value.encode(into: &$0) } }
    }
}

/// `etcdserverpb.LeaseCheckpointResponse`.
public struct LeaseCheckpointResponse: Message {
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

/// `etcdserverpb.LeaseKeepAliveRequest`: starts a lease's time anew.
public struct LeaseKeepAliveRequest: Message {
    public var id: Int64

    public init(id: Int64 = 0) {
        self.id = id
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, id)
    }
}

/// `etcdserverpb.LeaseKeepAliveResponse`: a renewed lease.
public struct LeaseKeepAliveResponse: Message {
    public var header: ResponseHeader?
    public var id: Int64
    /// Seconds from now; 0 where the lease does not exist.
    public var ttl: Int64

    public init(header: ResponseHeader? = nil, id: Int64 = 0, ttl: Int64 = 0) {
        self.header = header
        self.id = id
        self.ttl = ttl
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: id = try reader.int64(tag)
            case 3: ttl = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, id)
        writer.field(3, ttl)
    }
}

/// `etcdserverpb.LeaseTimeToLiveRequest`: asks what is left of a lease.
public struct LeaseTimeToLiveRequest: Message {
    public var id: Int64
    /// List its keys.
    public var keys: Bool

    public init(id: Int64 = 0, keys: Bool = false) {
        self.id = id
        self.keys = keys
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.int64(tag)
            case 2: keys = try reader.bool(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, id)
        writer.field(2, keys)
    }
}

/// `etcdserverpb.LeaseTimeToLiveResponse`: what is left of a lease.
public struct LeaseTimeToLiveResponse: Message {
    public var header: ResponseHeader?
    public var id: Int64
    /// Seconds left; -1 where the lease does not exist.
    public var ttl: Int64
    /// Seconds it was granted for.
    public var grantedTTL: Int64
    public var keys: [[UInt8]]

    public init(
        header: ResponseHeader? = nil, id: Int64 = 0, ttl: Int64 = 0, grantedTTL: Int64 = 0, keys: [[UInt8]] = []
    ) {
        self.header = header
        self.id = id
        self.ttl = ttl
        self.grantedTTL = grantedTTL
        self.keys = keys
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: id = try reader.int64(tag)
            case 3: ttl = try reader.int64(tag)
            case 4: grantedTTL = try reader.int64(tag)
            case 5: keys.append(try reader.bytes(tag))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, id)
        writer.field(3, ttl)
        writer.field(4, grantedTTL)
        for value in keys { writer.required(5, value) }
    }
}

/// `etcdserverpb.LeaseLeasesRequest`.
public struct LeaseLeasesRequest: Message {
    public init() {
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() { try reader.skip(tag) }
    }

    public func encode(into writer: inout ByteWriter) {
    }
}

/// `etcdserverpb.LeaseStatus`.
public struct LeaseStatus: Message {
    public var id: Int64

    public init(id: Int64 = 0) {
        self.id = id
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, id)
    }
}

/// `etcdserverpb.LeaseLeasesResponse`.
public struct LeaseLeasesResponse: Message {
    public var header: ResponseHeader?
    public var leases: [LeaseStatus]

    public init(header: ResponseHeader? = nil, leases: [LeaseStatus] = []) {
        self.header = header
        self.leases = leases
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: leases.append(try reader.message(tag, LeaseStatus.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        for value in leases { writer.message(2) { value.encode(into: &$0) } }
    }
}

/// `leasepb.Lease`: a lease as the `lease` bucket holds it.
public struct LeaseRecord: Message {
    public var id: Int64
    /// Seconds it was granted for.
    public var ttl: Int64
    /// Seconds left as of the last checkpoint; 0 where there is none.
    public var remainingTTL: Int64

    public init(id: Int64 = 0, ttl: Int64 = 0, remainingTTL: Int64 = 0) {
        self.id = id
        self.ttl = ttl
        self.remainingTTL = remainingTTL
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.int64(tag)
            case 2: ttl = try reader.int64(tag)
            case 3: remainingTTL = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, id)
        writer.field(2, ttl)
        writer.field(3, remainingTTL)
    }
}

/// `leasepb.LeaseInternalRequest`: what a follower asks the leader about a lease.
public struct LeaseInternalRequest: Message {
    public var leaseTimeToLiveRequest: LeaseTimeToLiveRequest?

    public init(leaseTimeToLiveRequest: LeaseTimeToLiveRequest? = nil) {
        self.leaseTimeToLiveRequest = leaseTimeToLiveRequest
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: leaseTimeToLiveRequest = try reader.message(tag, LeaseTimeToLiveRequest.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = leaseTimeToLiveRequest { writer.message(1) { value.encode(into: &$0) } }
    }
}

/// `leasepb.LeaseInternalResponse`: the leader's answer.
public struct LeaseInternalResponse: Message {
    public var leaseTimeToLiveResponse: LeaseTimeToLiveResponse?

    public init(leaseTimeToLiveResponse: LeaseTimeToLiveResponse? = nil) {
        self.leaseTimeToLiveResponse = leaseTimeToLiveResponse
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: leaseTimeToLiveResponse = try reader.message(tag, LeaseTimeToLiveResponse.self)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = leaseTimeToLiveResponse { writer.message(1) { value.encode(into: &$0) } }
    }
}
