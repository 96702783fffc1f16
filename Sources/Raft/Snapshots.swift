/// Snapshots take the place of log entries that no longer exist (Raft paper, 7).
extension RaftNode {
    /// Asks the owner for a snapshot. A follower that does not answer would not take it either.
    mutating func requestSnapshot(for position: Int) {
        guard peers.progress[position].isRecentlyActive, !peers.progress[position].isSnapshotRequested else { return }
        peers.progress[position].isSnapshotRequested = true
        outbox.snapshotsWanted.append(peers.members[position])
    }

    /// Sends a snapshot of the state machine to a follower. Its membership must be the one as of its index.
    ///
    /// False when it is of no use: this member does not lead, the follower is unknown or past it, or the log begins after it.
    /// The message leaves with the next effects; tell by ``reportSnapshot(_:succeeded:)`` what became of it.
    @discardableResult
    public mutating func supplySnapshot(_ snapshot: Snapshot, to member: MemberID) -> Bool {
        guard role == .leader, member != id, let position = peers.position(of: member) else { return false }
        guard snapshot.index > peers.progress[position].match, snapshot.index <= commit, snapshot.index >= log.baseIndex,
            peers.progress[position].state != .snapshot
        else { return false }
        peers.progress[position].becomeSnapshot(at: snapshot.index)
        send(Message(kind: .snapshot, to: member, snapshot: snapshot))
        return true
    }

    /// What became of the sending of a snapshot to `member`.
    public mutating func reportSnapshot(_ member: MemberID, succeeded: Bool) {
        guard role == .leader, let position = peers.position(of: member) else { return }
        if peers.progress[position].state == .snapshot { peers.progress[position].endSnapshot(succeeded: succeeded) }
    }

    /// Forgets log entries up to `index`, which must be applied. Keep some for followers that lag.
    public mutating func compactLog(through index: LogIndex) {
        precondition(index <= applied, "compaction of entries that are not applied")
        log.compact(through: index)
    }

    /// The follower's side: takes the leader's snapshot if it is ahead of this log.
    mutating func takeSnapshot(_ message: Message) throws(RaftError) {
        guard let snapshot = message.snapshot else { return }
        let isTaken = try restore(snapshot)
        send(Message(kind: .appendResponse, to: message.from, index: isTaken ? log.lastIndex : commit))
    }

    private mutating func restore(_ snapshot: Snapshot) throws(RaftError) -> Bool {
        if snapshot.index <= commit { return false }
        let newCluster = try ClusterConfiguration(snapshot.confState)
        // A snapshot of a cluster without this member is not for it.
        guard newCluster.members.contains(id) else { return false }
        if log.matches(snapshot.index, term: snapshot.term) {
            // The log holds all of it; applying the entries is cheaper.
            commit = snapshot.index
            return false
        }
        log.restart(at: snapshot.index, term: snapshot.term)
        writes.restart()
        commit = snapshot.index
        applyingBytes = 0
        installing = snapshot.index
        outbox.snapshot = snapshot
        cluster = newCluster
        adoptCluster()
        return true
    }
}
