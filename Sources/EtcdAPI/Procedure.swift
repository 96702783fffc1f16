/// Every remote procedure of etcd's client port. The raw value is dense, for tables and metrics.
public enum Procedure: Int, CaseIterable, Sendable {
    case kvRange
    case kvRangeStream
    case kvPut
    case kvDeleteRange
    case kvTxn
    case kvCompact
    case watch
    case leaseGrant
    case leaseRevoke
    case leaseKeepAlive
    case leaseTimeToLive
    case leaseLeases
    case clusterMemberAdd
    case clusterMemberRemove
    case clusterMemberUpdate
    case clusterMemberList
    case clusterMemberPromote
    case maintenanceAlarm
    case maintenanceStatus
    case maintenanceDefragment
    case maintenanceHash
    case maintenanceHashKV
    case maintenanceSnapshot
    case maintenanceMoveLeader
    case maintenanceDowngrade
    case authEnable
    case authDisable
    case authStatus
    case authenticate
    case authUserAdd
    case authUserGet
    case authUserList
    case authUserDelete
    case authUserChangePassword
    case authUserGrantRole
    case authUserRevokeRole
    case authRoleAdd
    case authRoleGet
    case authRoleList
    case authRoleDelete
    case authRoleGrantPermission
    case authRoleRevokePermission
    case electionCampaign
    case electionProclaim
    case electionLeader
    case electionObserve
    case electionResign
    case lock
    case lockUnlock
    case healthCheck
    case healthList
    case healthWatch

    public enum Kind: String, Sendable {
        case unary
        case clientStream = "client_stream"
        case serverStream = "server_stream"
        case bidirectional = "bidi_stream"
    }

    public var service: String { Procedure.table[rawValue].service }
    public var method: String { Procedure.table[rawValue].method }
    public var kind: Kind { Procedure.table[rawValue].kind }
    /// `/package.Service/Method`, as requests name it.
    public var path: String { "/\(service)/\(method)" }

    /// Services with their methods, in the order of the raw values.
    public static var services: [(service: String, methods: [String])] {
        var services: [(service: String, methods: [String])] = []
        for row in table {
            if services.last?.service == row.service {
                services[services.count - 1].methods.append(row.method)
            } else {
                services.append((row.service, [row.method]))
            }
        }
        return services
    }

    private static let table: [(service: String, method: String, kind: Kind)] = [
        ("etcdserverpb.KV", "Range", .unary),
        ("etcdserverpb.KV", "RangeStream", .serverStream),
        ("etcdserverpb.KV", "Put", .unary),
        ("etcdserverpb.KV", "DeleteRange", .unary),
        ("etcdserverpb.KV", "Txn", .unary),
        ("etcdserverpb.KV", "Compact", .unary),
        ("etcdserverpb.Watch", "Watch", .bidirectional),
        ("etcdserverpb.Lease", "LeaseGrant", .unary),
        ("etcdserverpb.Lease", "LeaseRevoke", .unary),
        ("etcdserverpb.Lease", "LeaseKeepAlive", .bidirectional),
        ("etcdserverpb.Lease", "LeaseTimeToLive", .unary),
        ("etcdserverpb.Lease", "LeaseLeases", .unary),
        ("etcdserverpb.Cluster", "MemberAdd", .unary),
        ("etcdserverpb.Cluster", "MemberRemove", .unary),
        ("etcdserverpb.Cluster", "MemberUpdate", .unary),
        ("etcdserverpb.Cluster", "MemberList", .unary),
        ("etcdserverpb.Cluster", "MemberPromote", .unary),
        ("etcdserverpb.Maintenance", "Alarm", .unary),
        ("etcdserverpb.Maintenance", "Status", .unary),
        ("etcdserverpb.Maintenance", "Defragment", .unary),
        ("etcdserverpb.Maintenance", "Hash", .unary),
        ("etcdserverpb.Maintenance", "HashKV", .unary),
        ("etcdserverpb.Maintenance", "Snapshot", .serverStream),
        ("etcdserverpb.Maintenance", "MoveLeader", .unary),
        ("etcdserverpb.Maintenance", "Downgrade", .unary),
        ("etcdserverpb.Auth", "AuthEnable", .unary),
        ("etcdserverpb.Auth", "AuthDisable", .unary),
        ("etcdserverpb.Auth", "AuthStatus", .unary),
        ("etcdserverpb.Auth", "Authenticate", .unary),
        ("etcdserverpb.Auth", "UserAdd", .unary),
        ("etcdserverpb.Auth", "UserGet", .unary),
        ("etcdserverpb.Auth", "UserList", .unary),
        ("etcdserverpb.Auth", "UserDelete", .unary),
        ("etcdserverpb.Auth", "UserChangePassword", .unary),
        ("etcdserverpb.Auth", "UserGrantRole", .unary),
        ("etcdserverpb.Auth", "UserRevokeRole", .unary),
        ("etcdserverpb.Auth", "RoleAdd", .unary),
        ("etcdserverpb.Auth", "RoleGet", .unary),
        ("etcdserverpb.Auth", "RoleList", .unary),
        ("etcdserverpb.Auth", "RoleDelete", .unary),
        ("etcdserverpb.Auth", "RoleGrantPermission", .unary),
        ("etcdserverpb.Auth", "RoleRevokePermission", .unary),
        ("v3electionpb.Election", "Campaign", .unary),
        ("v3electionpb.Election", "Proclaim", .unary),
        ("v3electionpb.Election", "Leader", .unary),
        ("v3electionpb.Election", "Observe", .serverStream),
        ("v3electionpb.Election", "Resign", .unary),
        ("v3lockpb.Lock", "Lock", .unary),
        ("v3lockpb.Lock", "Unlock", .unary),
        ("grpc.health.v1.Health", "Check", .unary),
        ("grpc.health.v1.Health", "List", .unary),
        ("grpc.health.v1.Health", "Watch", .serverStream),
    ]
}
