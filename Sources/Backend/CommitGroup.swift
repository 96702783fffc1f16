/// What one page-file transaction makes durable: every change of some whole turns, with the applied index that goes with them.
///
/// Index and data travel together always; that is what keeps a crash from skipping or repeating an entry.
public struct CommitGroup: Sendable {
    /// Identifies the group when its commit is reported back; ascending.
    public let number: UInt64
    public internal(set) var batches: [RevisionBatch] = []
    public internal(set) var changes: [BucketChange] = []
    /// Revisions that compaction removes: keys of the `key` bucket.
    public internal(set) var compacted: [[UInt8]] = []

    init(number: UInt64) { self.number = number }

    public var isEmpty: Bool { batches.allSatisfy { $0.count == 0 } && changes.isEmpty && compacted.isEmpty }
    /// Changes of any kind, as `backend-batch-limit` counts them.
    public var changeCount: Int { batches.reduce(0) { $0 + $1.count } + changes.count + compacted.count }
    public var byteCount: Int { batches.reduce(0) { $0 + $1.byteCount } }
}
