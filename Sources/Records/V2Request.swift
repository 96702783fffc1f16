import Bytes

/// etcdserverpb.Request, the bare request of the v2 API: ID 1, Method 2, Path 3, Val 4, Dir 5, PrevValue 6, PrevIndex 7,
/// PrevExist 8, Expiration 9, Wait 10, Since 11, Recursive 12, Sorted 13, Quorum 14, Time 15, Stream 16, Refresh 17.
///
/// A cluster of version 3.5 still replicates its members' attributes (`PUT /0/members/ID/attributes`) and its version
/// (`PUT /0/version`) in this form, as the whole data of a normal entry. Fields that neither needs are passed over.
public struct V2Request: Equatable, Sendable, WireRecord {
    public var id: UInt64
    public var method: String
    public var path: String
    public var value: [UInt8]
    /// Whether the request carries a condition (PrevValue, PrevIndex or PrevExist). Those of members and version never do.
    public var isConditional: Bool

    public init(id: UInt64, method: String, path: String, value: [UInt8]) {
        self.id = id
        self.method = method
        self.path = path
        self.value = value
        isConditional = false
    }

    /// Whether it changes what users keep in the v2 store.
    public var writesUserKeys: Bool { !["SYNC", "QGET", "GET"].contains(method) && !path.hasPrefix("/0/") }

    /// Writes an unconditional request with every other field at its zero, as etcd does.
    public func encode(to writer: inout ByteWriter) {
        precondition(!isConditional, "conditional v2 requests are read, never written")
        writer.required(1, id)
        writer.required(2, method)
        writer.required(3, path)
        writer.required(4, value)
        writer.required(5, false)
        writer.required(6, "")
        for number in [7, 9, 10, 11, 12, 13, 14, 15, 16] { writer.required(number, UInt64(0)) }
    }

    /// Text that is not UTF-8, which proto2 allows, is repaired: it names nothing this project acts on.
    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init(id: 0, method: "", path: "", value: [])
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.uint64(tag)
            case 2: method = String(decoding: try reader.borrowedBytes(tag), as: UTF8.self)
            case 3: path = String(decoding: try reader.borrowedBytes(tag), as: UTF8.self)
            case 4: value = try reader.bytes(tag)
            case 6: if try reader.borrowedBytes(tag).count > 0 { isConditional = true }
            case 7: if try reader.uint64(tag) > 0 { isConditional = true }
            case 8:
                _ = try reader.bool(tag)
                isConditional = true
            default: try reader.skip(tag)
            }
        }
    }
}
