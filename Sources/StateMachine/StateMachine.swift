import Backend
import Bytes
import EtcdAPI
import Lease
import MVCC
import Membership
import Records

/// Everything that is replicated: keys, leases, alarms, membership and versions. The only writer of it.
///
/// Confined to the member thread. `apply` is a function of the state, the entry and the time leases count from; the time decides
/// only when a lease is due, never what is stored.
public final class StateMachine {
    public struct Settings: Sendable {
        public var clusterID: UInt64
        public var memberID: UInt64
        /// Bytes the page file may grow to before NOSPACE is raised; nil turns the quota off.
        public var quota: Int64?
        public init(clusterID: UInt64, memberID: UInt64, quota: Int64?) {
            self.clusterID = clusterID
            self.memberID = memberID
            self.quota = quota
        }
    }

    public let settings: Settings
    public let store: Store
    /// When leases end is decided here and replicated by revocation: the member promotes, renews and expires them.
    public var leases: LeaseTable
    public internal(set) var alarms: AlarmTable
    public internal(set) var membership: Membership
    /// Index and term of the newest entry whose changes are in the store.
    public internal(set) var appliedIndex: UInt64
    public internal(set) var appliedTerm: UInt64
    public internal(set) var authentication: AuthenticationTable
    public var isAuthenticationEnabled: Bool { authentication.isEnabled }
    public var authRevision: UInt64 { authentication.revision }
    /// The page file's size at its last commit, which quota is measured against.
    public var pageFileSize: Int64 = 0
    /// As found in the directory; ``takeRemainders(lastIndex:)`` decides whether they count.
    public var storedRemainders: LeaseRemainders?
    var scratch = ByteWriter(capacity: 4096)
    /// Requests applied since the start, for metrics.
    public var counts = AppliedCounts()

    public init(
        settings: Settings, store: Store, leases: LeaseTable, alarms: AlarmTable, membership: Membership,
        appliedIndex: UInt64, appliedTerm: UInt64, authentication: AuthenticationTable
    ) {
        self.settings = settings
        self.store = store
        self.leases = leases
        self.alarms = alarms
        self.membership = membership
        self.appliedIndex = appliedIndex
        self.appliedTerm = appliedTerm
        self.authentication = authentication
    }

    /// The header of answers: who answers, and the newest revision.
    public var header: ResponseHeader {
        ResponseHeader(
            clusterId: settings.clusterID, memberId: settings.memberID, revision: store.currentRevision, raftTerm: appliedTerm)
    }

    /// Encodes a response whose first field is the header.
    func respond(_ encode: (inout ByteWriter) -> Void) -> ApplyReply {
        scratch.removeAll(keepingAtMost: 1 << 20)
        encode(&scratch)
        return .response(scratch.array())
    }
}
