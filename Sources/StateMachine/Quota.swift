import EtcdAPI

/// What a request counts against the quota (etcd's `quota.go`: 256 bytes a key-value and 64 a lease on top of key and value).
public enum Quota {
    public static let keyValueOverhead = 256
    static let leaseOverhead = 64

    static func cost(_ put: PutRequest) -> Int { keyValueOverhead + put.key.count + put.value.count }
    public static func cost(_ put: BorrowedPutRequest) -> Int { keyValueOverhead + put.key.count + put.value.count }

    /// The dearer branch; nested transactions count only where `countsNested` (etcd 3.6.14, 3.7.1 on).
    public static func cost(_ transaction: TxnRequest, countsNested: Bool) -> Int {
        max(cost(transaction.success, countsNested), cost(transaction.failure, countsNested))
    }

    private static func cost(_ operations: [RequestOp], _ countsNested: Bool) -> Int {
        operations.reduce(0) { total, operation in
            switch operation.request {
            case .requestPut(let put): total + cost(put)
            case .requestTxn(let nested) where countsNested: total + cost(nested, countsNested: true)
            default: total
            }
        }
    }
}
