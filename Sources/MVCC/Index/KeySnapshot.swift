/// The key index as it was at one moment, readable on any thread for as long as the object is held.
///
/// `@unchecked Sendable`: everything is immutable. The nodes and records `tree` leads to were written before the snapshot was
/// made, and whoever hands the snapshot to another thread orders that before the reading. The writer changes none of them in
/// place (``RetiredMemory/frozenThrough``) and frees none before it has taken this snapshot's epoch from `releases`, which
/// the lock in there orders after the last reading. `index` is held for its memory alone and none of its variables is read.
public final class KeySnapshot: KeyReading, @unchecked Sendable {
    public let tree: KeyTree
    private let epoch: UInt64
    private let releases: SnapshotReleases
    private let index: KeyIndex

    init(_ index: KeyIndex, epoch: UInt64) {
        tree = index.tree
        self.epoch = epoch
        releases = index.releases
        self.index = index
    }

    deinit { releases.add(epoch) }
}
