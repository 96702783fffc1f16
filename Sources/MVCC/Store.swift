import Backend
import Bytes
import PageStore
import Synchronization

/// The multi-version store: every key at every revision since the last compaction.
///
/// Confined to the member thread, the only writer. Others read through a ``ReadView``.
public final class Store {
    let index: KeyIndex
    public internal(set) var buffer = WriteBuffer()
    var pages: ReadTransaction
    /// Revision of the newest transaction that changed something; an empty store stands at 1.
    public internal(set) var currentRevision: Int64 = 1
    /// Everything before this revision is gone; -1 before the first compaction.
    public internal(set) var compactRevision: Int64 = -1
    var compaction: Compaction?
    /// Revisions removed by compactions since the start.
    public internal(set) var removedRevisions = 0
    /// Hashes stored by finished compactions, newest last.
    public internal(set) var storedHashes: [KeyValueHash] = []

    /// Tells the stores of a process apart: views of different ones do not follow from each other.
    let generation = Store.generations.wrappingAdd(1, ordering: .relaxed).newValue
    private static let generations = Atomic<UInt64>(0)

    init(index: KeyIndex, pages: ReadTransaction) {
        self.index = index
        self.pages = pages
    }

    /// The live state, the open transaction's changes included. Made anew after every change.
    public func liveReader() throws(StoreError) -> Reader {
        Reader(
            index: index, recent: buffer.recent, pages: try PageValues(pages), currentRevision: currentRevision,
            compactRevision: compactRevision)
    }

    /// An immutable view for readers on other threads, as of the last finished transaction.
    public func publish() -> ReadView {
        ReadView(
            index: index.snapshot(), recent: buffer.recent, pages: pages, currentRevision: currentRevision,
            compactRevision: compactRevision, generation: generation)
    }

    /// The page file holds a group now: readers made from here on look into `pages`, opened after that commit.
    public func committed(group: UInt64, pages: ReadTransaction) {
        buffer.committed(group)
        self.pages = pages
    }

    /// Changes of the small buckets go into the same page-file transaction as the keys of their turn.
    public func put(_ bucket: BucketName, key: [UInt8], value: [UInt8]) { buffer.put(bucket, key: key, value: value) }
    public func delete(_ bucket: BucketName, key: [UInt8]) { buffer.delete(bucket, key: key) }

    /// Hands out what has to be committed next; nil when there is nothing.
    public func sealGroup() -> CommitGroup? { buffer.hasChanges ? buffer.seal() : nil }

    /// Frees index memory that no view can reach any more, a bounded portion at a time.
    public func reclaim() { _ = index.reclaim() }

    public var hasChanges: Bool { buffer.hasChanges }
    public var openChangeCount: Int { buffer.openChangeCount }
    public var openByteCount: Int { buffer.openByteCount }
    public var groupsInFlight: Int { buffer.groupsInFlight }
    public var keyCount: Int { index.liveKeys }
}
