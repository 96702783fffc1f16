import EtcdAPI
import Records
import Testing

@testable import Member

/// Of several faults of one transaction the first that etcd finds is told, and releases look in different orders.
@Suite struct TransactionCheckTests {
    private static let leaseless = RequestOp(request: .requestPut(PutRequest(key: [1], lease: 77)))
    private static let valueless = RequestOp(request: .requestPut(PutRequest(key: [2], ignoreValue: true)))
    private static let future = RequestOp(request: .requestRange(RangeRequest(key: [3], revision: 1000)))
    private static let both = RequestOp(request: .requestPut(PutRequest(key: [4], lease: 77, ignoreValue: true)))

    private static func nested(_ operations: [RequestOp]) -> RequestOp {
        RequestOp(request: .requestTxn(TxnRequest(success: operations)))
    }

    @Test(arguments: [5, 6, 7])
    func theFirstFaultIsTold(minor: Int) throws {
        let bench = Bench()
        bench.settings.behavesAs = ClusterVersion(3, minor)
        try bench.start()
        try bench.run(until: { $0.membership.clusterVersion == ClusterVersion(3, minor) }, within: .seconds(10))
        let revision = bench.published.view.currentRevision
        let cases: [([RequestOp], EtcdError)] = [
            ([Self.leaseless, Self.valueless], .leaseNotFound),
            ([Self.valueless, Self.leaseless], .keyNotFound),
            ([Self.both], minor == 7 ? .leaseNotFound : .keyNotFound),
            ([Self.future, Self.leaseless], minor == 5 ? .leaseNotFound : .futureRevision),
            ([Self.nested([Self.future]), Self.valueless], minor == 5 ? .keyNotFound : .futureRevision),
            ([Self.valueless, Self.future], .keyNotFound),
        ]
        for (operations, expected) in cases {
            let answer = try bench.propose([.txn(TxnRequest(success: operations))])[0]
            #expect(answer?.refusal == expected, "\(operations)")
        }
        #expect(bench.published.view.currentRevision == revision)
    }
}
