import Bytes

/// `grpc.health.v1.HealthCheckRequest` (grpc/doc/health-checking.md).
public struct HealthCheckRequest: Message {
    /// The service asked about; empty for the server as a whole, which is the only one etcd knows.
    public var service: String

    public init(service: String = "") {
        self.service = service
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: service = try reader.string(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, service)
    }
}

/// `grpc.health.v1.HealthCheckResponse`.
public struct HealthCheckResponse: Message {
    /// Names and numbers of the protocol.
    public enum ServingStatus: OpenEnum {
        case unknown
        case serving
        case notServing
        /// Sent by a watch only, for a service the server does not know.
        case serviceUnknown
        case unrecognized(Int32)

        public init(rawValue: Int32) {
            switch rawValue {
            case 0: self = .unknown
            case 1: self = .serving
            case 2: self = .notServing
            case 3: self = .serviceUnknown
            default: self = .unrecognized(rawValue)
            }
        }

        public var rawValue: Int32 {
            switch self {
            case .unknown: 0
            case .serving: 1
            case .notServing: 2
            case .serviceUnknown: 3
            case .unrecognized(let value): value
            }
        }
    }

    public var status: ServingStatus

    public init(status: ServingStatus = .unknown) {
        self.status = status
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: status = ServingStatus(rawValue: try reader.int32(tag))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, status.rawValue)
    }
}

/// `grpc.health.v1.HealthListRequest`.
public struct HealthListRequest: Message {
    public init() {
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() { try reader.skip(tag) }
    }

    public func encode(into writer: inout ByteWriter) {
    }
}

/// `grpc.health.v1.HealthListResponse`.
public struct HealthListResponse: Message {
    /// An entry of the protocol's map.
    public struct Status: Message {
        public var service: String
        public var response: HealthCheckResponse

        public init(service: String = "", response: HealthCheckResponse = HealthCheckResponse()) {
            self.service = service
            self.response = response
        }

        public init(decoding reader: inout ByteReader) throws(DecodeError) {
            self.init()
            while let tag = try reader.nextTag() {
                switch tag.field {
                case 1: service = try reader.string(tag)
                case 2: response = try reader.message(tag, HealthCheckResponse.self)
                default: try reader.skip(tag)
                }
            }
        }

        /// A map's entries carry both fields whatever they hold (protobuf encoding guide, "Maps").
        public func encode(into writer: inout ByteWriter) {
            writer.required(1, service)
            writer.message(2) { response.encode(into: &$0) }
        }
    }

    /// In the order they are written; of two for the same service the later one counts.
    public var statuses: [Status]

    public init(statuses: [Status] = []) {
        self.statuses = statuses
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: statuses.append(try reader.message(tag, Status.self))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        for value in statuses { writer.message(1) { value.encode(into: &$0) } }
    }
}
