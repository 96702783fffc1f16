/// What a turn of a ``RaftNode`` wants done. The order in which the owner obeys:
///
/// 1. `messages` may leave at once, `readStates`, `leadership` and `abandonedReads` may be published at once.
/// 2. `snapshot`, then `entries`, then `hardState` are written. When `mustSync` is set they are made durable, and then
///    ``RaftNode/persisted(through:now:)`` is called with `batch`. Without `mustSync` nothing needs to be reported: only the
///    commit index changed, and losing it costs time, not safety.
/// 3. `messagesAfterSync` leave once `batch` is durable, never earlier.
/// 4. `committed` entries are applied in order, then ``RaftNode/applied(through:)`` is called; after a `snapshot` was installed
///    likewise, with the snapshot's index.
///
/// Several batches may be on their way to the disk, in order. Taking effects again after 2 yields what became possible by it.
public struct Effects: Equatable, Sendable {
    /// The number of the newest batch handed out that must become durable; zero when there was none yet.
    public var batch: UInt64 = 0
    public var mustSync = false
    /// Nil when nothing changed since the last one handed out.
    public var hardState: HardState?
    /// To append to the stored log; entries stored at the same or higher indexes are void from now on.
    public var entries: [Entry] = []
    /// Replaces the whole log and the state machine. Committed entries handed out earlier and not applied yet are void.
    public var snapshot: Snapshot?
    public var messages: [Message] = []
    /// Votes, vote requests, append responses and whatever tells of a term that is not durable yet.
    public var messagesAfterSync: [Message] = []
    /// Committed, durable here, in order, to be applied. At most ``RaftConfiguration/maximumApplyBytes`` or one entry.
    public var committed: [Entry] = []
    public var readStates: [ReadState] = []
    /// Contexts of local reads this member asked of itself while it led, and can no longer answer.
    public var abandonedReads: [[UInt8]] = []
    /// Followers whose next entry was compacted away. Answer with ``RaftNode/supplySnapshot(_:to:)``; asked for again after
    /// a heartbeat while nothing comes.
    public var snapshotsWanted: [MemberID] = []
    public var leadership: LeadershipChange?

    public init() {}

    /// Nothing to do.
    public var isEmpty: Bool {
        hardState == nil && entries.isEmpty && snapshot == nil && messages.isEmpty && messagesAfterSync.isEmpty
            && committed.isEmpty && readStates.isEmpty && abandonedReads.isEmpty && snapshotsWanted.isEmpty
            && leadership == nil
    }
}

/// The answer to a read index request: once the state machine has applied `index`, a read of it is linearizable.
public struct ReadState: Equatable, Sendable {
    public var index: LogIndex
    /// The bytes the request came with.
    public var context: [UInt8]

    public init(index: LogIndex, context: [UInt8]) {
        self.index = index
        self.context = context
    }
}

/// What a member is in its term.
public enum Role: UInt8, Equatable, Sendable {
    case follower
    case preCandidate
    case candidate
    case leader
}

/// Role, term or known leader changed.
public struct LeadershipChange: Equatable, Sendable {
    public var role: Role
    public var term: Term
    /// Zero while none is known.
    public var leader: MemberID
    /// Why this member no longer leads, when it did at the last report.
    public var stepDownReason: StepDownReason?

    public init(role: Role, term: Term, leader: MemberID, stepDownReason: StepDownReason? = nil) {
        self.role = role
        self.term = term
        self.leader = leader
        self.stepDownReason = stepDownReason
    }
}

/// Why a leader became a follower.
public enum StepDownReason: UInt8, Equatable, Sendable {
    /// A message of a higher term arrived.
    case higherTerm
    /// No quorum answered for an election timeout.
    case quorumLost
    /// Its disk did not finish a write within an election timeout.
    case diskStalled
    /// Its state machine did not make progress for an election timeout.
    case applyStalled
    /// Its owner asked for it.
    case requested
}
