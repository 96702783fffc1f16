/// Messages that changed nothing, by cause. They only grow.
public struct RaftCounters: Equatable, Sendable {
    /// Meant for another member.
    public var misaddressed: UInt64 = 0
    /// Break the rules of the message's kind: gaps in entries, indexes nobody can have, kinds that never travel.
    public var malformed: UInt64 = 0
    /// Of a term that is over.
    public var outdated: UInt64 = 0
    /// Answers of members this leader does not know.
    public var unknownMember: UInt64 = 0
    /// Vote requests while a leader is alive.
    public var ignoredVotes: UInt64 = 0
    /// Somebody else claimed leadership of a term that has a leader.
    public var conflictingLeader: UInt64 = 0
    /// Proposals other members sent here that could not be taken.
    public var droppedProposals: UInt64 = 0
    /// Read index requests other members sent here that could not be taken.
    public var droppedReads: UInt64 = 0

    public init() {}
}

/// A picture of a member for metrics and the Status request.
public struct RaftStatus: Equatable, Sendable {
    public struct Peer: Equatable, Sendable {
        public var id: MemberID
        public var isLearner: Bool
        /// The highest index known to be durable there.
        public var match: LogIndex
        /// The next entry to send.
        public var next: LogIndex
        public var state: ReplicationState
        /// Append messages on their way.
        public var inflight: Int
        public var isPaused: Bool
        /// Heard of since the last quorum check.
        public var isRecentlyActive: Bool
        /// The index of the snapshot on its way; zero when there is none.
        public var pendingSnapshot: LogIndex
    }

    public var id: MemberID
    public var role: Role
    public var isLearner: Bool
    public var term: Term
    public var vote: MemberID
    /// Zero while none is known.
    public var leader: MemberID
    public var commit: LogIndex
    public var applied: LogIndex
    public var firstIndex: LogIndex
    public var lastIndex: LogIndex
    /// The last entry that is durable here.
    public var durableIndex: LogIndex
    public var configuration: ConfState
    /// Payload bytes a leader holds that are not committed.
    public var uncommittedBytes: Int
    public var pendingReads: Int
    /// Who is to lead next, while a transfer is under way; else zero.
    public var transferTarget: MemberID
    /// In ascending order of ids, this member included; empty unless it leads.
    public var peers: [Peer]
    public var counters: RaftCounters
}

extension RaftNode {
    /// Costs a few array copies; meant for metrics, not for every request. ``role``, ``leader``, ``term`` and ``commit`` are
    /// free.
    public var status: RaftStatus {
        RaftStatus(
            id: configuration.id, role: role, isLearner: isLearner, term: term, vote: vote, leader: leader, commit: commit,
            applied: applied, firstIndex: log.firstIndex, lastIndex: log.lastIndex, durableIndex: writes.durableIndex,
            configuration: cluster.confState, uncommittedBytes: duties.uncommittedBytes, pendingReads: reads.count,
            transferTarget: duties.transferTarget, peers: role == .leader ? peerStatus : [], counters: counters)
    }

    private var peerStatus: [RaftStatus.Peer] {
        zip(peers.members, peers.progress).map { member, progress in
            RaftStatus.Peer(
                id: member, isLearner: cluster.learners.contains(member), match: progress.match, next: progress.next,
                state: progress.state, inflight: progress.window.count, isPaused: progress.isPaused,
                isRecentlyActive: progress.isRecentlyActive, pendingSnapshot: progress.pendingSnapshot)
        }
    }
}
