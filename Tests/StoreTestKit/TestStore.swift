import Backend
import EtcdAPI
import Host
import MVCC
import PageStore
import Simulation

/// A store on a disk in memory, and beside it what it should hold: every change ever made, in order.
public final class TestStore {
    public enum Operation {
        case put(String, String, lease: Int64 = 0)
        case delete(String, end: String = "")
    }

    public struct Change: Equatable {
        public let at: Revision
        public let isTombstone: Bool
        public let value: KeyValue
    }

    public private(set) var store: Store
    public private(set) var history: [Change] = []
    public private(set) var revision: Int64 = 1
    public private(set) var compactRevision: Int64 = -1
    private var newest: [[UInt8]: KeyValue] = [:]
    private let committer: PageCommitter

    public init() throws {
        var options = PageFileOptions()
        options.access = .read
        options.pageSize = 1024
        options.growthStep = 64 << 10
        let disk = FaultyDisk()
        committer = PageCommitter(try PageFile.open(disk: disk, path: "/db", options: options))
        try committer.createBuckets()
        store = try Store.restore(from: committer.file.beginRead()) { _ in }.store
    }

    public var view: ReadView { store.publish() }

    /// One transaction.
    public func write(_ operations: Operation...) { write(operations) }

    public func write(_ operations: [Operation]) {
        var transaction = MVCC.WriteTransaction(store)
        var sub: Int64 = 0
        for operation in operations {
            switch operation {
            case .put(let key, let value, let lease):
                let key = Array(key.utf8)
                _ = Array(value.utf8).withUnsafeBytes { transaction.put(key, value: $0, lease: lease) }
                note(put: key, Array(value.utf8), lease, &sub)
            case .delete(let key, let end):
                let range = KeyRange(key: Array(key.utf8), rangeEnd: Array(end.utf8))
                _ = transaction.delete(range)
                noteDeletion(of: range, &sub)
            }
        }
        transaction.finish()
        if sub > 0 { revision += 1 }
    }

    private func note(put key: [UInt8], _ value: [UInt8], _ lease: Int64, _ sub: inout Int64) {
        let old = newest[key]
        let stored = KeyValue(
            key: key, createRevision: old?.createRevision ?? revision + 1, modRevision: revision + 1,
            version: (old?.version ?? 0) + 1, value: value, lease: lease)
        newest[key] = stored
        history.append(Change(at: Revision(main: revision + 1, sub: sub), isTombstone: false, value: stored))
        sub += 1
    }

    private func noteDeletion(of range: KeyRange, _ sub: inout Int64) {
        let doomed = newest.keys.filter { key in key.withUnsafeBytes { range.contains($0) } }
        for key in doomed.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            newest[key] = nil
            history.append(Change(at: Revision(main: revision + 1, sub: sub), isTombstone: true, value: KeyValue(key: key)))
            sub += 1
        }
    }

    /// Commits everything to the page file.
    public func commit() throws {
        guard let group = store.sealGroup() else { return }
        store.committed(group: group.number, pages: try committer.commit(group).pages)
    }

    public func compact(at revision: Int64) throws {
        try store.compact(at: revision)
        compactRevision = revision
    }

    /// Runs a compaction to its end.
    @discardableResult
    public func finishCompaction() throws -> KeyValueHash? {
        while store.isCompacting {
            if let hash = try store.compactionStep() { return hash }
        }
        return nil
    }

    /// As after a restart: only the page file remains. Returns keys attached to leases.
    public func reopen() throws -> [(key: [UInt8], lease: Int64)] {
        try commit()
        let restored = try Store.restore(from: committer.file.beginRead()) { _ in }
        store = restored.store
        return restored.leasedKeys
    }

    /// The live keys at a revision, in order.
    public func live(at revision: Int64) -> [KeyValue] {
        var found: [[UInt8]: KeyValue] = [:]
        for change in history where change.at.main <= revision {
            found[change.value.key] = change.isTombstone ? nil : change.value
        }
        return found.values.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }
}
