import Balancing
import Bytes
import EtcdAPI

/// What the proxy needs to know of a procedure to forward a call of it.
public struct CallKind: Equatable, Sendable {
    /// How the messages of a call travel.
    public enum Shape: Sendable {
        /// One message each way. The request is taken up whole and the reply held back, so that a failure can be made good.
        case unary
        /// Messages pass as they come.
        case stream
        /// A watch stream, which is resumed on another member.
        case watch
        /// A lease's keep-alive stream, which goes on at another member.
        case keepAlive
    }

    /// When a call that failed may be made again.
    public enum Repeat: Sendable {
        /// Changes nothing: while nothing of the reply has been passed on.
        case always
        /// May change something: only if no member has worked on it.
        case ifNeverProcessed
    }

    public var shape: Shape
    public var repeats: Repeat
    /// Speaks of one member: never goes on at another, and the reply names the member.
    public var isMemberSpecific: Bool
    /// Refused by a read-only proxy.
    public var isWrite: Bool
    /// Whether the request's bytes may say more: ``inspecting(_:procedure:)``.
    public var dependsOnRequest: Bool
    public var balancing: RequestKind

    init(
        _ shape: Shape, _ repeats: Repeat, memberSpecific: Bool = false, write: Bool = false, dependsOnRequest: Bool = false
    ) {
        self.shape = shape
        self.repeats = repeats
        isMemberSpecific = memberSpecific
        isWrite = write
        self.dependsOnRequest = dependsOnRequest
        balancing = write ? .write : .read
    }

    private static let read = CallKind(.unary, .always)
    private static let write = CallKind(.unary, .ifNeverProcessed, write: true)

    /// A procedure that this release does not know: passed through as it comes, for newer members may know it.
    public static let unknown = CallKind(.stream, .ifNeverProcessed, write: true)

    public init(_ procedure: Procedure) {
        switch procedure {
        case .kvRange: self = CallKind(.unary, .always, dependsOnRequest: true)
        case .kvTxn: self = CallKind(.unary, .ifNeverProcessed, write: true, dependsOnRequest: true)
        case .kvRangeStream: self = CallKind(.stream, .always)
        case .watch: self = CallKind(.watch, .always)
        case .leaseKeepAlive: self = CallKind(.keepAlive, .always, write: true)
        case .leaseTimeToLive, .leaseLeases, .clusterMemberList, .authStatus, .authUserGet, .authUserList, .authRoleGet,
            .authRoleList, .electionLeader, .healthCheck, .healthList:
            self = Self.read
        case .maintenanceStatus, .maintenanceHash, .maintenanceHashKV:
            self = CallKind(.unary, .ifNeverProcessed, memberSpecific: true)
        case .maintenanceAlarm:
            self = CallKind(.unary, .ifNeverProcessed, memberSpecific: true, write: true, dependsOnRequest: true)
        case .maintenanceDefragment, .maintenanceMoveLeader:
            self = CallKind(.unary, .ifNeverProcessed, memberSpecific: true, write: true)
        case .maintenanceSnapshot: self = CallKind(.stream, .ifNeverProcessed, memberSpecific: true)
        case .electionObserve, .healthWatch: self = CallKind(.stream, .ifNeverProcessed)
        // A token is made, and nothing else: a read-only proxy's clients need it too.
        case .authenticate: self = CallKind(.unary, .ifNeverProcessed)
        case .kvPut, .kvDeleteRange, .kvCompact, .leaseGrant, .leaseRevoke, .clusterMemberAdd, .clusterMemberRemove,
            .clusterMemberUpdate, .clusterMemberPromote, .maintenanceDowngrade, .authEnable, .authDisable, .authUserAdd,
            .authUserDelete, .authUserChangePassword, .authUserGrantRole, .authUserRevokeRole, .authRoleAdd, .authRoleDelete,
            .authRoleGrantPermission, .authRoleRevokePermission, .electionCampaign, .electionProclaim, .electionResign, .lock,
            .lockUnlock:
            self = Self.write
        }
    }

    /// The kind with what one request says: a transaction that only reads is a read, and a range that asks for no consistency can go
    /// to a member without a leader. A message that cannot be understood changes nothing: the member will refuse it.
    ///
    /// - Parameter message: The encoded request.
    public func inspecting(_ message: UnsafeRawBufferPointer, procedure: Procedure) -> CallKind {
        var kind = self
        switch procedure {
        case .kvRange:
            if let range = try? RangeInspection(message), range.isSerializable { kind.balancing = .serializableRead }
        case .kvTxn:
            guard let transaction = try? TransactionInspection(message), !transaction.writes else { break }
            kind.repeats = .always
            kind.isWrite = false
            kind.balancing = transaction.isSerializable ? .serializableRead : .read
        case .maintenanceAlarm:
            guard let request = try? AlarmRequest(decoding: message), request.action == .get else { break }
            kind.isWrite = false
            kind.balancing = .read
        default: break
        }
        return kind
    }
}

/// What a range request says to a balancer, read without decoding it.
struct RangeInspection {
    private(set) var isSerializable = false

    init(_ message: UnsafeRawBufferPointer) throws(DecodeError) {
        var reader = ByteReader(message)
        while let tag = try reader.nextTag() {
            if tag.field == 7 { isSerializable = try reader.bool(tag) } else { try reader.skip(tag) }
        }
    }
}

/// Whether a transaction may write, its nested ones included, and whether all its ranges are serializable.
struct TransactionInspection {
    private(set) var writes = false
    private(set) var isSerializable = true

    init(_ message: UnsafeRawBufferPointer) throws(DecodeError) { try inspect(message, depth: 0) }

    private mutating func inspect(_ message: UnsafeRawBufferPointer, depth: Int) throws(DecodeError) {
        guard depth <= largestTransactionDepth else { throw .invalid("transactions nested too deeply") }
        var reader = ByteReader(message)
        while let tag = try reader.nextTag() {
            // 1 compares, 2 what is done on success, 3 on failure.
            if tag.field == 2 || tag.field == 3 {
                try inspectOperation(try reader.borrowedBytes(tag), depth: depth)
            } else {
                try reader.skip(tag)
            }
        }
    }

    private mutating func inspectOperation(_ message: UnsafeRawBufferPointer, depth: Int) throws(DecodeError) {
        var reader = ByteReader(message)
        while let tag = try reader.nextTag() {
            let operation = try reader.borrowedBytes(tag)
            switch tag.field {
            case 1: if !(try RangeInspection(operation)).isSerializable { isSerializable = false }
            case 4: try inspect(operation, depth: depth + 1)
            // Puts and deletions, and whatever a newer release may have added.
            default: writes = true
            }
        }
    }
}
