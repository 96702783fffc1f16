import Bytes
import EtcdAPI
import MVCC
import Membership

/// What is looked at in one pass over a transaction: of several faults the first that is found is told.
struct TransactionChecks: OptionSet {
    let rawValue: UInt8
    static let puts = TransactionChecks(rawValue: 1)
    static let ranges = TransactionChecks(rawValue: 2)

    /// Up to 3.5 etcd looks at all puts before it looks at any range, from 3.6 on at operations in their order.
    static func passes(_ membership: Membership) -> [TransactionChecks] {
        membership.isAtLeast(3, 6) ? [[.puts, .ranges]] : [.puts, .ranges]
    }
}

/// The branches a transaction takes, decided once before anything is done: one flag per transaction, nested ones in the order
/// in which their parents' chosen branches reach them.
struct TransactionPath {
    private(set) var succeeded: [Bool] = []
    private var next = 0

    /// Evaluates every compare at `current`; ranges in compares read the same moment.
    static func decide(_ request: TxnRequest, _ reader: inout Reader, current: Int64) throws(StoreError) -> TransactionPath {
        var path = TransactionPath()
        try path.follow(request, &reader, current: current)
        return path
    }

    private mutating func follow(_ request: TxnRequest, _ reader: inout Reader, current: Int64) throws(StoreError) {
        var all = true
        for compare in request.compare {
            if try !holds(compare, &reader, current: current) {
                all = false
                break
            }
        }
        succeeded.append(all)
        for operation in all ? request.success : request.failure {
            if case .requestTxn(let nested) = operation.request { try follow(nested, &reader, current: current) }
        }
    }

    /// The next transaction's branch, in the order of ``decide(_:_:current:)``.
    mutating func take() -> Bool {
        defer { next += 1 }
        return succeeded[next]
    }

    mutating func rewind() { next = 0 }
}

/// Every key of the compare's range has to satisfy it; an absent key counts as zeroes, and never satisfies a value compare.
private func holds(_ compare: Compare, _ reader: inout Reader, current: Int64) throws(StoreError) -> Bool {
    let range = KeyRange(key: compare.key, rangeEnd: compare.rangeEnd)
    var result = true
    var found = false
    var failure: StoreError?
    reader.index.visit(range, at: current) { _, place in
        found = true
        do throws(StoreError) {
            let stored = try reader.parsedValue(at: place)
            result = satisfies(compare, stored)
        } catch {
            failure = error
            return false
        }
        return result
    }
    if let failure { throw failure }
    if found { return result }
    if compare.target == .value { return false }
    return orderSatisfies(compare, order(0, compare.number))
}

private func satisfies(_ compare: Compare, _ stored: StoredKeyValue) -> Bool {
    switch compare.target {
    case .value: orderSatisfies(compare, compareBytes(stored.value, compare.value))
    case .create: orderSatisfies(compare, order(stored.createRevision, compare.number))
    case .mod: orderSatisfies(compare, order(stored.modRevision, compare.number))
    case .version: orderSatisfies(compare, order(stored.version, compare.number))
    case .lease: orderSatisfies(compare, order(stored.lease, compare.number))
    case .unrecognized: orderSatisfies(compare, 0)
    }
}

private func order(_ a: Int64, _ b: Int64) -> Int { a < b ? -1 : (a > b ? 1 : 0) }

private func orderSatisfies(_ compare: Compare, _ order: Int) -> Bool {
    switch compare.result {
    case .equal: order == 0
    case .notEqual: order != 0
    case .greater: order > 0
    case .less: order < 0
    default: true
    }
}
