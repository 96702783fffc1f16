/// A member's identity in the cluster. Zero is nobody.
public typealias MemberID = UInt64
/// An election term (Raft paper, section 5.1).
public typealias Term = UInt64
/// A position in the replicated log; the first entry is at 1.
public typealias LogIndex = UInt64

/// What an entry's data means (raftpb.EntryType, same numbers).
public enum EntryKind: Int32, Sendable {
    case normal = 0
    case configurationChange = 1
    case configurationChangeV2 = 2
}

/// One entry of the replicated log. Empty data with kind normal is what a new leader commits first (Raft paper, section 8).
public struct Entry: Equatable, Sendable {
    public var term: Term
    public var index: LogIndex
    public var kind: EntryKind
    public var data: [UInt8]

    public init(term: Term, index: LogIndex, kind: EntryKind = .normal, data: [UInt8] = []) {
        self.term = term
        self.index = index
        self.kind = kind
        self.data = data
    }
}

/// What must be durable before a member answers (Raft paper, figure 2) plus the commit index, which only saves time.
public struct HardState: Equatable, Sendable {
    public var term: Term
    public var vote: MemberID
    public var commit: LogIndex

    public init(term: Term = 0, vote: MemberID = 0, commit: LogIndex = 0) {
        self.term = term
        self.vote = vote
        self.commit = commit
    }
}

/// Who takes part (raftpb.ConfState). While `votersOutgoing` is not empty the configuration is joint (Raft thesis, 4.3).
public struct ConfState: Equatable, Sendable {
    public var voters: [MemberID]
    public var learners: [MemberID]
    public var votersOutgoing: [MemberID]
    public var learnersNext: [MemberID]
    public var autoLeave: Bool

    public init(
        voters: [MemberID] = [], learners: [MemberID] = [], votersOutgoing: [MemberID] = [],
        learnersNext: [MemberID] = [], autoLeave: Bool = false
    ) {
        self.voters = voters
        self.learners = learners
        self.votersOutgoing = votersOutgoing
        self.learnersNext = learnersNext
        self.autoLeave = autoLeave
    }
}

/// A snapshot of the state machine as raft sees it: where it stands and opaque bytes.
public struct Snapshot: Equatable, Sendable {
    public var index: LogIndex
    public var term: Term
    public var confState: ConfState
    public var data: [UInt8]

    public init(index: LogIndex = 0, term: Term = 0, confState: ConfState = ConfState(), data: [UInt8] = []) {
        self.index = index
        self.term = term
        self.confState = confState
        self.data = data
    }
}
