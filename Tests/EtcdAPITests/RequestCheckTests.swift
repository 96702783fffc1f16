import Bytes
import Host
import Testing

@testable import EtcdAPI

private func refusal(_ body: () throws(EtcdError) -> Void) -> EtcdError? {
    do throws(EtcdError) { try body() } catch { return error }
    return nil
}

private func put(_ key: String) -> RequestOp { RequestOp(request: .requestPut(PutRequest(key: Array(key.utf8)))) }
private func delete(_ key: String, _ end: String = "") -> RequestOp {
    RequestOp(request: .requestDeleteRange(DeleteRangeRequest(key: Array(key.utf8), rangeEnd: Array(end.utf8))))
}
private func nested(_ success: [RequestOp], _ failure: [RequestOp] = []) -> RequestOp {
    RequestOp(request: .requestTxn(TxnRequest(success: success, failure: failure)))
}

@Suite struct RequestCheckTests {
    @Test func rangesNeedAKeyAndAKnownOrder() {
        #expect(refusal { () throws(EtcdError) in try RequestCheck.range(RangeRequest()) } == .emptyKey)
        var request = RangeRequest(key: [1], sortOrder: .descend, sortTarget: .value)
        #expect(refusal { () throws(EtcdError) in try RequestCheck.range(request) } == nil)
        request.sortOrder = .unrecognized(7)
        #expect(refusal { () throws(EtcdError) in try RequestCheck.range(request) } == .invalidSortOption)
        #expect(refusal { () throws(EtcdError) in try RequestCheck.range(request, sortOptions: false) } == nil)
        request.sortOrder = .none
        request.sortTarget = .unrecognized(-1)
        #expect(refusal { () throws(EtcdError) in try RequestCheck.range(request) } == .invalidSortOption)
    }

    @Test func streamedRangesComeInKeyOrderAndUnfiltered() {
        let check: (RangeRequest) -> EtcdError? = { request in
            refusal { () throws(EtcdError) in try RequestCheck.rangeStream(request) }
        }
        #expect(check(RangeRequest(key: [1], sortOrder: .ascend)) == nil)
        // Without an order the target does not matter.
        #expect(check(RangeRequest(key: [1], sortTarget: .value)) == nil)
        #expect(check(RangeRequest(key: [1], sortOrder: .descend)) == .rangeStreamSortOrder)
        #expect(check(RangeRequest(key: [1], sortOrder: .ascend, sortTarget: .mod)) == .rangeStreamSortOrder)
        #expect(check(RangeRequest(key: [1], maxCreateRevision: 1)) == .rangeStreamRevisionFilter)
        #expect(check(RangeRequest()) == .emptyKey)
    }

    @Test func putsMayNotGiveWhatTheyIgnore() {
        let cases: [(PutRequest, EtcdError?)] = [
            (PutRequest(), .emptyKey), (PutRequest(key: [1], value: [2], lease: 3), nil),
            (PutRequest(key: [1], value: [2], ignoreValue: true), .valueProvided),
            (PutRequest(key: [1], ignoreValue: true), nil),
            (PutRequest(key: [1], lease: 3, ignoreLease: true), .leaseProvided),
            (PutRequest(key: [1], value: [2], ignoreLease: true), nil),
        ]
        for (request, expected) in cases {
            #expect(refusal { () throws(EtcdError) in try RequestCheck.put(request) } == expected)
            request.encoded().withUnsafeBytes { bytes in
                let borrowed = try! BorrowedPutRequest(bytes)
                #expect(refusal { () throws(EtcdError) in try RequestCheck.put(borrowed) } == expected)
            }
        }
    }

    /// Answers of etcd 3.5.30 to the same transactions.
    @Test func transactionsAsEtcdChecksThem() {
        let cases: [([RequestOp], EtcdError?)] = [
            ([put("b"), put("b")], .duplicateKey), ([delete("b"), put("b")], .duplicateKey),
            ([delete("a", "c"), put("b")], .duplicateKey), ([delete("a", "b"), put("b")], nil),
            ([delete("a", "\0"), put("b")], nil), ([delete("\0", "\0"), put("b")], nil), ([delete("b", "b"), put("b")], nil),
            ([delete("z", "\0"), delete("a", "c"), delete("x", "y"), put("b")], .duplicateKey),
            ([delete("b"), delete("a", "c")], nil), ([nested([put("b")]), nested([delete("b")])], nil),
            ([nested([delete("b")]), nested([put("b")])], .duplicateKey), ([nested([put("b")], [put("b")])], nil),
            ([nested([delete("b")], [put("b")])], nil), ([nested([put("b")], [delete("b")])], nil),
            ([nested([put("b")], [put("b")]), nested([put("b")])], .duplicateKey),
            ([put("b"), nested([], [delete("b")])], .duplicateKey), ([nested([], [put("b")]), delete("a", "c")], .duplicateKey),
            ([RequestOp()], .keyNotFound), ([put("")], .emptyKey), ([], nil), ([nested([put("b"), put("b")])], .duplicateKey),
        ]
        for (operations, expected) in cases {
            for request in [TxnRequest(success: operations), TxnRequest(failure: operations)] {
                #expect(
                    refusal { () throws(EtcdError) in try RequestCheck.transaction(request, limit: 128) } == expected,
                    "\(describe(request))")
            }
        }
    }

    @Test func operationsAreCountedPerPath() {
        func check(_ request: TxnRequest, limit: Int = 128) -> EtcdError? {
            refusal { () throws(EtcdError) in try RequestCheck.transaction(request, limit: limit) }
        }
        let many = (0..<128).map { put("\($0)") }
        #expect(check(TxnRequest(success: many, failure: many)) == nil)
        #expect(check(TxnRequest(success: many + [put("k")])) == .tooManyOps)
        #expect(check(TxnRequest(compare: Array(repeating: Compare(key: [1]), count: 129))) == .tooManyOps)
        #expect(check(TxnRequest(compare: [Compare()])) == .emptyKey)
        // Each level takes from what is left for the ones inside.
        #expect(check(NestingTests.nested(127)) == nil)
        #expect(check(NestingTests.nested(128)) == .tooManyOps)
        #expect(check(TxnRequest(success: [nested(Array(many.prefix(3))), put("k")]), limit: 5) == nil)
        #expect(check(TxnRequest(success: [nested(Array(many.prefix(4))), put("k")]), limit: 5) == .tooManyOps)
    }

    /// Answers of etcd 3.5.30 to `MemberAdd`.
    @Test(arguments: [
        ("http://127.0.0.1:999", true), ("http://127.0.0.1:999/", false), ("http://127.0.0.1", false), ("unix://a/b", true),
        ("ftp://1:2", false), ("http://:1", true), ("http://[::1]:5", true), ("http://h:p", false), ("http://h:5?x=y", true),
        ("http://h:5#f", true), (" http://h:6 ", true), ("http://u:p@h:5", true), ("HTTP://h:7", true), ("unix:abc", true),
        ("http://a b:5", false), ("http://h:%35", false), ("unixs://", true), ("", false),
    ])
    func memberURLs(_ url: String, _ isValid: Bool) {
        #expect(MemberURL.isValid(url) == isValid)
        let request = MemberAddRequest(peerURLs: ["https://h:1", url])
        #expect(refusal { () throws(EtcdError) in try RequestCheck.memberAdd(request) } == (isValid ? nil : .memberBadURLs))
    }

    @Test func aMemberHasAURL() {
        #expect(refusal { () throws(EtcdError) in try RequestCheck.memberAdd(MemberAddRequest()) } == .memberBadURLs)
    }
}

/// The rules of ``TouchedKeys`` said of two operations at a time: where their paths through the transaction part decides.
private struct PairwiseModel {
    private struct Step: Equatable {
        let operation: Int
        /// Which branch of the nested transaction; nil for the operation itself.
        let branch: Bool?
    }
    private struct Leaf {
        let path: [Step]
        let request: RequestOp.Request
    }
    private var leaves: [Leaf] = []

    init(_ operations: [RequestOp]) { flatten(operations, []) }

    private mutating func flatten(_ operations: [RequestOp], _ path: [Step]) {
        for (index, operation) in operations.enumerated() {
            if case .requestTxn(let nested) = operation.request {
                flatten(nested.success, path + [Step(operation: index, branch: true)])
                flatten(nested.failure, path + [Step(operation: index, branch: false)])
            } else if let request = operation.request {
                leaves.append(Leaf(path: path + [Step(operation: index, branch: nil)], request: request))
            }
        }
    }

    var hasOverlap: Bool {
        leaves.indices.contains { a in leaves.indices.contains { b in a != b && conflict(leaves[a], leaves[b]) } }
    }

    private func conflict(_ a: Leaf, _ b: Leaf) -> Bool {
        guard case .requestPut(let put) = a.request else { return false }
        let parting = zip(a.path, b.path).first { $0 != $1 }!
        let (here, there) = parting
        if here.operation == there.operation { return false }
        switch b.request {
        case .requestPut(let other): return other.key == put.key
        case .requestDeleteRange(let delete):
            let isHit =
                delete.rangeEnd.isEmpty
                ? delete.key == put.key
                : !put.key.lexicographicallyPrecedes(delete.key) && put.key.lexicographicallyPrecedes(delete.rangeEnd)
            let bothNested = here.branch != nil && there.branch != nil
            return isHit && !(bothNested && there.operation > here.operation)
        default: return false
        }
    }
}

@Suite struct OverlapModelTests {
    private func operations(_ random: inout SeededRandom, depth: Int) -> [RequestOp] {
        (0..<Int.random(in: 0...4, using: &random)).map { _ in
            let key = "\(Int.random(in: 10..<40, using: &random))"
            switch Int.random(in: 0..<(depth > 0 ? 10 : 6), using: &random) {
            case 0: return delete(key)
            case 1: return delete(key, "\(Int.random(in: 10..<40, using: &random))")
            case 2: return delete(key, ["\0", key + "5"].randomElement(using: &random)!)
            case 3...5: return put(key)
            default: return nested(operations(&random, depth: depth - 1), operations(&random, depth: depth - 1))
            }
        }
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func overlapsAreFoundAsByComparingEveryPair(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var overlapping = 0
        for _ in 0..<1500 {
            let operations = operations(&random, depth: 3)
            let found = refusal { () throws(EtcdError) in _ = try TouchedKeys(operations) } == .duplicateKey
            #expect(found == PairwiseModel(operations).hasOverlap, "\(describe(TxnRequest(success: operations))), seed \(seed)")
            overlapping += found ? 1 : 0
        }
        #expect(300..<1200 ~= overlapping, "both outcomes are frequent: \(overlapping)")
    }

    @Test(arguments: [5, 6] as [UInt64])
    func intervalsHoldWhatWasPutIn(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<300 {
            var all: [(UInt8, UInt8)] = []
            var set = KeyIntervals([])
            for _ in 0..<Int.random(in: 1..<12, using: &random) {
                let some = (0..<Int.random(in: 0..<5, using: &random)).map { _ in
                    (UInt8.random(in: 0..<60, using: &random), UInt8.random(in: 0..<60, using: &random))
                }
                all += some
                set.formUnion(KeyIntervals(some.map { KeyIntervals.Interval(key: [$0.0], rangeEnd: [$0.1]) }))
            }
            for key in 0..<60 as Range<UInt8> {
                #expect(set.contains([key]) == all.contains { $0.0 <= key && key < $0.1 }, "\(all) \(key), seed \(seed)")
            }
        }
    }
}
