import Bytes
import EtcdAPI
import MVCC

/// What a store should hold, the naive way: every change ever made, in order.
struct StoreModel: Equatable {
    struct Change: Equatable {
        let at: Revision
        let isTombstone: Bool
        let value: KeyValue
    }

    /// What a request should be answered.
    enum Reply: Equatable {
        case put(revision: Int64)
        case deleted(Int64, revision: Int64)
        case transaction(succeeded: Bool, revision: Int64)
        case done
        case granted(ttl: Int64)
        case refused(EtcdError)
    }

    private(set) var changes: [Change] = []
    private var newest: [[UInt8]: KeyValue] = [:]
    var revision: Int64 = 1
    var compactRevision: Int64 = -1
    var leases: [Int64: Int64] = [:]

    /// The newest change of every live key at a revision, in key order.
    func live(at revision: Int64) -> [KeyValue] {
        var newest: [[UInt8]: KeyValue] = [:]
        for change in changes where change.at.main <= revision {
            newest[change.value.key] = change.isTombstone ? nil : change.value
        }
        return newest.values.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }

    /// `HashKV` at the newest revision by its definition; nil where nothing lives, when it depends on how far compaction is.
    var hash: UInt32? {
        let kept = Dictionary(uniqueKeysWithValues: live(at: revision).map { ($0.key, $0.modRevision) })
        if kept.isEmpty { return nil }
        var crc = CRC32C.update(0, Array("key".utf8))
        for change in changes {
            if change.at.main <= compactRevision, change.isTombstone || kept[change.value.key] != change.at.main { continue }
            var key = ByteWriter(capacity: 18)
            change.at.encode(tombstone: change.isTombstone, into: &key)
            crc = CRC32C.update(CRC32C.update(crc, key.array()), change.value.encoded())
        }
        return crc
    }

    mutating func apply(_ request: InternalRaftRequest.Request) -> Reply {
        switch request {
        case .put(let put):
            if put.lease != 0, leases[put.lease] == nil { return .refused(.leaseNotFound) }
            var sub: Int64 = 0
            change(put, &sub)
            finish(sub)
            return .put(revision: revision)
        case .deleteRange(let delete):
            var sub: Int64 = 0
            let count = change(delete, &sub)
            finish(sub)
            return .deleted(count, revision: revision)
        case .txn(let transaction): return apply(transaction)
        case .compaction(let compaction):
            if compaction.revision <= compactRevision { return .refused(.compacted) }
            if compaction.revision > revision { return .refused(.futureRevision) }
            compactRevision = compaction.revision
            return .done
        case .leaseGrant(let grant):
            if leases[grant.id] != nil { return .refused(.leaseExist) }
            leases[grant.id] = grant.ttl
            return .granted(ttl: grant.ttl)
        case .leaseRevoke(let revoke): return self.revoke(revoke.id)
        default: preconditionFailure("no such request in these tests")
        }
    }

    private mutating func revoke(_ id: Int64) -> Reply {
        if leases.removeValue(forKey: id) == nil { return .refused(.leaseNotFound) }
        var sub: Int64 = 0
        for value in newest.values.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) where value.lease == id {
            change(DeleteRangeRequest(key: value.key), &sub)
        }
        finish(sub)
        return .done
    }

    /// Only compares of versions, of one key.
    private mutating func apply(_ transaction: TxnRequest) -> Reply {
        let succeeded = transaction.compare.allSatisfy { (newest[$0.key]?.version ?? 0) == $0.number }
        var sub: Int64 = 0
        for operation in succeeded ? transaction.success : transaction.failure {
            switch operation.request {
            case .requestPut(let put): change(put, &sub)
            case .requestDeleteRange(let delete): change(delete, &sub)
            default: break
            }
        }
        finish(sub)
        return .transaction(succeeded: succeeded, revision: revision)
    }

    private mutating func change(_ put: PutRequest, _ sub: inout Int64) {
        let main = revision + 1
        let old = newest[put.key]
        let value = KeyValue(
            key: put.key, createRevision: old?.createRevision ?? main, modRevision: main, version: (old?.version ?? 0) + 1,
            value: put.value, lease: put.lease)
        changes.append(Change(at: Revision(main: main, sub: sub), isTombstone: false, value: value))
        newest[put.key] = value
        sub += 1
    }

    @discardableResult
    private mutating func change(_ delete: DeleteRangeRequest, _ sub: inout Int64) -> Int64 {
        let main = revision + 1
        let range = KeyRange(key: delete.key, rangeEnd: delete.rangeEnd)
        let doomed = newest.keys.filter { key in key.withUnsafeBytes { range.contains($0) } }
        for key in doomed.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            newest[key] = nil
            changes.append(Change(at: Revision(main: main, sub: sub), isTombstone: true, value: KeyValue(key: key)))
            sub += 1
        }
        return Int64(doomed.count)
    }

    private mutating func finish(_ sub: Int64) {
        if sub > 0 { revision += 1 }
    }
}

extension StoreModel {
    /// Why a view does not show this; nil when it does.
    func difference(to view: ReadView) throws -> String? {
        if view.currentRevision != revision { return "revision \(view.currentRevision) instead of \(revision)" }
        if view.compactRevision != compactRevision { return "compacted at \(view.compactRevision) instead of \(compactRevision)" }
        for at in Set([max(compactRevision, 1), (max(compactRevision, 1) + revision) / 2, revision]) {
            let answer = try view.range(RangeRequest(key: [0], rangeEnd: [0], revision: at))
            if answer.kvs != live(at: at) { return "other values at revision \(at)" }
        }
        var found: [Change] = []
        var reader = try view.reader()
        try reader.forEachChange(from: compactRevision + 1, through: .max) { at, tombstone, stored in
            guard let value = try? KeyValue(decoding: stored) else { return false }
            found.append(Change(at: at, isTombstone: tombstone, value: value))
            return true
        }
        if found != changes.filter({ $0.at.main > compactRevision }) { return "other changes since the compaction" }
        let answered = try view.hashKeyValues(at: 0).hash
        if let hash, answered != hash { return "hash \(answered) instead of \(hash)" }
        return nil
    }
}
