import Bytes

/// `etcdserverpb.RequestOp`: one operation of a transaction.
public struct RequestOp: NestedMessage {
    public enum Request: Equatable, Sendable {
        case requestRange(RangeRequest)
        case requestPut(PutRequest)
        case requestDeleteRange(DeleteRangeRequest)
        case requestTxn(TxnRequest)
    }

    public var request: Request?

    public init(request: Request? = nil) {
        self.request = request
    }

    init(decoding reader: inout ByteReader, depth: Int) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: request = .requestRange(try reader.message(tag, RangeRequest.self))
            case 2: request = .requestPut(try reader.message(tag, PutRequest.self))
            case 3: request = .requestDeleteRange(try reader.message(tag, DeleteRangeRequest.self))
            case 4: request = .requestTxn(try reader.message(tag, TxnRequest.self, depth: depth + 1))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch request {
        case .requestRange(let value): writer.message(1) { value.encode(into: &$0) }
        case .requestPut(let value): writer.message(2) { value.encode(into: &$0) }
        case .requestDeleteRange(let value): writer.message(3) { value.encode(into: &$0) }
        case .requestTxn(let value): writer.message(4) { value.encode(into: &$0) }
        case nil: break
        }
    }
}

/// `etcdserverpb.ResponseOp`: the answer to one operation of a transaction.
public struct ResponseOp: NestedMessage {
    public enum Response: Equatable, Sendable {
        case responseRange(RangeResponse)
        case responsePut(PutResponse)
        case responseDeleteRange(DeleteRangeResponse)
        case responseTxn(TxnResponse)
    }

    public var response: Response?

    public init(response: Response? = nil) {
        self.response = response
    }

    init(decoding reader: inout ByteReader, depth: Int) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: response = .responseRange(try reader.message(tag, RangeResponse.self))
            case 2: response = .responsePut(try reader.message(tag, PutResponse.self))
            case 3: response = .responseDeleteRange(try reader.message(tag, DeleteRangeResponse.self))
            case 4: response = .responseTxn(try reader.message(tag, TxnResponse.self, depth: depth + 1))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        switch response {
        case .responseRange(let value): writer.message(1) { value.encode(into: &$0) }
        case .responsePut(let value): writer.message(2) { value.encode(into: &$0) }
        case .responseDeleteRange(let value): writer.message(3) { value.encode(into: &$0) }
        case .responseTxn(let value): writer.message(4) { value.encode(into: &$0) }
        case nil: break
        }
    }
}

/// `etcdserverpb.Compare`: a condition of a transaction.
public struct Compare: Message {
    /// Names and numbers of the protocol.
    public enum CompareResult: OpenEnum {
        case equal
        case greater
        case less
        case notEqual
        case unrecognized(Int32)

        public init(rawValue: Int32) {
            switch rawValue {
            case 0: self = .equal
            case 1: self = .greater
            case 2: self = .less
            case 3: self = .notEqual
            default: self = .unrecognized(rawValue)
            }
        }

        public var rawValue: Int32 {
            switch self {
            case .equal: 0
            case .greater: 1
            case .less: 2
            case .notEqual: 3
            case .unrecognized(let value): value
            }
        }
    }

    /// Names and numbers of the protocol.
    public enum CompareTarget: OpenEnum {
        case version
        case create
        case mod
        case value
        case lease
        case unrecognized(Int32)

        public init(rawValue: Int32) {
            switch rawValue {
            case 0: self = .version
            case 1: self = .create
            case 2: self = .mod
            case 3: self = .value
            case 4: self = .lease
            default: self = .unrecognized(rawValue)
            }
        }

        public var rawValue: Int32 {
            switch self {
            case .version: 0
            case .create: 1
            case .mod: 2
            case .value: 3
            case .lease: 4
            case .unrecognized(let value): value
            }
        }
    }

    public enum TargetUnion: Equatable, Sendable {
        case version(Int64)
        case createRevision(Int64)
        case modRevision(Int64)
        case value([UInt8])
        case lease(Int64)
    }

    /// How what is stored has to compare with what is given here.
    public var result: CompareResult
    /// What of the key is compared.
    public var target: CompareTarget
    public var key: [UInt8]
    /// What it is compared with; where it does not fit the target, that is zero or empty.
    public var targetUnion: TargetUnion?
    /// Of a range of keys that all have to satisfy it, as in ``RangeRequest``.
    public var rangeEnd: [UInt8]

    public init(
        result: CompareResult = .equal, target: CompareTarget = .version, key: [UInt8] = [], targetUnion: TargetUnion? = nil,
        rangeEnd: [UInt8] = []
    ) {
        self.result = result
        self.target = target
        self.key = key
        self.targetUnion = targetUnion
        self.rangeEnd = rangeEnd
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: result = CompareResult(rawValue: try reader.int32(tag))
            case 2: target = CompareTarget(rawValue: try reader.int32(tag))
            case 3: key = try reader.bytes(tag)
            case 4: targetUnion = .version(try reader.int64(tag))
            case 5: targetUnion = .createRevision(try reader.int64(tag))
            case 6: targetUnion = .modRevision(try reader.int64(tag))
            case 7: targetUnion = .value(try reader.bytes(tag))
            case 8: targetUnion = .lease(try reader.int64(tag))
            case 64: rangeEnd = try reader.bytes(tag)
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, result.rawValue)
        writer.field(2, target.rawValue)
        writer.field(3, key)
        switch targetUnion {
        case .version(let value): writer.required(4, UInt64(bitPattern: value))
        case .createRevision(let value): writer.required(5, UInt64(bitPattern: value))
        case .modRevision(let value): writer.required(6, UInt64(bitPattern: value))
        case .value(let value): writer.required(7, value)
        case .lease(let value): writer.required(8, UInt64(bitPattern: value))
        case nil: break
        }
        writer.field(64, rangeEnd)
    }
}

/// `etcdserverpb.TxnRequest`: operations that happen at one revision.
public struct TxnRequest: NestedMessage {
    /// All have to hold for `success` to be carried out; else `failure` is.
    public var compare: [Compare]
    public var success: [RequestOp]
    public var failure: [RequestOp]

    public init(compare: [Compare] = [], success: [RequestOp] = [], failure: [RequestOp] = []) {
        self.compare = compare
        self.success = success
        self.failure = failure
    }

    init(decoding reader: inout ByteReader, depth: Int) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: compare.append(try reader.message(tag, Compare.self))
            case 2: success.append(try reader.message(tag, RequestOp.self, depth: depth))
            case 3: failure.append(try reader.message(tag, RequestOp.self, depth: depth))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        for value in compare { writer.message(1) { value.encode(into: &$0) } }
        for value in success { writer.message(2) { value.encode(into: &$0) } }
        for value in failure { writer.message(3) { value.encode(into: &$0) } }
    }
}

/// `etcdserverpb.TxnResponse`: the answers of the branch that was taken.
public struct TxnResponse: NestedMessage {
    public var header: ResponseHeader?
    /// All compares held.
    public var succeeded: Bool
    /// One for each operation, in order.
    public var responses: [ResponseOp]

    public init(header: ResponseHeader? = nil, succeeded: Bool = false, responses: [ResponseOp] = []) {
        self.header = header
        self.succeeded = succeeded
        self.responses = responses
    }

    init(decoding reader: inout ByteReader, depth: Int) throws(DecodeError) {
        self.init()
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: header = try reader.message(tag, ResponseHeader.self)
            case 2: succeeded = try reader.bool(tag)
            case 3: responses.append(try reader.message(tag, ResponseOp.self, depth: depth))
            default: try reader.skip(tag)
            }
        }
    }

    public func encode(into writer: inout ByteWriter) {
        if let value = header { writer.message(1) { value.encode(into: &$0) } }
        writer.field(2, succeeded)
        for value in responses { writer.message(3) { value.encode(into: &$0) } }
    }
}
