import Backend
import Bytes

/// A compaction under way: obsolete revisions are removed in ascending order, a small portion at a time, so that no turn is long.
///
/// The scan starts over after a restart; what was removed before is simply not found again.
struct Compaction {
    let revision: Int64
    /// The compact revision before this one.
    let previous: Int64
    /// Whether the compaction before this one ran to its end, so that the hash covers everything since.
    let previousFinished: Bool
    /// Where the scan goes on.
    var nextMain: Int64
    var nextSub: Int64 = 0
    var hash: KeyValueHasher
}

extension Store {
    /// Changes looked at in one step; a step costs well under a millisecond.
    public static let compactionStepLimit = 500
    /// The same while requests wait for the turn to end.
    public static let busyCompactionStepLimit = 100

    public var isCompacting: Bool { compaction != nil }

    /// Makes `revision` the oldest readable one at once, and begins to remove what nobody can read any more.
    public func compact(at revision: Int64) throws(StoreError) {
        if revision <= compactRevision { throw .compacted }
        if revision > currentRevision { throw .futureRevision }
        startCompaction(at: revision, previousFinished: compaction == nil)
    }

    func startCompaction(at revision: Int64, previousFinished: Bool) {
        let previous = compactRevision
        compactRevision = revision
        buffer.put(.meta, key: MetaKey.scheduledCompactRevision, value: Store.encodedRevision(revision))
        // Something is kept, so that its hash counts nothing else of what is older: the revision's own change at least.
        compaction = Compaction(
            revision: revision, previous: previous, previousFinished: previousFinished, nextMain: 0,
            hash: KeyValueHasher(
                compactRevision: previous, revision: revision,
                coversObsolete: index.count(KeyRange(key: [0], rangeEnd: [0]), at: revision) == 0))
    }

    /// Removes the next portion; returns the hash of the compaction when this step ended it.
    @discardableResult
    public func compactionStep(limit: Int = compactionStepLimit) throws(StoreError) -> KeyValueHash? {
        guard var work = compaction else { return nil }
        var obsolete: [(revision: Revision, tombstone: Bool, key: [UInt8])] = []
        var looked = 0
        var failure: StoreError?
        var last: Revision?
        var reader = try liveReader()
        try reader.forEachChange(from: work.nextMain, through: work.revision) { revision, tombstone, stored in
            if revision.main == work.nextMain, revision.sub < work.nextSub { return true }
            if looked == limit { return false }
            looked += 1
            last = revision
            guard let key = try? StoredKeyValue.key(of: stored) else {
                failure = .corrupt("the key-value at revision \(revision.main).\(revision.sub) cannot be decoded")
                return false
            }
            let isKept = index.keeper(key, at: work.revision)?.revision == revision
            work.hash.update(revision, tombstone: tombstone, stored: stored, isKept: isKept)
            if !isKept { obsolete.append((revision, tombstone, [UInt8](key))) }
            return true
        }
        if let failure { throw failure }
        removedRevisions += obsolete.count
        for item in obsolete { remove(item.revision, tombstone: item.tombstone, key: item.key, compactedAt: work.revision) }
        if looked == limit, let last {
            work.nextMain = last.main
            work.nextSub = last.sub + 1
            compaction = work
            return nil
        }
        return finish(work)
    }

    private func remove(_ revision: Revision, tombstone: Bool, key: [UInt8], compactedAt: Int64) {
        var encoded = ByteWriter(capacity: Revision.encodedLength + 1)
        revision.encode(tombstone: tombstone, into: &encoded)
        buffer.removeCompacted(encoded.array())
        key.withUnsafeBytes { _ = index.trim($0, at: compactedAt) }
    }

    private func finish(_ work: Compaction) -> KeyValueHash {
        compaction = nil
        buffer.put(.meta, key: MetaKey.finishedCompactRevision, value: Store.encodedRevision(work.revision))
        let hash = work.hash.finished
        if work.previousFinished {
            storedHashes.append(hash)
            storedHashes.sort { $0.revision < $1.revision }
            // etcd keeps the ten newest.
            if storedHashes.count > 10 { storedHashes.removeFirst(storedHashes.count - 10) }
        }
        return hash
    }

    static func encodedRevision(_ main: Int64) -> [UInt8] {
        var writer = ByteWriter(capacity: Revision.encodedLength)
        Revision(main: main).encode(tombstone: false, into: &writer)
        return writer.array()
    }
}
