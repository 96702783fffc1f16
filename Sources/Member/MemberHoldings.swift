import Raft

/// What a member holds in memory for others, for the simulator's checkers: all of it is bounded, and what belongs to requests is
/// gone when their time is up.
package struct MemberHoldings {
    /// Entries of the log from the oldest kept to the newest applied.
    package let logEntries: LogIndex
    /// The log is kept longer than usual: a snapshot is on its way to or from this member.
    package let holdsLogBack: Bool
    /// Requests that wait for their entry, for a leader, for a read index, and for whatever else a request can wait for.
    package let waiting: Int
    package let parked: Int
    package let reads: Int
    package let others: Int

    package var requests: Int { waiting + parked + reads + others }
}

extension Member {
    package var holdings: MemberHoldings {
        MemberHoldings(
            logEntries: raft.applied - min(raft.applied, raft.firstIndex),
            holdsLogBack: installing != nil || supplyGroup != nil || raft.status.peers.contains { $0.pendingSnapshot > 0 },
            waiting: waiting.count, parked: parked.proposals.count, reads: reads.count,
            others: renewals.count + moves.count + waitingForCommit.count + waitingForDefragmentation.count
                + waitingForCompaction.count)
    }
}
