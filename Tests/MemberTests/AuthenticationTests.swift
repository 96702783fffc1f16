import EtcdAPI
import Host
import Simulation
import Testing

@testable import Member

/// Authentication as the log brings it. Its rules are those of etcd's `server/auth` and `apply_auth.go`.
@Suite struct AuthenticationTests {
    private let bench = Bench()
    /// "secret", as members of etcd 3.5 put a hash into the log: base64.
    private let hash = "c2VjcmV0"

    private func user(_ name: String) -> InternalRaftRequest.Request {
        .authUserAdd(AuthUserAddRequest(name: name, hashedPassword: hash))
    }

    private func grant(_ kind: Permission.Kind, _ key: String, _ end: String) -> InternalRaftRequest.Request {
        let permission = Permission(permType: kind, key: Array(key.utf8), rangeEnd: Array(end.utf8))
        return .authRoleGrantPermission(AuthRoleGrantPermissionRequest(name: "writer", perm: permission))
    }

    private var revision: UInt64 { bench.published.status.authRevision }
    private func root() -> RequestHeader { RequestHeader(username: "root", authRevision: revision) }
    private func alice() -> RequestHeader { RequestHeader(username: "alice", authRevision: revision) }

    private func refusals(
        _ requests: [InternalRaftRequest.Request], _ header: RequestHeader = RequestHeader()
    ) throws -> [EtcdError?] {
        try bench.propose(requests, header: header).map { answer in
            #expect(answer != nil)
            return answer?.refusal
        }
    }

    /// Root and a user alice, who may write "a" to "c" and read "b".
    private func enable() throws {
        try bench.start()
        let requests: [InternalRaftRequest.Request] = [
            user("root"), .authUserGrantRole(AuthUserGrantRoleRequest(user: "root", role: "root")), user("alice"),
            .authRoleAdd(AuthRoleAddRequest(name: "writer")), grant(.write, "a", "b"), grant(.write, "b", "c"),
            grant(.read, "b", ""),
            .authUserGrantRole(AuthUserGrantRoleRequest(user: "alice", role: "writer")), .authEnable(AuthEnableRequest()),
        ]
        #expect(try refusals(requests).allSatisfy { $0 == nil })
    }

    @Test func whatCannotBeIsRefusedAndChangesNothing() throws {
        try bench.start()
        let before = revision
        let requests: [InternalRaftRequest.Request] = [
            .authEnable(AuthEnableRequest()), user(""), .authUserDelete(AuthUserDeleteRequest(name: "x")),
            .authUserGrantRole(AuthUserGrantRoleRequest(user: "x", role: "root")), grant(.read, "a", ""),
            .authRoleAdd(AuthRoleAddRequest(name: "")), .authRoleDelete(AuthRoleDeleteRequest(role: "x")),
            .authDisable(AuthDisableRequest()), .authenticate(InternalAuthenticateRequest(name: "x")),
        ]
        #expect(
            try refusals(requests) == [
                .rootUserNotExist, .userEmpty, .userNotFound, .userNotFound, .roleNotFound, .roleEmpty, .roleNotFound, nil,
                .authNotEnabled,
            ])
        #expect(revision == before && !bench.published.status.isAuthenticationEnabled)
        #expect(try refusals([user("a"), user("a"), grant(.read, "b", "a")]) == [nil, .userAlreadyExist, .invalidAuthMgmt])
        #expect(revision == before + 1)
    }

    @Test func permissionsHoldForWhatTheLogBrings() throws {
        try enable()
        #expect(bench.published.status.isAuthenticationEnabled)
        #expect(bench.events.contains { if case .authenticationSwitched(isOn: true) = $0 { true } else { false } })
        #expect(try refusals([put("a", "1")]) == [.userEmpty])
        #expect(try refusals([put("a", "1"), put("d", "1")], alice()) == [nil, .permissionDenied])
        #expect(try refusals([put("d", "1")], root()) == [nil])
        #expect(try refusals([put("a", "2")], RequestHeader(username: "alice", authRevision: revision - 1)) == [.authOldRevision])
        #expect(try refusals([put("a", "2")], RequestHeader(username: "nobody", authRevision: revision)) == [.permissionDenied])
        // Two permissions that touch are one; one key past them is too much.
        func delete(_ key: String, _ end: String, previous: Bool = false) -> InternalRaftRequest.Request {
            .deleteRange(DeleteRangeRequest(key: Array(key.utf8), rangeEnd: Array(end.utf8), prevKv: previous))
        }
        #expect(
            try refusals(
                [delete("a", "c"), delete("a", "d"), delete("a", "\0"), delete("a", "", previous: true)], alice())
                == [nil, .permissionDenied, .permissionDenied, .permissionDenied])
        #expect(try bench.value("a") == nil && bench.value("d")?.value == Array("1".utf8))
    }

    @Test func transactionsAreCheckedToTheBottom() throws {
        try enable()
        let allowed = RequestOp(request: .requestPut(PutRequest(key: Array("b".utf8))))
        let forbidden = RequestOp(request: .requestPut(PutRequest(key: Array("d".utf8))))
        let nested = RequestOp(request: .requestTxn(TxnRequest(failure: [forbidden])))
        let compare = Compare(key: Array("a".utf8))
        #expect(
            try refusals(
                [
                    .txn(TxnRequest(success: [allowed])), .txn(TxnRequest(success: [allowed, forbidden])),
                    .txn(TxnRequest(success: [nested])), .txn(TxnRequest(compare: [compare], success: [allowed])),
                ], alice()) == [nil, .permissionDenied, .permissionDenied, .permissionDenied])
    }

    @Test func leasesBelongToWhoMayWriteAllTheirKeys() throws {
        try enable()
        #expect(try refusals([.leaseGrant(LeaseGrantRequest(ttl: 5, id: 3)), put("d", "1", lease: 3)], root()) == [nil, nil])
        #expect(
            try refusals([put("a", "1", lease: 3), .leaseRevoke(LeaseRevokeRequest(id: 3))], alice())
                == [.permissionDenied, .permissionDenied])
        // The member ends leases in root's name.
        try bench.run(to: bench.now + .seconds(20))
        #expect(try bench.value("d") == nil && bench.published.status.leaseCount == 0)
    }

    @Test func onlyAdministratorsManage() throws {
        try enable()
        #expect(
            try refusals([user("bob"), .authDisable(AuthDisableRequest())], alice()) == [.permissionDenied, .permissionDenied])
        #expect(
            try refusals(
                [
                    .authUserDelete(AuthUserDeleteRequest(name: "root")),
                    .authUserRevokeRole(AuthUserRevokeRoleRequest(name: "root", role: "root")),
                    .authRoleRevokePermission(
                        AuthRoleRevokePermissionRequest(role: "writer", key: Array("b".utf8), rangeEnd: Array("c".utf8))),
                    .authUserChangePassword(AuthUserChangePasswordRequest(name: "alice", hashedPassword: hash)),
                ], root()) == [.invalidAuthMgmt, .invalidAuthMgmt, nil, nil])
        #expect(try refusals([put("b", "1")], alice()) == [.permissionDenied])
        #expect(try refusals([.authRoleDelete(AuthRoleDeleteRequest(role: "writer"))], root()) == [nil])
        #expect(try refusals([put("a", "1")], alice()) == [.permissionDenied])
    }

    @Test func everythingOutlivesARestartAndEnds() throws {
        try enable()
        try bench.run(to: bench.now + .seconds(1))
        let before = revision
        var random = SeededRandom(seed: 1)
        bench.crash(.lost, &random)
        try bench.start()
        #expect(bench.notices.contains { if case .authenticationEnabled = $0 { true } else { false } })
        #expect(revision == before)
        #expect(try refusals([put("a", "1"), put("d", "1")], alice()) == [nil, .permissionDenied])
        #expect(try refusals([.authDisable(AuthDisableRequest())], root()) == [nil])
        #expect(!bench.published.status.isAuthenticationEnabled && revision == before + 1)
        #expect(try refusals([put("d", "1")]) == [nil])
    }

    @Test func aPasswordInTheClearStopsTheMember() throws {
        try bench.start()
        #expect(throws: MemberFailure.self) {
            try bench.propose([.authUserAdd(AuthUserAddRequest(name: "a", password: "secret"))])
        }
    }
}
