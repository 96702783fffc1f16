/// A writing transaction in the form in which it enters the log.
///
/// Where etcd 3.5 and 3.6 apply an entry that they were not asked for themselves, or apply it again after a start, they leave out the ranges
/// at the top of the transaction, and with them that a range names a revision which is gone or to come: they write what whoever was asked
/// refuses, and part from it (`removeNeedlessRangeReqs` in `server/etcdserver`). Ranges of nested transactions they keep. So each that
/// names a revision is proposed as a transaction of its own, and taken out of it again in the answer.
public struct ShelteredTransaction {
    /// What to propose.
    public let request: TxnRequest
    /// Positions of the ranges that were wrapped, by branch.
    private let success: Set<Int>
    private let failure: Set<Int>

    /// nil where there is nothing to wrap.
    public init?(_ original: TxnRequest) {
        var wrapped = original
        success = ShelteredTransaction.wrap(&wrapped.success)
        failure = ShelteredTransaction.wrap(&wrapped.failure)
        guard !success.isEmpty || !failure.isEmpty else { return nil }
        request = wrapped
    }

    private static func wrap(_ operations: inout [RequestOp]) -> Set<Int> {
        var positions: Set<Int> = []
        for at in operations.indices {
            guard case .requestRange(let range) = operations[at].request, range.revision != 0 else { continue }
            operations[at] = RequestOp(request: .requestTxn(TxnRequest(success: [operations[at]])))
            positions.insert(at)
        }
        return positions
    }

    /// The answer to the original transaction, from that to ``request``.
    public func answer(_ response: TxnResponse) -> TxnResponse {
        var response = response
        for at in (response.succeeded ? success : failure) where at < response.responses.count {
            guard case .responseTxn(let nested) = response.responses[at].response, let inner = nested.responses.first else {
                continue
            }
            response.responses[at] = inner
        }
        return response
    }
}
