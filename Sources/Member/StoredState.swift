import Backend
import Bytes
import EtcdAPI
import Host
import Lease
import PageStore
import Raft
import Records
import StateMachine

/// What the small buckets of a page file hold.
struct StoredState {
    var consistentIndex: UInt64 = 0
    var term: UInt64 = 0
    var leases: LeaseTable
    var alarms = AlarmTable()
    var downgrade: DowngradeRecord?
    var authentication = AuthenticationTable()
    var leaseRemainders: LeaseRemainders?
    var clusterVersion: ClusterVersion?

    init(_ pages: ReadTransaction, _ settings: MemberSettings) throws {
        leases = LeaseTable(electionTimeout: settings.electionTimeout, heartbeatInterval: settings.heartbeatInterval)
        let meta = try pages.bucket(BucketName.meta.name)
        consistentIndex = try StoredState.consistentIndex(pages)
        term = try StoredState.number(meta?.value(MetaKey.term))
        try StoredState.forEach(pages, .lease) { _, value in try leases.restore(value) }
        var members: [AlarmMember] = []
        try StoredState.forEach(pages, .alarm) { key, _ in members.append(try AlarmMember(decoding: key)) }
        alarms = AlarmTable(members)
        if let bytes = try pages.bucket(BucketName.cluster.name)?.value(Array("downgrade".utf8)) {
            downgrade = try DowngradeRecord(decodingJSON: [UInt8](bytes))
        }
        if let bytes = try pages.bucket(BucketName.cluster.name)?.value(Array("clusterVersion".utf8)) {
            clusterVersion = try ClusterVersion(parsing: String(decoding: bytes, as: UTF8.self))
        }
        if let bytes = try meta?.value(MetaKey.leaseRemainders) { leaseRemainders = try LeaseRemainders(decoding: bytes) }
        authentication = try StoredState.authentication(pages)
    }

    private static func authentication(_ pages: ReadTransaction) throws -> AuthenticationTable {
        let bucket = try pages.bucket(BucketName.auth.name)
        let revision = try bucket?.value(Array("authRevision".utf8)).map { try number($0) }
        let enabled = try bucket?.value(Array("authEnabled".utf8))
        var users: [UserRecord] = []
        try forEach(pages, .authUsers) { _, value in users.append(try UserRecord(decoding: value)) }
        var roles: [RoleRecord] = []
        try forEach(pages, .authRoles) { _, value in roles.append(try RoleRecord(decoding: value)) }
        return AuthenticationTable(
            isEnabled: enabled.map { $0.count == 1 && $0[0] == 1 } ?? false, revision: revision ?? 1, users: users, roles: roles)
    }

    static func consistentIndex(_ pages: ReadTransaction) throws -> UInt64 {
        try number(pages.bucket(BucketName.meta.name)?.value(MetaKey.consistentIndex))
    }

    private static func number(_ bytes: UnsafeRawBufferPointer?) throws(DecodeError) -> UInt64 {
        guard let bytes else { return 0 }
        var reader = ByteReader(bytes)
        return try reader.bigEndian(UInt64.self)
    }

    static func members(_ pages: ReadTransaction) throws -> [MemberRecord] {
        var members: [MemberRecord] = []
        try forEach(pages, .members) { _, value in members.append(try MemberRecord(decodingJSON: [UInt8](value))) }
        return members.sorted { $0.id < $1.id }
    }

    private static func forEach(
        _ pages: ReadTransaction, _ name: BucketName, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard var cursor = try pages.bucket(name.name)?.cursor() else { return }
        var isValid = try cursor.first()
        while isValid {
            try body(cursor.key, cursor.value)
            isValid = try cursor.next()
        }
    }
}

extension ConfState {
    /// As the `meta` bucket holds it: Go's JSON of raftpb.ConfState, empty lists left out.
    public var metaJSON: [UInt8] {
        func list(_ name: String, _ ids: [MemberID]) -> [JSON.Field] {
            ids.isEmpty ? [] : [JSON.Field(name, .array(ids.map(JSON.integer)))]
        }
        let fields =
            list("voters", voters) + list("learners", learners) + list("voters_outgoing", votersOutgoing)
            + list("learners_next", learnersNext) + [JSON.Field("auto_leave", .bool(autoLeave))]
        return JSON.object(fields).bytes()
    }
}
