import Backend
import Bytes
import PageStore

extension Store {
    /// What opening a store found beside the keys themselves.
    public struct Restored {
        public let store: Store
        /// Keys attached to a lease, in key order.
        public let leasedKeys: [(key: [UInt8], lease: Int64)]
        /// Revisions read.
        public let revisionCount: Int
    }

    /// Builds the index from the `key` bucket of a page file's last commit, and resumes a compaction that was interrupted.
    ///
    /// `progress` is called with the number of revisions read, every 100,000.
    public static func restore(from pages: ReadTransaction, progress: (Int) -> Void) throws(StoreError) -> Restored {
        let store = Store(index: KeyIndex(), pages: pages)
        var leases: [[UInt8]: Int64] = [:]
        var newest: Int64 = 1
        var count = 0
        var failure: StoreError?
        var values = try PageValues(pages)
        _ = try values.forEach(from: 0, before: .max) { revision, tombstone, stored in
            do throws(DecodeError) {
                let row = try StoredKeyValue(stored)
                let outcome = store.index.restore(
                    row.key, at: revision, created: tombstone ? 0 : row.createRevision,
                    version: tombstone ? 0 : row.version, tombstone: tombstone)
                if outcome == .invalid {
                    failure = .corrupt("revision \(revision.main).\(revision.sub) is out of order")
                    return false
                }
                if row.lease != 0 || !leases.isEmpty {
                    leases[[UInt8](row.key)] = tombstone || row.lease == 0 ? nil : row.lease
                }
            } catch {
                failure = .corrupt("the key-value at revision \(revision.main).\(revision.sub): \(error)")
                return false
            }
            newest = max(newest, revision.main)
            count += 1
            if count % 100_000 == 0 { progress(count) }
            return true
        }
        if let failure { throw failure }
        try store.restoreRevisions(newest: newest, values: &values)
        let attached = leases.map { (key: $0.key, lease: $0.value) }.sorted { $0.key.lexicographicallyPrecedes($1.key) }
        return Restored(store: store, leasedKeys: attached, revisionCount: count)
    }

    private func restoreRevisions(newest: Int64, values: inout PageValues) throws(StoreError) {
        let finished = try values.metaRevision(MetaKey.finishedCompactRevision)
        let scheduled = try values.metaRevision(MetaKey.scheduledCompactRevision)
        compactRevision = finished ?? -1
        // Compaction may have removed the newest revisions of all: the store never goes back behind it.
        currentRevision = max(newest, compactRevision, scheduled ?? 0)
        if let scheduled, scheduled > compactRevision {
            startCompaction(at: scheduled, previousFinished: false)
        }
    }
}
