import Backend
import Bytes

/// The checksum of the `key` bucket up to a revision, as `HashKV` answers it; comparable between members only at equal revision
/// and equal compact revision.
public struct KeyValueHash: Equatable, Sendable {
    public let hash: UInt32
    public let compactRevision: Int64
    public let revision: Int64

    public init(hash: UInt32, compactRevision: Int64, revision: Int64) {
        self.hash = hash
        self.compactRevision = compactRevision
        self.revision = revision
    }
}

/// Folds stored key-values into etcd's hash: CRC-32C over the bucket's name and every key and value that counts.
struct KeyValueHasher {
    private var crc = CRC32C.update(0, BucketName.key.name)
    private let compactRevision: Int64
    private let revision: Int64

    init(compactRevision: Int64, revision: Int64) {
        self.compactRevision = compactRevision
        self.revision = revision
    }

    /// Changes must come in ascending order; of those up to the compact revision, etcd counts what a compaction at the hash's
    /// revision would keep, and where that is nothing at all, whatever the last compaction left.
    ///
    /// - Parameter isKept: for a change up to the compact revision. What was removed may still be read until the page file has
    ///   taken the removal, so this must not follow from the change having been read.
    mutating func update(_ at: Revision, tombstone: Bool, stored: UnsafeRawBufferPointer, isKept: @autoclosure () -> Bool) {
        if at.main > revision { return }
        if at.main <= compactRevision {
            // Releases before 3.5.16 remove a tombstone at the compact revision, later ones keep it; older ones are gone.
            if tombstone || !isKept() { return }
        }
        var key = ByteWriter(capacity: Revision.encodedLength + 1)
        at.encode(tombstone: tombstone, into: &key)
        crc = key.withBytes { CRC32C.update(crc, $0) }
        crc = CRC32C.update(crc, stored)
    }

    var finished: KeyValueHash { KeyValueHash(hash: crc, compactRevision: compactRevision, revision: revision) }
}

extension ReadView {
    /// `HashKV` at a revision (0: the newest). Reads the whole history: run it where nothing waits for it.
    public func hashKeyValues(at requested: Int64) throws(StoreError) -> KeyValueHash {
        if requested > 0, requested < compactRevision { throw .compacted }
        if requested > currentRevision { throw .futureRevision }
        let revision = requested == 0 ? currentRevision : requested
        // etcd answers these too: nothing is that old.
        if revision < 0 {
            return KeyValueHasher(compactRevision: compactRevision, revision: revision).finished
        }
        var reader = try reader()
        let nothingKept = reader.index.count(KeyRange(key: [0], rangeEnd: [0]), at: revision) == 0
        var hasher = KeyValueHasher(compactRevision: compactRevision, revision: revision)
        let keeping = nothingKept ? compactRevision : revision
        let index = reader.index
        var failure: StoreError?
        try reader.forEachChange(from: 0, through: revision) { at, tombstone, stored in
            guard let key = try? StoredKeyValue.key(of: stored) else {
                failure = .corrupt("the key-value at revision \(at.main).\(at.sub) cannot be decoded")
                return false
            }
            hasher.update(at, tombstone: tombstone, stored: stored, isKept: index.get(key, at: keeping)?.revision == at)
            return true
        }
        if let failure { throw failure }
        return hasher.finished
    }
}
