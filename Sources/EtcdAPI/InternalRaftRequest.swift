import Bytes

/// `etcdserverpb.InternalRaftRequest`: what a normal entry of the log carries.
///
/// The protocol gives every request a field of its own; whoever writes an entry sets exactly one. Which one is set matters even
/// where the request itself is empty.
public struct InternalRaftRequest: Message {
    public enum Request: Equatable, Sendable {
        case range(RangeRequest)
        case put(PutRequest)
        case deleteRange(DeleteRangeRequest)
        case txn(TxnRequest)
        case compaction(CompactionRequest)
        case leaseGrant(LeaseGrantRequest)
        case leaseRevoke(LeaseRevokeRequest)
        case alarm(AlarmRequest)
        case leaseCheckpoint(LeaseCheckpointRequest)
        case authEnable(AuthEnableRequest)
        case authDisable(AuthDisableRequest)
        case authenticate(InternalAuthenticateRequest)
        case authStatus(AuthStatusRequest)
        case authUserAdd(AuthUserAddRequest)
        case authUserDelete(AuthUserDeleteRequest)
        case authUserGet(AuthUserGetRequest)
        case authUserChangePassword(AuthUserChangePasswordRequest)
        case authUserGrantRole(AuthUserGrantRoleRequest)
        case authUserRevokeRole(AuthUserRevokeRoleRequest)
        case authUserList(AuthUserListRequest)
        case authRoleList(AuthRoleListRequest)
        case authRoleAdd(AuthRoleAddRequest)
        case authRoleDelete(AuthRoleDeleteRequest)
        case authRoleGet(AuthRoleGetRequest)
        case authRoleGrantPermission(AuthRoleGrantPermissionRequest)
        case authRoleRevokePermission(AuthRoleRevokePermissionRequest)
        case clusterVersionSet(ClusterVersionSetRequest)
        case clusterMemberAttrSet(ClusterMemberAttrSetRequest)
        case downgradeInfoSet(DowngradeInfoSetRequest)
        case downgradeVersionTest(DowngradeVersionTestRequest)
    }

    public var header: RequestHeader?
    /// Set by releases that knew no header; etcd falls back on ``RequestHeader/id`` when it is 0.
    public var id: UInt64
    public var request: Request?
    /// The last field number that was not known; 0 when all were. An entry with an unknown request must not be skipped.
    public private(set) var unknownField = 0

    public init(header: RequestHeader? = nil, id: UInt64 = 0, request: Request? = nil) {
        self.header = header
        self.id = id
        self.request = request
    }

    public init(decoding reader: inout ByteReader) throws(DecodeError) {
        self.init()
        var requestField = 0
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.uint64(tag)
            case 100: header = try reader.message(tag, RequestHeader.self)
            default:
                guard let decoded = try Request(tag, &reader) else {
                    unknownField = tag.field
                    try reader.skip(tag)
                    continue
                }
                // Two requests in one entry are nobody's writing; to apply either of them would be a guess.
                guard requestField == 0 || requestField == tag.field else {
                    throw .invalid("requests \(requestField) and \(tag.field) in one entry")
                }
                requestField = tag.field
                request = decoded
            }
        }
    }

    /// The lease that an entry's payload grants; nil for everything else, which is skipped and not decoded.
    public static func leaseGranted(by payload: [UInt8]) -> Int64? {
        payload.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            do throws(DecodeError) {
                while let tag = try reader.nextTag() {
                    if tag.field == 8 { return try reader.message(tag, LeaseGrantRequest.self).id }
                    try reader.skip(tag)
                }
            } catch {
                // Bare v2 requests and garbage grant nothing.
            }
            return nil
        }
    }

    public func encode(into writer: inout ByteWriter) {
        writer.field(1, id)
        let isBeforeHeader = request.map { $0.field < 100 } ?? false
        if isBeforeHeader { request?.encode(into: &writer) }
        if let header { writer.message(100) { header.encode(into: &$0) } }
        if !isBeforeHeader { request?.encode(into: &writer) }
    }
}

extension InternalRaftRequest.Request {
    /// The request in the field just announced; nil when the field is none that is known, and then nothing has been read.
    init?(_ tag: FieldTag, _ reader: inout ByteReader) throws(DecodeError) {
        switch tag.field {
        case 3: self = .range(try reader.message(tag, RangeRequest.self))
        case 4: self = .put(try reader.message(tag, PutRequest.self))
        case 5: self = .deleteRange(try reader.message(tag, DeleteRangeRequest.self))
        case 6: self = .txn(try reader.message(tag, TxnRequest.self))
        case 7: self = .compaction(try reader.message(tag, CompactionRequest.self))
        case 8: self = .leaseGrant(try reader.message(tag, LeaseGrantRequest.self))
        case 9: self = .leaseRevoke(try reader.message(tag, LeaseRevokeRequest.self))
        case 10: self = .alarm(try reader.message(tag, AlarmRequest.self))
        case 11: self = .leaseCheckpoint(try reader.message(tag, LeaseCheckpointRequest.self))
        case 1000: self = .authEnable(try reader.message(tag, AuthEnableRequest.self))
        case 1011: self = .authDisable(try reader.message(tag, AuthDisableRequest.self))
        case 1012: self = .authenticate(try reader.message(tag, InternalAuthenticateRequest.self))
        case 1013: self = .authStatus(try reader.message(tag, AuthStatusRequest.self))
        case 1100: self = .authUserAdd(try reader.message(tag, AuthUserAddRequest.self))
        case 1101: self = .authUserDelete(try reader.message(tag, AuthUserDeleteRequest.self))
        case 1102: self = .authUserGet(try reader.message(tag, AuthUserGetRequest.self))
        case 1103: self = .authUserChangePassword(try reader.message(tag, AuthUserChangePasswordRequest.self))
        case 1104: self = .authUserGrantRole(try reader.message(tag, AuthUserGrantRoleRequest.self))
        case 1105: self = .authUserRevokeRole(try reader.message(tag, AuthUserRevokeRoleRequest.self))
        case 1106: self = .authUserList(try reader.message(tag, AuthUserListRequest.self))
        case 1107: self = .authRoleList(try reader.message(tag, AuthRoleListRequest.self))
        case 1200: self = .authRoleAdd(try reader.message(tag, AuthRoleAddRequest.self))
        case 1201: self = .authRoleDelete(try reader.message(tag, AuthRoleDeleteRequest.self))
        case 1202: self = .authRoleGet(try reader.message(tag, AuthRoleGetRequest.self))
        case 1203: self = .authRoleGrantPermission(try reader.message(tag, AuthRoleGrantPermissionRequest.self))
        case 1204: self = .authRoleRevokePermission(try reader.message(tag, AuthRoleRevokePermissionRequest.self))
        case 1300: self = .clusterVersionSet(try reader.message(tag, ClusterVersionSetRequest.self))
        case 1301: self = .clusterMemberAttrSet(try reader.message(tag, ClusterMemberAttrSetRequest.self))
        case 1302: self = .downgradeInfoSet(try reader.message(tag, DowngradeInfoSetRequest.self))
        case 9900: self = .downgradeVersionTest(try reader.message(tag, DowngradeVersionTestRequest.self))
        default: return nil
        }
    }

    /// The number of the field that carries it.
    public var field: Int {
        switch self {
        case .range: 3
        case .put: 4
        case .deleteRange: 5
        case .txn: 6
        case .compaction: 7
        case .leaseGrant: 8
        case .leaseRevoke: 9
        case .alarm: 10
        case .leaseCheckpoint: 11
        case .authEnable: 1000
        case .authDisable: 1011
        case .authenticate: 1012
        case .authStatus: 1013
        case .authUserAdd: 1100
        case .authUserDelete: 1101
        case .authUserGet: 1102
        case .authUserChangePassword: 1103
        case .authUserGrantRole: 1104
        case .authUserRevokeRole: 1105
        case .authUserList: 1106
        case .authRoleList: 1107
        case .authRoleAdd: 1200
        case .authRoleDelete: 1201
        case .authRoleGet: 1202
        case .authRoleGrantPermission: 1203
        case .authRoleRevokePermission: 1204
        case .clusterVersionSet: 1300
        case .clusterMemberAttrSet: 1301
        case .downgradeInfoSet: 1302
        case .downgradeVersionTest: 9900
        }
    }

    func encode(into writer: inout ByteWriter) {
        let field = field
        switch self {
        case .range(let value): writer.message(field) { value.encode(into: &$0) }
        case .put(let value): writer.message(field) { value.encode(into: &$0) }
        case .deleteRange(let value): writer.message(field) { value.encode(into: &$0) }
        case .txn(let value): writer.message(field) { value.encode(into: &$0) }
        case .compaction(let value): writer.message(field) { value.encode(into: &$0) }
        case .leaseGrant(let value): writer.message(field) { value.encode(into: &$0) }
        case .leaseRevoke(let value): writer.message(field) { value.encode(into: &$0) }
        case .alarm(let value): writer.message(field) { value.encode(into: &$0) }
        case .leaseCheckpoint(let value): writer.message(field) { value.encode(into: &$0) }
        case .authEnable(let value): writer.message(field) { value.encode(into: &$0) }
        case .authDisable(let value): writer.message(field) { value.encode(into: &$0) }
        case .authenticate(let value): writer.message(field) { value.encode(into: &$0) }
        case .authStatus(let value): writer.message(field) { value.encode(into: &$0) }
        case .authUserAdd(let value): writer.message(field) { value.encode(into: &$0) }
        case .authUserDelete(let value): writer.message(field) { value.encode(into: &$0) }
        case .authUserGet(let value): writer.message(field) { value.encode(into: &$0) }
        case .authUserChangePassword(let value): writer.message(field) { value.encode(into: &$0) }
        case .authUserGrantRole(let value): writer.message(field) { value.encode(into: &$0) }
        case .authUserRevokeRole(let value): writer.message(field) { value.encode(into: &$0) }
        case .authUserList(let value): writer.message(field) { value.encode(into: &$0) }
        case .authRoleList(let value): writer.message(field) { value.encode(into: &$0) }
        case .authRoleAdd(let value): writer.message(field) { value.encode(into: &$0) }
        case .authRoleDelete(let value): writer.message(field) { value.encode(into: &$0) }
        case .authRoleGet(let value): writer.message(field) { value.encode(into: &$0) }
        case .authRoleGrantPermission(let value): writer.message(field) { value.encode(into: &$0) }
        case .authRoleRevokePermission(let value): writer.message(field) { value.encode(into: &$0) }
        case .clusterVersionSet(let value): writer.message(field) { value.encode(into: &$0) }
        case .clusterMemberAttrSet(let value): writer.message(field) { value.encode(into: &$0) }
        case .downgradeInfoSet(let value): writer.message(field) { value.encode(into: &$0) }
        case .downgradeVersionTest(let value): writer.message(field) { value.encode(into: &$0) }
        }
    }
}
