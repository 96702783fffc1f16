import EtcdAPI

/// Whether whoever proposed an entry may do what it asks for. Decided when it is applied, on every member alike: a member that did without
/// would hold other keys than the rest. Source: `server/etcdserver/apply_auth.go` of etcd 3.5.30.
extension StateMachine {
    func refusal(of request: InternalRaftRequest) -> EtcdError? {
        guard authentication.isEnabled else { return nil }
        let header = request.header ?? RequestHeader()
        switch request.request {
        case .put(let put): return refusal(of: put, header)
        case .range(let range): return refusal(.read, range.key, range.rangeEnd, header)
        case .deleteRange(let delete): return refusal(of: delete, header)
        case .txn(let transaction): return refusal(of: transaction, header)
        case .leaseRevoke(let revoke): return refusalOfKeys(of: revoke.id, header)
        case .authUserGet(let get):
            return get.name == header.username ? nil : authentication.refusalOfAdministration(header.username)
        case .authRoleGet(let get):
            let isOwn = authentication.users[header.username]?.roles.contains(get.role) ?? false
            return isOwn ? nil : authentication.refusalOfAdministration(header.username)
        case .authenticate: return nil
        default:
            return request.isAboutAuthentication ? authentication.refusalOfAdministration(header.username) : nil
        }
    }

    private func refusal(
        _ access: AuthenticationTable.Access, _ key: [UInt8], _ rangeEnd: [UInt8], _ header: RequestHeader
    ) -> EtcdError? {
        authentication.refusal(of: access, key: key, rangeEnd: rangeEnd, header.username, at: header.authRevision)
    }

    private func refusal(of put: PutRequest, _ header: RequestHeader) -> EtcdError? {
        refusal(.write, put.key, [], header) ?? refusalOfKeys(of: put.lease, header)
            ?? (put.prevKv ? refusal(.read, put.key, [], header) : nil)
    }

    private func refusal(of delete: DeleteRangeRequest, _ header: RequestHeader) -> EtcdError? {
        refusal(.write, delete.key, delete.rangeEnd, header)
            ?? (delete.prevKv ? refusal(.read, delete.key, delete.rangeEnd, header) : nil)
    }

    private func refusal(of transaction: TxnRequest, _ header: RequestHeader) -> EtcdError? {
        for compare in transaction.compare {
            if let refusal = refusal(.read, compare.key, compare.rangeEnd, header) { return refusal }
        }
        for operation in transaction.success + transaction.failure {
            if let refusal = refusal(of: operation, header) { return refusal }
        }
        return nil
    }

    private func refusal(of operation: RequestOp, _ header: RequestHeader) -> EtcdError? {
        switch operation.request {
        case .requestPut(let put): refusal(of: put, header)
        case .requestRange(let range): refusal(.read, range.key, range.rangeEnd, header)
        case .requestDeleteRange(let delete): refusal(of: delete, header)
        case .requestTxn(let nested): refusal(of: nested, header)
        case nil: nil
        }
    }

    /// Who may not write all keys of a lease may neither end it nor put a further key under it.
    private func refusalOfKeys(of lease: Int64, _ header: RequestHeader) -> EtcdError? {
        guard leases.contains(lease), authentication.refusalOfAdministration(header.username) != nil else { return nil }
        for key in leases.keys(of: lease) {
            if let refusal = refusal(.write, key, [], header) { return refusal }
        }
        return nil
    }
}
