/// What is checked of a request before it is proposed or answered (etcd's api/v3rpc): errors here cost the cluster nothing.
public enum RequestCheck {
    /// `sortOptions`: whether unknown sort orders and targets are refused, as from 3.6 on; 3.5 lets them pass.
    public static func range(_ request: RangeRequest, sortOptions: Bool = true) throws(EtcdError) {
        if request.key.isEmpty { throw .emptyKey }
        guard sortOptions else { return }
        if case .unrecognized = request.sortOrder { throw .invalidSortOption }
        if case .unrecognized = request.sortTarget { throw .invalidSortOption }
    }

    /// A range answered in chunks comes in key order, whole.
    public static func rangeStream(_ request: RangeRequest) throws(EtcdError) {
        try range(request)
        let isInKeyOrder = request.sortOrder == .none || (request.sortOrder == .ascend && request.sortTarget == .key)
        if !isInKeyOrder { throw .rangeStreamSortOrder }
        if request.minModRevision != 0 || request.maxModRevision != 0 || request.minCreateRevision != 0
            || request.maxCreateRevision != 0
        {
            throw .rangeStreamRevisionFilter
        }
    }

    public static func put(_ request: PutRequest) throws(EtcdError) {
        if request.key.isEmpty { throw .emptyKey }
        if request.ignoreValue, !request.value.isEmpty { throw .valueProvided }
        if request.ignoreLease, request.lease != 0 { throw .leaseProvided }
    }

    public static func put(_ request: BorrowedPutRequest) throws(EtcdError) {
        if request.key.isEmpty { throw .emptyKey }
        if request.ignoreValue, !request.value.isEmpty { throw .valueProvided }
        if request.ignoreLease, request.lease != 0 { throw .leaseProvided }
    }

    public static func deleteRange(_ request: DeleteRangeRequest) throws(EtcdError) {
        if request.key.isEmpty { throw .emptyKey }
    }

    /// `limit` is `--max-txn-ops`; a nested transaction may use what its parents left of it.
    public static func transaction(_ request: TxnRequest, limit: Int, sortOptions: Bool = true) throws(EtcdError) {
        try operations(request, limit: limit, sortOptions: sortOptions)
        // Only after the count, which bounds what the search for overlaps may cost.
        try overlaps(request.success)
        try overlaps(request.failure)
    }

    /// Peer URLs of a member to be added: at least one, each of a form that members can be reached by.
    public static func memberAdd(_ request: MemberAddRequest) throws(EtcdError) {
        if request.peerURLs.isEmpty || !request.peerURLs.allSatisfy(MemberURL.isValid) { throw .memberBadURLs }
    }

    private static func overlaps(_ operations: [RequestOp]) throws(EtcdError) {
        // A single operation overlaps with nothing, unless it is a transaction itself.
        if operations.count == 1, let only = operations.first?.request {
            guard case .requestTxn = only else { return }
        }
        _ = try TouchedKeys(operations)
    }

    private static func operations(_ request: TxnRequest, limit: Int, sortOptions: Bool) throws(EtcdError) {
        let count = max(request.compare.count, request.success.count, request.failure.count)
        if count > limit { throw .tooManyOps }
        for compare in request.compare where compare.key.isEmpty { throw .emptyKey }
        for operation in request.success { try check(operation, limit: limit - count, sortOptions: sortOptions) }
        for operation in request.failure { try check(operation, limit: limit - count, sortOptions: sortOptions) }
    }

    private static func check(_ operation: RequestOp, limit: Int, sortOptions: Bool) throws(EtcdError) {
        switch operation.request {
        case .requestRange(let range): try RequestCheck.range(range, sortOptions: sortOptions)
        case .requestPut(let put): try RequestCheck.put(put)
        case .requestDeleteRange(let delete): try deleteRange(delete)
        case .requestTxn(let nested): try operations(nested, limit: limit, sortOptions: sortOptions)
        case nil: throw .keyNotFound
        }
    }
}
