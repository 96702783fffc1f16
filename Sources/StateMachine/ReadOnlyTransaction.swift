import Bytes
import EtcdAPI
import MVCC

/// A transaction of ranges only: it needs no entry in the log and runs against any read view.
public struct ReadOnlyTransaction {
    private let request: TxnRequest

    /// nil when the transaction could change something (nested transactions count as if they did, as in etcd).
    public init?(_ request: TxnRequest) {
        for operation in request.success + request.failure {
            guard case .requestRange = operation.request else { return nil }
        }
        self.request = request
    }

    /// Every range is serializable, so it may be answered without asking the other members; vacuously true without operations.
    public var isSerializable: Bool {
        (request.success + request.failure).allSatisfy {
            if case .requestRange(let range) = $0.request { range.serializable } else { false }
        }
    }

    /// Encodes the `TxnResponse`; returns how many ranges it answers.
    @discardableResult
    public func encode(
        header: ResponseHeader, from reader: inout Reader, into writer: inout ByteWriter
    ) throws(StoreError) -> Int {
        let current = reader.currentRevision
        var path = try TransactionPath.decide(request, &reader, current: current)
        let succeeded = path.take()
        let operations = succeeded ? request.success : request.failure
        for case .requestRange(let range) in operations.map(\.request) {
            _ = try reader.resolve(revision: range.revision, current: current)
        }
        var header = header
        header.revision = current
        writer.message(1) { header.encode(into: &$0) }
        writer.field(2, succeeded)
        for case .requestRange(let range) in operations.map(\.request) {
            try writer.message(3) { writer throws(StoreError) in
                try writer.message(1) { writer throws(StoreError) in
                    try RangeQuery(range).encode(header: ResponseHeader(), from: &reader, current: current, into: &writer)
                }
            }
        }
        return operations.count
    }
}
