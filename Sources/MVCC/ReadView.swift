import Backend
import PageStore

/// An immutable picture of the store for readers on any thread: taken for a burst of requests, let go before the next.
///
/// It holds on to old pages, old index nodes and uncommitted values, so a view kept for long keeps memory from being reused.
public final class ReadView: Sendable {
    public let currentRevision: Int64
    public let compactRevision: Int64
    /// Of the store it shows. Another one takes its place when a leader's snapshot is installed: then history may have holes
    /// between the two, where the leader had compacted it.
    public let generation: UInt64
    let index: KeySnapshot
    public let recent: RecentValues
    let pages: ReadTransaction

    init(
        index: KeySnapshot, recent: RecentValues, pages: ReadTransaction, currentRevision: Int64, compactRevision: Int64,
        generation: UInt64
    ) {
        self.index = index
        self.recent = recent
        self.pages = pages
        self.currentRevision = currentRevision
        self.compactRevision = compactRevision
        self.generation = generation
    }

    /// A reader with a cursor of its own; it must not outlive the view.
    public func reader() throws(StoreError) -> Reader {
        Reader(
            index: index, recent: recent, pages: try PageValues(pages), currentRevision: currentRevision,
            compactRevision: compactRevision)
    }
}

extension ReadView {
    /// The page file of this view's last commit, piece by piece.
    public func snapshotPages(chunkSize: Int) -> SnapshotPages { SnapshotPages(pages, chunkSize: chunkSize) }
}

/// A consistent copy of a page file, read in chunks by one owner.
public final class SnapshotPages {
    private var stream: SnapshotStream
    public let totalSize: Int

    init(_ pages: ReadTransaction, chunkSize: Int) {
        stream = SnapshotStream(pages, chunkSize: chunkSize)
        totalSize = pages.size
    }

    /// The next chunk, nil at the end.
    public func next() throws(PageFileError) -> [UInt8]? { try stream.next() }
}
