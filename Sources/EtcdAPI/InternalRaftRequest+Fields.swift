/// Each request under the name of its field: nil unless it is the one that is set. Setting one replaces the other.
extension InternalRaftRequest {
    public var range: RangeRequest? {
        get { if case .range(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.range), at: 3) }
    }

    public var put: PutRequest? {
        get { if case .put(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.put), at: 4) }
    }

    public var deleteRange: DeleteRangeRequest? {
        get { if case .deleteRange(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.deleteRange), at: 5) }
    }

    public var txn: TxnRequest? {
        get { if case .txn(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.txn), at: 6) }
    }

    public var compaction: CompactionRequest? {
        get { if case .compaction(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.compaction), at: 7) }
    }

    public var leaseGrant: LeaseGrantRequest? {
        get { if case .leaseGrant(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.leaseGrant), at: 8) }
    }

    public var leaseRevoke: LeaseRevokeRequest? {
        get { if case .leaseRevoke(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.leaseRevoke), at: 9) }
    }

    public var alarm: AlarmRequest? {
        get { if case .alarm(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.alarm), at: 10) }
    }

    public var leaseCheckpoint: LeaseCheckpointRequest? {
        get { if case .leaseCheckpoint(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.leaseCheckpoint), at: 11) }
    }

    public var authEnable: AuthEnableRequest? {
        get { if case .authEnable(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authEnable), at: 1000) }
    }

    public var authDisable: AuthDisableRequest? {
        get { if case .authDisable(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authDisable), at: 1011) }
    }

    public var authenticate: InternalAuthenticateRequest? {
        get { if case .authenticate(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authenticate), at: 1012) }
    }

    public var authStatus: AuthStatusRequest? {
        get { if case .authStatus(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authStatus), at: 1013) }
    }

    public var authUserAdd: AuthUserAddRequest? {
        get { if case .authUserAdd(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authUserAdd), at: 1100) }
    }

    public var authUserDelete: AuthUserDeleteRequest? {
        get { if case .authUserDelete(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authUserDelete), at: 1101) }
    }

    public var authUserGet: AuthUserGetRequest? {
        get { if case .authUserGet(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authUserGet), at: 1102) }
    }

    public var authUserChangePassword: AuthUserChangePasswordRequest? {
        get { if case .authUserChangePassword(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authUserChangePassword), at: 1103) }
    }

    public var authUserGrantRole: AuthUserGrantRoleRequest? {
        get { if case .authUserGrantRole(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authUserGrantRole), at: 1104) }
    }

    public var authUserRevokeRole: AuthUserRevokeRoleRequest? {
        get { if case .authUserRevokeRole(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authUserRevokeRole), at: 1105) }
    }

    public var authUserList: AuthUserListRequest? {
        get { if case .authUserList(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authUserList), at: 1106) }
    }

    public var authRoleList: AuthRoleListRequest? {
        get { if case .authRoleList(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authRoleList), at: 1107) }
    }

    public var authRoleAdd: AuthRoleAddRequest? {
        get { if case .authRoleAdd(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authRoleAdd), at: 1200) }
    }

    public var authRoleDelete: AuthRoleDeleteRequest? {
        get { if case .authRoleDelete(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authRoleDelete), at: 1201) }
    }

    public var authRoleGet: AuthRoleGetRequest? {
        get { if case .authRoleGet(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authRoleGet), at: 1202) }
    }

    public var authRoleGrantPermission: AuthRoleGrantPermissionRequest? {
        get { if case .authRoleGrantPermission(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authRoleGrantPermission), at: 1203) }
    }

    public var authRoleRevokePermission: AuthRoleRevokePermissionRequest? {
        get { if case .authRoleRevokePermission(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.authRoleRevokePermission), at: 1204) }
    }

    public var clusterVersionSet: ClusterVersionSetRequest? {
        get { if case .clusterVersionSet(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.clusterVersionSet), at: 1300) }
    }

    public var clusterMemberAttrSet: ClusterMemberAttrSetRequest? {
        get { if case .clusterMemberAttrSet(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.clusterMemberAttrSet), at: 1301) }
    }

    public var downgradeInfoSet: DowngradeInfoSetRequest? {
        get { if case .downgradeInfoSet(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.downgradeInfoSet), at: 1302) }
    }

    public var downgradeVersionTest: DowngradeVersionTestRequest? {
        get { if case .downgradeVersionTest(let value) = request { value } else { nil } }
        set { set(newValue.map(Request.downgradeVersionTest), at: 9900) }
    }

    private mutating func set(_ value: Request?, at field: Int) {
        if value != nil || request?.field == field { request = value }
    }

    /// It changes or asks for users, roles, or whether authentication is on.
    public var isAboutAuthentication: Bool { request.map { 1000..<1300 ~= $0.field } ?? false }
}
