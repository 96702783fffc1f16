import Bytes
import EtcdAPI

/// Users and roles are kept as the log says, and permissions hold for what the log brings, whether clients are served or not: without that
/// a member could not go on once authentication is off again, nor hand its directory to etcd. Source: `server/auth/store.go` of etcd 3.5.30.
extension StateMachine {
    private static let enabledKey = Array("authEnabled".utf8)
    private static let revisionKey = Array("authRevision".utf8)

    /// nil when the request is not about authentication.
    func authenticationReply(to request: InternalRaftRequest) throws(AuthenticationGap) -> ApplyReply? {
        guard request.isAboutAuthentication else { return nil }
        if let refusal = try change(request) { return .refused(refusal) }
        if request.authStatus != nil {
            return respond {
                AuthStatusResponse(header: header, enabled: authentication.isEnabled, authRevision: authentication.revision)
                    .encode(into: &$0)
            }
        }
        // The first field of all these answers; nobody waits here for the rest, because no client is served what it asks for.
        return respond { AuthEnableResponse(header: header).encode(into: &$0) }
    }

    private func change(_ request: InternalRaftRequest) throws(AuthenticationGap) -> EtcdError? {
        switch request.request {
        case .authEnable: return enable()
        case .authDisable: disable()
        case .authenticate: return authentication.isEnabled ? nil : .authNotEnabled
        case .authUserAdd(let add): return try addUser(add)
        case .authUserDelete(let delete): return deleteUser(delete.name)
        case .authUserChangePassword(let change): return try changePassword(change)
        case .authUserGrantRole(let grant): return grantRole(grant.role, to: grant.user)
        case .authUserRevokeRole(let revoke): return revokeRole(revoke.role, from: revoke.name)
        case .authRoleAdd(let add): return addRole(add.name)
        case .authRoleDelete(let delete): return deleteRole(delete.role)
        case .authRoleGrantPermission(let grant): return grantPermission(grant)
        case .authRoleRevokePermission(let revoke): return revokePermission(revoke)
        default: break
        }
        return nil
    }

    // MARK: On and off

    private func enable() -> EtcdError? {
        guard !authentication.isEnabled else { return nil }
        guard let root = authentication.users[AuthenticationTable.root] else { return .rootUserNotExist }
        guard root.isRoot else { return .rootRoleNotExist }
        authentication.isEnabled = true
        store.put(.auth, key: Self.enabledKey, value: [1])
        return nil
    }

    private func disable() {
        guard authentication.isEnabled else { return }
        authentication.isEnabled = false
        store.put(.auth, key: Self.enabledKey, value: [0])
        raiseRevision()
    }

    private func raiseRevision() {
        authentication.revision += 1
        let revision = authentication.revision
        store.put(.auth, key: Self.revisionKey, value: (0..<8).map { UInt8(truncatingIfNeeded: revision >> UInt64(56 - 8 * $0)) })
    }

    // MARK: Users

    private func keep(_ user: UserRecord) {
        authentication.users[user.text] = user
        store.put(.authUsers, key: user.name, value: user.encoded())
    }

    private func addUser(_ request: AuthUserAddRequest) throws(AuthenticationGap) -> EtcdError? {
        guard !request.name.isEmpty else { return .userEmpty }
        guard authentication.users[request.name] == nil else { return .userAlreadyExist }
        let options = request.options ?? UserAddOptions()
        var password: [UInt8] = []
        if !options.noPassword {
            guard let hash = try passwordHash(request.password, request.hashedPassword) else { return .authFailed }
            password = hash
        }
        keep(UserRecord(name: Array(request.name.utf8), password: password, options: options))
        raiseRevision()
        return nil
    }

    private func deleteUser(_ name: String) -> EtcdError? {
        if authentication.isEnabled, name == AuthenticationTable.root { return .invalidAuthMgmt }
        guard authentication.users.removeValue(forKey: name) != nil else { return .userNotFound }
        store.delete(.authUsers, key: Array(name.utf8))
        raiseRevision()
        return nil
    }

    private func changePassword(_ request: AuthUserChangePasswordRequest) throws(AuthenticationGap) -> EtcdError? {
        guard var user = authentication.users[request.name] else { return .userNotFound }
        user.password = []
        if user.options?.noPassword != true {
            guard let hash = try passwordHash(request.password, request.hashedPassword) else { return .authFailed }
            user.password = hash
        }
        keep(user)
        raiseRevision()
        return nil
    }

    /// nil when the text is no base64. Up to 3.4 every member hashed the password itself, with a salt of its own: nothing that could be
    /// the same here.
    private func passwordHash(_ password: String, _ hashed: String) throws(AuthenticationGap) -> [UInt8]? {
        guard password.isEmpty || !hashed.isEmpty else { throw AuthenticationGap() }
        return Array(hashed.utf8).withUnsafeBytes { Base64.decode($0) }
    }

    private func grantRole(_ role: String, to name: String) -> EtcdError? {
        guard var user = authentication.users[name] else { return .userNotFound }
        guard role == AuthenticationTable.root || authentication.roles[role] != nil else { return .roleNotFound }
        // Nothing changes then, the revision neither.
        guard !user.roles.contains(role) else { return nil }
        user.roles = (user.roles + [role]).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        keep(user)
        raiseRevision()
        return nil
    }

    private func revokeRole(_ role: String, from name: String) -> EtcdError? {
        if authentication.isEnabled, name == AuthenticationTable.root, role == AuthenticationTable.root {
            return .invalidAuthMgmt
        }
        guard var user = authentication.users[name] else { return .userNotFound }
        guard user.roles.contains(role) else { return .roleNotGranted }
        user.roles.removeAll { $0 == role }
        keep(user)
        raiseRevision()
        return nil
    }

    // MARK: Roles

    private func keep(_ role: RoleRecord) {
        authentication.roles[role.text] = role
        store.put(.authRoles, key: role.name, value: role.encoded())
    }

    private func addRole(_ name: String) -> EtcdError? {
        guard !name.isEmpty else { return .roleEmpty }
        guard authentication.roles[name] == nil else { return .roleAlreadyExist }
        keep(RoleRecord(name: Array(name.utf8)))
        raiseRevision()
        return nil
    }

    private func deleteRole(_ name: String) -> EtcdError? {
        if authentication.isEnabled, name == AuthenticationTable.root { return .invalidAuthMgmt }
        guard authentication.roles.removeValue(forKey: name) != nil else { return .roleNotFound }
        store.delete(.authRoles, key: Array(name.utf8))
        let holders = authentication.users.values.filter { $0.roles.contains(name) }
        for var user in holders.sorted(by: { $0.name.lexicographicallyPrecedes($1.name) }) {
            user.roles.removeAll { $0 == name }
            keep(user)
        }
        raiseRevision()
        return nil
    }

    private func grantPermission(_ request: AuthRoleGrantPermissionRequest) -> EtcdError? {
        guard let permission = request.perm else { return .permissionNotGiven }
        guard permission.isValid else { return .invalidAuthMgmt }
        guard var role = authentication.roles[request.name] else { return .roleNotFound }
        let place = role.keyPermission.firstIndex { !$0.key.lexicographicallyPrecedes(permission.key) }
        if let place, role.keyPermission[place].spans(permission.key, permission.rangeEnd) {
            role.keyPermission[place].permType = permission.permType
        } else {
            // Behind those of the same key, as etcd's sort leaves it.
            let behind = role.keyPermission.firstIndex { permission.key.lexicographicallyPrecedes($0.key) }
            role.keyPermission.insert(permission, at: behind ?? role.keyPermission.count)
        }
        keep(role)
        raiseRevision()
        return nil
    }

    private func revokePermission(_ request: AuthRoleRevokePermissionRequest) -> EtcdError? {
        guard var role = authentication.roles[request.role] else { return .roleNotFound }
        let before = role.keyPermission.count
        role.keyPermission.removeAll { $0.spans(request.key, request.rangeEnd) }
        guard role.keyPermission.count < before else { return .permissionNotGranted }
        keep(role)
        raiseRevision()
        return nil
    }
}

/// An entry of etcd 3.4 or older that carries a password in the clear.
struct AuthenticationGap: Error {}

extension Permission {
    fileprivate func spans(_ key: [UInt8], _ rangeEnd: [UInt8]) -> Bool { self.key == key && self.rangeEnd == rangeEnd }
}
