/// Kinds of message between members (raftpb.MessageType, same numbers; the ones that never leave a process are left out).
public enum MessageKind: Int32, Sendable {
    case proposal = 2
    case append = 3
    case appendResponse = 4
    case vote = 5
    case voteResponse = 6
    case snapshot = 7
    case heartbeat = 8
    case heartbeatResponse = 9
    case unreachable = 10
    case snapshotStatus = 11
    case transferLeader = 13
    case timeoutNow = 14
    case readIndex = 15
    case readIndexResponse = 16
    case preVote = 17
    case preVoteResponse = 18
}

/// A message between members (raftpb.Message). Which fields matter depends on the kind.
public struct Message: Equatable, Sendable {
    public var kind: MessageKind
    public var to: MemberID
    public var from: MemberID
    public var term: Term
    /// Term of the entry at `index`, for appends; the candidate's last log term, for votes.
    public var logTerm: Term
    public var index: LogIndex
    public var entries: [Entry]
    public var commit: LogIndex
    public var snapshot: Snapshot?
    public var reject: Bool
    /// Where a follower that refuses an append suggests to try next.
    public var rejectHint: LogIndex
    /// Opaque bytes handed back in the answer: read index requests, and "this is a leadership transfer" in votes.
    public var context: [UInt8]

    public init(
        kind: MessageKind, to: MemberID = 0, from: MemberID = 0, term: Term = 0, logTerm: Term = 0, index: LogIndex = 0,
        entries: [Entry] = [], commit: LogIndex = 0, snapshot: Snapshot? = nil, reject: Bool = false,
        rejectHint: LogIndex = 0, context: [UInt8] = []
    ) {
        self.kind = kind
        self.to = to
        self.from = from
        self.term = term
        self.logTerm = logTerm
        self.index = index
        self.entries = entries
        self.commit = commit
        self.snapshot = snapshot
        self.reject = reject
        self.rejectHint = rejectHint
        self.context = context
    }
}
