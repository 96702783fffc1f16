/// The keys that one branch of a transaction puts and deletes, nested transactions included.
///
/// No key may be put twice in one transaction, or put and deleted. The rules are etcd's to the letter, as members of one cluster
/// must agree on what they accept:
/// - the branches of a nested transaction exclude each other, so both may put the same key;
/// - a nested transaction's deletions count for its siblings after it and for the puts around it, not for its siblings before;
/// - a deletion "from this key on" (a range end of one zero byte) is taken for an ordinary range, which is empty.
struct TouchedKeys {
    private var puts: Set<[UInt8]> = []
    private var deletions: KeyIntervals

    /// Throws ``EtcdError/duplicateKey`` where the operations overlap.
    init(_ operations: [RequestOp]) throws(EtcdError) {
        deletions = KeyIntervals(
            operations.compactMap { operation in
                guard case .requestDeleteRange(let delete) = operation.request else { return nil }
                return KeyIntervals.Interval(key: delete.key, rangeEnd: delete.rangeEnd)
            })
        for operation in operations {
            if case .requestTxn(let nested) = operation.request { try include(nested) }
        }
        for operation in operations {
            guard case .requestPut(let put) = operation.request else { continue }
            if deletions.contains(put.key) || !puts.insert(put.key).inserted { throw .duplicateKey }
        }
    }

    private mutating func include(_ nested: TxnRequest) throws(EtcdError) {
        let success = try TouchedKeys(nested.success)
        let failure = try TouchedKeys(nested.failure)
        let nestedPuts = TouchedKeys.union(success.puts, failure.puts)
        if !puts.isDisjoint(with: nestedPuts) { throw .duplicateKey }
        if !deletions.isEmpty {
            for key in nestedPuts where deletions.contains(key) { throw .duplicateKey }
        }
        puts = TouchedKeys.union(puts, nestedPuts)
        deletions.formUnion(success.deletions)
        deletions.formUnion(failure.deletions)
    }

    /// The smaller set goes into the larger one, so that a chain of nested transactions does not copy its keys at each level.
    private static func union(_ a: Set<[UInt8]>, _ b: Set<[UInt8]>) -> Set<[UInt8]> {
        a.count < b.count ? b.union(a) : a.union(b)
    }
}
