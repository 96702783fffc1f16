import Backend
import Bytes

/// The checksum of the `key` bucket up to a revision, as `HashKV` answers it; comparable between members only at equal revision
/// and equal compact revision.
public struct KeyValueHash: Equatable, Sendable {
    public let hash: UInt32
    public let compactRevision: Int64
    public let revision: Int64
    /// Nothing lives at the revision. Then etcd counts what compaction has not got to yet as well, so that members that hold the same
    /// may have different hashes.
    public let coversObsolete: Bool

    public init(hash: UInt32, compactRevision: Int64, revision: Int64, coversObsolete: Bool = false) {
        self.hash = hash
        self.compactRevision = compactRevision
        self.revision = revision
        self.coversObsolete = coversObsolete
    }
}

/// Folds stored key-values into etcd's hash: CRC-32C over the bucket's name and every key and value that counts.
struct KeyValueHasher {
    private var crc = CRC32C.update(0, BucketName.key.name)
    private let compactRevision: Int64
    private let revision: Int64
    private let coversObsolete: Bool

    init(compactRevision: Int64, revision: Int64, coversObsolete: Bool) {
        self.compactRevision = compactRevision
        self.revision = revision
        self.coversObsolete = coversObsolete
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

    var finished: KeyValueHash {
        KeyValueHash(hash: crc, compactRevision: compactRevision, revision: revision, coversObsolete: coversObsolete)
    }
}

/// The hash of one view on its way, a slice of the history at a time, so that whoever reads it can rest in between.
public struct KeyValueHashing: Sendable {
    private let view: ReadView
    private let revision: Int64
    /// A compaction at this revision decides which changes up to the compact revision count.
    private let keeping: Int64
    private var hasher: KeyValueHasher
    /// Where the next slice begins.
    private var next = Revision(main: 0)

    /// `at` 0: the newest revision.
    public init(_ view: ReadView, at requested: Int64) throws(StoreError) {
        if requested > 0, requested < view.compactRevision { throw .compacted }
        if requested > view.currentRevision { throw .futureRevision }
        self.view = view
        revision = requested == 0 ? view.currentRevision : requested
        // etcd answers negative ones too: nothing is that old.
        var nothingKept = revision < 0
        if !nothingKept { nothingKept = try view.reader().index.count(KeyRange(key: [0], rangeEnd: [0]), at: revision) == 0 }
        keeping = nothingKept ? view.compactRevision : revision
        hasher = KeyValueHasher(compactRevision: view.compactRevision, revision: revision, coversObsolete: nothingKept)
    }

    /// Reads on for about `bytes` of stored key-values; the hash once everything is read.
    public mutating func step(bytes: Int) throws(StoreError) -> KeyValueHash? {
        if revision < 0 { return hasher.finished }
        var reader = try view.reader()
        let index = reader.index
        var left = bytes
        var failure: StoreError?
        var position = next
        var isDone = true
        var hasher = hasher
        try reader.forEachChange(from: next.main, through: revision) { at, tombstone, stored in
            if at < next { return true }
            if left <= 0 {
                position = at
                isDone = false
                return false
            }
            left -= stored.count
            guard let key = try? StoredKeyValue.key(of: stored) else {
                failure = .corrupt("the key-value at revision \(at.main).\(at.sub) cannot be decoded")
                return false
            }
            hasher.update(at, tombstone: tombstone, stored: stored, isKept: index.get(key, at: keeping)?.revision == at)
            return true
        }
        if let failure { throw failure }
        self.hasher = hasher
        next = position
        return isDone ? hasher.finished : nil
    }
}

extension ReadView {
    /// `HashKV` at a revision (0: the newest). Reads the whole history: run it where nothing waits for it.
    public func hashKeyValues(at requested: Int64) throws(StoreError) -> KeyValueHash {
        var hashing = try KeyValueHashing(self, at: requested)
        while true {
            if let hash = try hashing.step(bytes: .max) { return hash }
        }
    }
}
