import Host
import Raft
import Records

/// What one member is told at start; validated before.
public struct MemberSettings: Sendable {
    public var memberID: UInt64
    public var clusterID: UInt64
    public var name: String
    public var clientURLs: [String]
    public var heartbeatInterval: Instant.Span = .milliseconds(100)
    public var electionTimeout: Instant.Span = .milliseconds(1000)
    public var preVote = true
    public var advancesInitialElection = true
    /// Applied entries between raft snapshots.
    public var snapshotCount: UInt64 = 10_000
    /// Entries kept in the log after a snapshot, for followers that are a little behind.
    public var catchUpEntries: UInt64 = 5_000
    public var quota: Int64? = 2 << 30
    /// The etcd version to behave as; its major and minor are the highest cluster version to agree to.
    public var behavesAs = ClusterVersion(3, 6, 14)
    /// Behave as the cluster version that the directory holds, if it holds one: the way back to etcd stays open.
    public var followsDirectory = false
    /// The page file is committed after this long, or this many changes.
    public var commitInterval: Instant.Span = .milliseconds(100)
    public var commitChanges = 10_000
    public var autoCompaction: AutoCompaction.Mode = .off
    public var maximumSnapshotFiles = 5
    public var maximumSegments = 5
    /// Lift this member's NOSPACE alarm once its file has stayed below 90 % of the quota for 30 s.
    public var liftsNoSpace = true
    public var corruption = CorruptionWatch.Settings()
    public var strictReconfiguration = true
    /// The cluster that is joined has this member as a learner; known before the log says so.
    public var joinsAsLearner = false
    public var learnerLimit = 1
    /// Bytes of entries in one message to a follower (etcd's `maxSizePerMsg`).
    public var maximumAppendBytes = 1 << 20
    public var seed: UInt64
    /// The simulator's seeded bug of figure 8 in the Raft paper; see `RaftConfiguration`.
    package var commitsEntriesOfOldTerms = false
    /// Nobody measures where there is none.
    public var meter: (any MemberMeter)?

    public init(memberID: UInt64, clusterID: UInt64, name: String, clientURLs: [String], seed: UInt64) {
        self.memberID = memberID
        self.clusterID = clusterID
        self.name = name
        self.clientURLs = clientURLs
        self.seed = seed
    }

    /// The newest release of a minor version that this member behaves like, as peers are told it.
    public static func release(of version: ClusterVersion) -> ClusterVersion {
        switch (version.major, version.minor) {
        case (3, 5): ClusterVersion(3, 5, 30)
        case (3, 6): ClusterVersion(3, 6, 14)
        case (3, 7): ClusterVersion(3, 7, 1)
        default: version
        }
    }

    /// Whether this member is a learner, as far as it knows.
    func isLearner(in confState: ConfState) -> Bool {
        confState.learners.contains(memberID)
            || (joinsAsLearner && !confState.voters.contains(memberID))
    }

    /// How long a client waits for its request at most (etcd's `ReqTimeout`).
    public var requestTimeout: Instant.Span {
        Instant.Span(nanoseconds: Instant.Span.seconds(5).nanoseconds + 2 * electionTimeout.nanoseconds)
    }
}
