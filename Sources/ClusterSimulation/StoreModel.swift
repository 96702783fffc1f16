import Bytes
import EtcdAPI

/// What a store must hold after each entry of the log, the naive way: all changes ever made, in order. It shares no code with the
/// real one, and answers every request that changes something.
struct StoreModel {
    /// One change of one key.
    struct Change {
        let revision: Int64
        /// For a deletion the key and the revision of it.
        let value: KeyValue
        let isDeletion: Bool
        let previous: KeyValue?
    }

    private(set) var changes: [Change] = []
    /// Every value each key ever had; nil where it was deleted.
    private var versions: [[UInt8]: [(revision: Int64, value: KeyValue?)]] = [:]
    /// All keys ever written, in order.
    private var keys: [[UInt8]] = []
    private(set) var revision: Int64 = 1
    private(set) var compactRevision: Int64 = -1
    /// Seconds granted, by id.
    private(set) var leases: [Int64: Int64] = [:]
    /// Members whose NOSPACE alarm is up: while there is one, nothing is written that takes space.
    private(set) var shortOfSpace: Set<UInt64> = []
    let smallestTTL: Int64
    /// The revision that a transaction under way gives its changes; nil before its first.
    private var current: Int64?

    init(smallestTTL: Int64) { self.smallestTTL = smallestTTL }

    /// Applies a request of the log; nil for those that say nothing about keys and leases.
    mutating func apply(_ request: InternalRaftRequest.Request) -> ModelReply? {
        defer {
            if let current { revision = current }
            current = nil
        }
        switch request {
        case .put where !shortOfSpace.isEmpty: return .refused(.noSpace)
        case .leaseGrant where !shortOfSpace.isEmpty: return .refused(.noSpace)
        case .txn(let transaction) where !shortOfSpace.isEmpty && StoreModel.puts(transaction): return .refused(.noSpace)
        case .alarm(let alarm) where alarm.alarm == .nospace:
            if alarm.action == .activate { shortOfSpace.insert(alarm.memberID) }
            if alarm.action == .deactivate { shortOfSpace.remove(alarm.memberID) }
            return .alarm
        case .put(let put): return apply(put)
        case .deleteRange(let delete): return .delete(self.delete(delete))
        case .txn(let transaction): return apply(transaction)
        case .compaction(let compaction):
            if compaction.revision <= compactRevision { return .refused(.compacted) }
            if compaction.revision > revision { return .refused(.futureRevision) }
            compactRevision = compaction.revision
            return .compaction
        case .leaseGrant(let grant):
            if leases[grant.id] != nil { return .refused(.leaseExist) }
            leases[grant.id] = max(grant.ttl, smallestTTL)
            return .grant(id: grant.id, ttl: max(grant.ttl, smallestTTL))
        case .leaseRevoke(let revoke):
            guard leases.removeValue(forKey: revoke.id) != nil else { return .refused(.leaseNotFound) }
            for key in keys(of: revoke.id) { _ = self.delete(DeleteRangeRequest(key: key)) }
            return .revoke
        default: return nil
        }
    }

    private static func puts(_ transaction: TxnRequest) -> Bool {
        (transaction.success + transaction.failure).contains { operation in
            switch operation.request {
            case .requestPut: true
            case .requestTxn(let nested): puts(nested)
            default: false
            }
        }
    }

    // MARK: reading

    private var newest: Int64 { current ?? revision }

    func value(_ key: [UInt8], at revision: Int64) -> KeyValue? {
        guard let all = versions[key] else { return nil }
        return all.last { $0.revision <= revision }?.value
    }

    /// Values of live keys at a revision, in order of their keys.
    func values(_ key: [UInt8], _ rangeEnd: [UInt8], at revision: Int64) -> [KeyValue] {
        if rangeEnd.isEmpty { return value(key, at: revision).map { [$0] } ?? [] }
        return keys.compactMap { StoreModel.isInside($0, key, rangeEnd) ? value($0, at: revision) : nil }
    }

    static func isInside(_ candidate: [UInt8], _ key: [UInt8], _ rangeEnd: [UInt8]) -> Bool {
        if rangeEnd.isEmpty { return candidate == key }
        if candidate.lexicographicallyPrecedes(key) { return false }
        return rangeEnd == [0] || candidate.lexicographicallyPrecedes(rangeEnd)
    }

    /// The live keys of a lease, in order.
    func keys(of lease: Int64) -> [[UInt8]] {
        keys.filter { value($0, at: newest)?.lease == lease }
    }

    /// The answer to a range whose header would tell `current`; only key order is modelled.
    ///
    /// - Parameter compactRevision: as whoever answers knows it.
    func range(_ request: RangeRequest, current: Int64, compactRevision: Int64) -> Result<RangeResponse, EtcdError> {
        if request.revision > current { return .failure(.futureRevision) }
        let at = request.revision > 0 ? request.revision : current
        if at < compactRevision { return .failure(.compacted) }
        let all = values(request.key, request.rangeEnd, at: at)
        var response = RangeResponse(header: ResponseHeader(revision: current), count: Int64(all.count))
        if request.countOnly { return .success(response) }
        let taken = request.limit > 0 ? Array(all.prefix(Int(request.limit))) : all
        response.more = taken.count < all.count
        response.kvs = taken.map { value in
            var value = value
            if request.keysOnly { value.value = [] }
            return value
        }
        return .success(response)
    }

    /// The answer to a transaction of ranges at `current`.
    func readOnly(_ request: TxnRequest, current: Int64, compactRevision: Int64) -> Result<TxnResponse, EtcdError> {
        let succeeded = request.compare.allSatisfy { holds($0, at: current) }
        var response = TxnResponse(header: ResponseHeader(revision: current), succeeded: succeeded)
        for case .requestRange(let range) in (succeeded ? request.success : request.failure).map(\.request) {
            switch self.range(range, current: current, compactRevision: compactRevision) {
            case .success(let found): response.responses.append(ResponseOp(response: .responseRange(found)))
            case .failure(let refusal): return .failure(refusal)
            }
        }
        return .success(response)
    }

    /// Position of the first change at or after a revision.
    func firstChange(from revision: Int64) -> Int {
        var low = 0
        var high = changes.count
        while low < high {
            let middle = (low + high) / 2
            if changes[middle].revision < revision { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

// Writing.
extension StoreModel {
    private mutating func begin() -> Int64 {
        let main = revision + 1
        current = main
        return main
    }

    private mutating func add(_ key: [UInt8], _ value: KeyValue?, at main: Int64) {
        let previous = self.value(key, at: main)
        if versions[key] == nil {
            versions[key] = []
            keys.insert(key, at: keys.firstIndex { key.lexicographicallyPrecedes($0) } ?? keys.count)
        }
        versions[key]!.append((main, value))
        changes.append(
            Change(
                revision: main, value: value ?? KeyValue(key: key, modRevision: main), isDeletion: value == nil,
                previous: previous))
    }

    private mutating func apply(_ put: PutRequest) -> ModelReply {
        if put.lease != 0, leases[put.lease] == nil { return .refused(.leaseNotFound) }
        if put.ignoreValue || put.ignoreLease, value(put.key, at: revision) == nil { return .refused(.keyNotFound) }
        return .put(store(put))
    }

    private mutating func store(_ put: PutRequest) -> PutResponse {
        let old = value(put.key, at: newest)
        let main = begin()
        let value = KeyValue(
            key: put.key, createRevision: old?.createRevision ?? main, modRevision: main, version: (old?.version ?? 0) + 1,
            value: put.ignoreValue ? old!.value : put.value, lease: put.ignoreLease ? old!.lease : put.lease)
        add(put.key, value, at: main)
        return PutResponse(header: ResponseHeader(revision: main), prevKv: put.prevKv ? old : nil)
    }

    private mutating func delete(_ request: DeleteRangeRequest) -> DeleteRangeResponse {
        let doomed = values(request.key, request.rangeEnd, at: newest)
        if !doomed.isEmpty {
            let main = begin()
            for value in doomed { add(value.key, nil, at: main) }
        }
        return DeleteRangeResponse(
            header: ResponseHeader(revision: newest), deleted: Int64(doomed.count), prevKvs: request.prevKv ? doomed : [])
    }

    /// The branches a transaction takes, all decided by the state before it.
    private struct Chosen {
        let succeeded: Bool
        let operations: [RequestOp]
        /// Of the nested ones, in order.
        var nested: [Chosen] = []
    }

    private mutating func apply(_ request: TxnRequest) -> ModelReply {
        let chosen = choose(request)
        if let refusal = whyNot(chosen) { return .refused(refusal) }
        let responses = execute(chosen)
        return .txn(TxnResponse(header: ResponseHeader(revision: newest), succeeded: chosen.succeeded, responses: responses))
    }

    private func choose(_ request: TxnRequest) -> Chosen {
        let succeeded = request.compare.allSatisfy { holds($0, at: revision) }
        var chosen = Chosen(succeeded: succeeded, operations: succeeded ? request.success : request.failure)
        for case .requestTxn(let nested) in chosen.operations.map(\.request) { chosen.nested.append(choose(nested)) }
        return chosen
    }

    private func whyNot(_ chosen: Chosen) -> EtcdError? {
        var nested = chosen.nested[...]
        for operation in chosen.operations {
            switch operation.request {
            case .requestPut(let put):
                if put.ignoreValue || put.ignoreLease, value(put.key, at: revision) == nil { return .keyNotFound }
                if put.lease != 0, leases[put.lease] == nil { return .leaseNotFound }
            case .requestRange(let range):
                if range.revision > revision { return .futureRevision }
                if range.revision > 0, range.revision < compactRevision { return .compacted }
            case .requestTxn: if let refusal = whyNot(nested.removeFirst()) { return refusal }
            default: break
            }
        }
        return nil
    }

    private mutating func execute(_ chosen: Chosen) -> [ResponseOp] {
        var nested = chosen.nested[...]
        return chosen.operations.map { operation in
            switch operation.request {
            case .requestPut(let put): return ResponseOp(response: .responsePut(store(put)))
            case .requestDeleteRange(let delete): return ResponseOp(response: .responseDeleteRange(self.delete(delete)))
            case .requestRange(let request):
                guard case .success(let found) = range(request, current: newest, compactRevision: compactRevision) else {
                    preconditionFailure("ranges of a transaction are checked before it begins")
                }
                return ResponseOp(response: .responseRange(found))
            case .requestTxn:
                let inner = nested.removeFirst()
                let responses = execute(inner)
                return ResponseOp(
                    response: .responseTxn(
                        TxnResponse(header: ResponseHeader(), succeeded: inner.succeeded, responses: responses)))
            case nil: return ResponseOp()
            }
        }
    }

    /// Compares of one key only.
    private func holds(_ compare: Compare, at revision: Int64) -> Bool {
        let value = value(compare.key, at: revision)
        let (a, b): (Int64, Int64)
        switch compare.target {
        case .version: (a, b) = (value?.version ?? 0, compare.number)
        case .create: (a, b) = (value?.createRevision ?? 0, compare.number)
        case .mod: (a, b) = (value?.modRevision ?? 0, compare.number)
        case .lease: (a, b) = (value?.lease ?? 0, compare.number)
        case .value:
            guard let value else { return false }
            let order = value.value == compare.value ? 0 : (value.value.lexicographicallyPrecedes(compare.value) ? -1 : 1)
            (a, b) = (Int64(order), 0)
        default: return true
        }
        switch compare.result {
        case .equal: return a == b
        case .notEqual: return a != b
        case .greater: return a > b
        case .less: return a < b
        default: return true
        }
    }
}

/// What a request is answered, who answers left out.
enum ModelReply: Equatable {
    case put(PutResponse)
    case delete(DeleteRangeResponse)
    case txn(TxnResponse)
    case compaction
    case grant(id: Int64, ttl: Int64)
    case revoke
    /// What it says about who has an alarm is not modelled.
    case alarm
    case refused(EtcdError)
}

extension StoreModel {
    /// `HashKV` at the newest revision by its definition; nil where nothing lives, when it depends on how far compaction is.
    var hash: UInt32? {
        let live = values([0], [0], at: revision)
        if live.isEmpty { return nil }
        let kept = Dictionary(uniqueKeysWithValues: live.map { ($0.key, $0.modRevision) })
        var crc = CRC32C.update(0, Array("key".utf8))
        var main: Int64 = 0
        var sub: Int64 = 0
        for change in changes {
            sub = change.revision == main ? sub + 1 : 0
            main = change.revision
            if main <= compactRevision, change.isDeletion || kept[change.value.key] != main { continue }
            var key = ByteWriter(capacity: 18)
            key.appendBigEndian(main)
            key.append(UInt8(ascii: "_"))
            key.appendBigEndian(sub)
            if change.isDeletion { key.append(UInt8(ascii: "t")) }
            let stored = change.isDeletion ? KeyValue(key: change.value.key) : change.value
            crc = CRC32C.update(CRC32C.update(crc, key.array()), stored.encoded())
        }
        return crc
    }
}
