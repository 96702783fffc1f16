import Host

/// One member's part in the consensus: a plain value that takes messages, proposals and the time, and hands out what is to be
/// done.
///
/// The algorithm is Raft (Ongaro and Ousterhout 2014; Ongaro's thesis for the extensions) as etcd 3.5's members speak it, so that
/// both can share a cluster. The owner calls one method at a time, takes ``takeEffects()`` after a batch of calls, obeys them in
/// the order ``Effects`` tells, and calls ``wake(_:)`` at ``nextWake``. Nothing here reads a clock, draws a random number of its
/// own or blocks.
///
/// The extensions of this type, one idea a file: stepping (terms, dispatch), roles, elections, replication (leader), appending
/// (follower), snapshots, reads, proposals, membership, transfer, applying, effects.
public struct RaftNode: Sendable {
    public let configuration: RaftConfiguration
    public internal(set) var term: Term
    var vote: MemberID
    public internal(set) var role = Role.follower
    /// Zero while none is known.
    public internal(set) var leader: MemberID = 0

    var log: MemoryLog
    /// The last entry known to be committed. Invariants: `applied` <= `applying` <= `commit` <= the last index.
    public internal(set) var commit: LogIndex
    /// The last entry handed out to be applied.
    var applying: LogIndex
    /// The last entry the state machine has applied.
    public internal(set) var applied: LogIndex
    /// The bytes of the entries between `applied` and `applying`.
    var applyingBytes = 0
    /// The index of a received snapshot until the state machine has it.
    var installing: LogIndex?
    var writes: WriteQueue

    var cluster: ClusterConfiguration
    /// Kept for everybody in the cluster; it has a meaning only while this member leads.
    var peers = ProgressTable()
    var ballot = Ballot()
    var timer: ElectionTimer
    var duties = LeaderDuties()
    var reads = ReadQueue()

    var outbox = Outbox()
    var counters = RaftCounters()
    var random: SeededRandom

    /// Takes up where the disk says the member stood, as a follower. `now` starts the election timer.
    public init(configuration: RaftConfiguration, restoring state: PersistedState, now: Instant) throws(RaftError) {
        try configuration.validate()
        let lastIndex = try state.validate()
        self.configuration = configuration
        log = MemoryLog(baseIndex: state.snapshotIndex, baseTerm: state.snapshotTerm, entries: state.entries)
        // An entry of a term proves the term began; the record of it may have been torn off behind the entry.
        term = max(state.hardState.term, log.lastTerm)
        vote = term == state.hardState.term ? state.hardState.vote : 0
        commit = max(state.hardState.commit, state.impliedCommit)
        applying = state.applied
        applied = state.applied
        writes = WriteQueue(lastIndex: lastIndex, hardState: state.hardState)
        cluster = try ClusterConfiguration(state.confState)
        random = SeededRandom(seed: configuration.seed)
        timer = ElectionTimer(start: now, patience: configuration.electionTimeout)
        timer.restart(now, timeout: configuration.electionTimeout, &random)
        adoptCluster()
        if cluster.voters.isOnly(configuration.id) {
            // There is no leader to hear from, nor a vote to wait for.
            timer.advance(timer.patience)
        } else if configuration.advancesInitialElection {
            advanceElectionTimer()
        }
        outbox.reported = LeadershipChange(role: role, term: term, leader: leader)
    }

    public var id: MemberID { configuration.id }

    /// The last entry in the log, committed or not.
    public var lastIndex: LogIndex { log.lastIndex }

    /// The first entry the log still holds.
    public var firstIndex: LogIndex { log.firstIndex }

    /// The term of an entry; nil when it was compacted away or never was.
    public func term(at index: LogIndex) -> Term? { log.term(at: index) }

    /// The membership as of the last applied change or snapshot.
    public var confState: ConfState { cluster.confState }

    public var isLearner: Bool { cluster.learners.contains(id) }

    /// Makes the election timer run to within a heartbeat of the election timeout, for a member that just started and whose
    /// connections stand: if nobody speaks up soon, it need not wait long.
    public mutating func advanceElectionTimer() {
        let span = configuration.electionTimeout.nanoseconds - configuration.heartbeatInterval.nanoseconds
        timer.advance(Instant.Span(nanoseconds: span))
    }

    func isWithinElectionTimeout(_ now: Instant) -> Bool { timer.isWithin(configuration.electionTimeout, now) }
}

/// What the current turn has produced so far.
struct Outbox: Equatable, Sendable {
    var messages: [Message] = []
    var messagesAfterSync: [Message] = []
    var snapshot: Snapshot?
    var readStates: [ReadState] = []
    var abandonedReads: [[UInt8]] = []
    var snapshotsWanted: [MemberID] = []
    /// The last leadership told to the owner.
    var reported = LeadershipChange(role: .follower, term: 0, leader: 0)
    var stepDownReason: StepDownReason?
}
