import Host

/// The settings of one member's consensus. Defaults are etcd 3.5's (`--heartbeat-interval`, `--election-timeout` and the
/// constants of its server's raft set-up) where etcd has one.
public struct RaftConfiguration: Equatable, Sendable {
    /// This member; never zero.
    public var id: MemberID
    /// Time between a leader's heartbeats.
    public var heartbeatInterval: Instant.Span = .milliseconds(100)
    /// Without a word from a leader for this long and up to twice this long, a member campaigns.
    public var electionTimeout: Instant.Span = .milliseconds(1000)
    /// Ask whether an election could be won before raising the term (Raft thesis, 9.6).
    public var preVote = true
    /// A leader that has not heard from a quorum for an election timeout steps down, and votes are ignored while a leader is
    /// alive (Raft thesis, 6.2 and 4.2.3).
    public var checkQuorum = true
    /// Followers pass proposals on to the leader.
    public var forwardsProposals = true
    /// Start with the election timer one heartbeat away from the election timeout (`--initial-election-tick-advance`). A member
    /// that is the only voter always starts like that.
    public var advancesInitialElection = true
    /// Bytes of entries in one append message; one entry is always sent, however large.
    public var maximumAppendBytes = 1 << 20
    /// Append messages on the way to one follower.
    public var maximumInflightAppends = 512
    /// Payload bytes a leader holds that are not committed. One proposal is always accepted when there are none.
    public var maximumUncommittedBytes = 64 << 20
    /// Bytes of committed entries handed out to be applied and not yet applied.
    public var maximumApplyBytes = 4 << 20
    /// Read index requests that wait for their confirmation.
    public var maximumPendingReads = 8192
    /// A mistake for the simulator to find: a majority that holds an entry of an older term counts as its commit (Raft paper,
    /// figure 8). Never set elsewhere.
    package var commitsEntriesOfOldTerms = false
    /// Where the jitter of election timeouts comes from; give every member another one.
    public var seed: UInt64

    public init(id: MemberID, seed: UInt64) {
        self.id = id
        self.seed = seed
    }

    func validate() throws(RaftError) {
        let reason: String? =
            if id == 0 {
                "member id is zero"
            } else if heartbeatInterval.nanoseconds <= 0 {
                "heartbeat interval must be positive"
            } else if electionTimeout <= heartbeatInterval {
                "election timeout must be longer than the heartbeat interval"
            } else if maximumAppendBytes <= 0 || maximumInflightAppends <= 0 || maximumUncommittedBytes <= 0
                || maximumApplyBytes <= 0 || maximumPendingReads <= 0
            {
                "limits must be positive"
            } else {
                nil
            }
        if let reason { throw .invalidConfiguration(reason) }
    }
}
