/// What a member finds on its disk at start.
public struct PersistedState: Equatable, Sendable {
    public var hardState: HardState
    /// The membership as of `applied`.
    public var confState: ConfState
    /// The entry before the first one in `entries`; zero when nothing was ever compacted.
    public var snapshotIndex: LogIndex
    public var snapshotTerm: Term
    /// The log after the snapshot, without gaps.
    public var entries: [Entry]
    /// The last entry the state machine holds durably; at least `snapshotIndex`.
    public var applied: LogIndex

    public init(
        hardState: HardState = HardState(), confState: ConfState = ConfState(), snapshotIndex: LogIndex = 0,
        snapshotTerm: Term = 0, entries: [Entry] = [], applied: LogIndex = 0
    ) {
        self.hardState = hardState
        self.confState = confState
        self.snapshotIndex = snapshotIndex
        self.snapshotTerm = snapshotTerm
        self.entries = entries
        self.applied = applied
    }

    /// What must have been committed, whatever the stored commit index says: that one is not synced on its own, and lags behind.
    ///
    /// What was applied was committed. So was a change of membership that another one follows, for a leader proposes none before
    /// it applied the last. Knowing it keeps a member from campaigning in a cluster two changes old
    /// (``RaftNode/campaign(now:)``), when the entry of the second survived a crash and the commit index that came with it did
    /// not.
    var impliedCommit: LogIndex {
        let changes = entries.filter { $0.kind != .normal }
        return max(applied, changes.dropLast().last?.index ?? 0)
    }

    /// Checks what the rest of the room relies on. Returns the index of the last entry.
    func validate() throws(RaftError) -> LogIndex {
        var index = snapshotIndex
        var term = snapshotTerm
        guard snapshotIndex <= LogIndex.highestPlausible else { throw .brokenLog(index: snapshotIndex) }
        for entry in entries {
            guard entry.index == index + 1, entry.term >= term else {
                throw .brokenLog(index: entry.index)
            }
            index = entry.index
            term = entry.term
        }
        guard hardState.commit <= index else { throw .commitOutOfRange(commit: hardState.commit, last: index) }
        guard applied >= snapshotIndex, applied <= index else {
            throw .appliedOutOfRange(applied: applied, first: snapshotIndex, last: index)
        }
        return index
    }
}
