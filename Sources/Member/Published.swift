import EtcdAPI
import MVCC
import Raft
import Records
import StateMachine

/// What event loops know of the member without asking it. Immutable; a new one is published before a turn's answers leave.
public final class Published: Sendable {
    public let view: ReadView
    public let status: MemberStatus

    public init(view: ReadView, status: MemberStatus) {
        self.view = view
        self.status = status
    }
}

public struct MemberStatus: Sendable {
    public var clusterID: UInt64
    public var memberID: UInt64
    public var role: Role
    public var leader: MemberID
    public var term: Term
    public var commitIndex: LogIndex
    public var appliedIndex: LogIndex
    public var isLearner: Bool
    /// No other member votes: whatever this one decides is decided.
    public var isOnlyVoter: Bool
    public var membership: MembershipRecord
    public var alarms: [AlarmMember]
    public var pageFileSize: Int64
    public var pageFileSizeInUse: Int64
    public var quota: Int64?
    public var leaseCount: Int
    public var keyCount: Int
    public var isAuthenticationEnabled: Bool
    /// It has told the cluster its name and URLs, which takes a quorum: etcd's sign that it serves.
    public var isReady: Bool
    public var isCompacting: Bool
    /// Hashes of finished compactions, which HashKV answers at their revision.
    public var storedHashes: [KeyValueHash]
    /// Members found to hold other data than the others, by the newest comparison of a leader.
    public var differences: [DataDifference] = []
    public var counts: AppliedCounts
    /// Proposals on their way through the log.
    public var pendingProposals = 0
    public var authRevision: UInt64 = 1
    /// It stops, and its directory may go to etcd: it names itself Quorate no longer.
    public var isLeaving = false

    public var hasLeader: Bool { leader != 0 }
    /// Reads of the published view are linearizable at once, as nobody else shows anything: a learner hears of what is committed before
    /// this member has applied and published it.
    public var readsAreLinearizable: Bool { isOnlyVoter && membership.members.count <= 1 && role == .leader && isReady }
    public func isRaised(_ alarm: AlarmType) -> Bool { alarms.contains { $0.alarm == alarm } }
    /// This member's own data is known to be wrong, and must not be served.
    public var isKnownCorrupt: Bool { alarms.contains { $0.alarm == .corrupt && $0.memberID == memberID } }
    public var header: ResponseHeader {
        ResponseHeader(clusterId: clusterID, memberId: memberID, revision: 0, raftTerm: term)
    }
}
