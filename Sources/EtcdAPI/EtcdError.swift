/// Every error a client of etcd can see. Clients match on the text, so it is etcd's to the byte (api/v3rpc/rpctypes/error.go).
public enum EtcdError: Error, Hashable, CaseIterable, Sendable {
    case emptyKey
    case keyNotFound
    case valueProvided
    case leaseProvided
    case tooManyOps
    case duplicateKey
    case invalidClientAPIVersion
    case invalidSortOption
    case compacted
    case futureRevision
    case noSpace
    case leaseNotFound
    case leaseExist
    case leaseTTLTooLarge
    case watchCanceled
    case memberExist
    case peerURLExist
    case memberNotEnoughStarted
    case memberBadURLs
    case memberNotFound
    case memberNotLearner
    case learnerNotReady
    case tooManyLearners
    case clusterIDMismatch
    case requestTooLarge
    case tooManyRequests
    case rootUserNotExist
    case rootRoleNotExist
    case userAlreadyExist
    case userEmpty
    case userNotFound
    case roleAlreadyExist
    case roleNotFound
    case roleEmpty
    case authFailed
    case permissionNotGiven
    case permissionDenied
    case roleNotGranted
    case permissionNotGranted
    case authNotEnabled
    case invalidAuthToken
    case invalidAuthMgmt
    case authOldRevision
    case noLeader
    case notLeader
    case leaderChanged
    case notCapable
    case stopped
    case timeout
    case timeoutDueToLeaderFail
    case timeoutDueToConnectionLost
    case timeoutWaitAppliedIndex
    case unhealthy
    case corrupt
    case notSupportedForLearner
    case badLeaderTransferee
    case wrongDowngradeVersionFormat
    case invalidDowngradeTargetVersion
    case clusterVersionUnavailable
    case downgradeInProcess
    case noInflightDowngrade
    case canceled
    case deadlineExceeded
    /// Not in etcd's table: what 3.7 refuses of a streamed range.
    case rangeStreamSortOrder
    case rangeStreamRevisionFilter
}

extension EtcdError {
    /// The status code of releases from 3.6 on, as it goes over the wire.
    ///
    /// etcd means failed precondition and resource exhausted for ``memberNotEnoughStarted`` and ``tooManyRequests``, but hands
    /// gRPC a value that is no status (api/v3rpc/util.go), so clients have always received them as unknown. Its own client goes
    /// by the text.
    public var code: StatusCode {
        switch self {
        case .emptyKey, .keyNotFound, .valueProvided, .leaseProvided, .tooManyOps, .duplicateKey, .invalidClientAPIVersion,
            .invalidSortOption, .memberBadURLs, .requestTooLarge, .userEmpty, .roleEmpty, .authFailed, .permissionNotGiven,
            .invalidAuthMgmt, .authOldRevision, .wrongDowngradeVersionFormat,
            .invalidDowngradeTargetVersion:
            .invalidArgument
        case .compacted, .futureRevision, .leaseTTLTooLarge: .outOfRange
        case .noSpace: .resourceExhausted
        case .leaseNotFound, .memberNotFound: .notFound
        case .leaseExist, .memberExist, .peerURLExist, .memberNotLearner, .learnerNotReady,
            .tooManyLearners, .clusterIDMismatch, .rootUserNotExist, .rootRoleNotExist, .userAlreadyExist, .userNotFound,
            .roleAlreadyExist, .roleNotFound, .roleNotGranted, .permissionNotGranted, .authNotEnabled, .notLeader,
            .notCapable, .notSupportedForLearner, .badLeaderTransferee, .clusterVersionUnavailable, .downgradeInProcess,
            .noInflightDowngrade:
            .failedPrecondition
        case .watchCanceled, .canceled: .canceled
        case .permissionDenied: .permissionDenied
        case .invalidAuthToken: .unauthenticated
        case .noLeader, .leaderChanged, .stopped, .timeout, .timeoutDueToLeaderFail, .timeoutDueToConnectionLost,
            .timeoutWaitAppliedIndex, .unhealthy:
            .unavailable
        case .corrupt: .dataLoss
        case .deadlineExceeded: .deadlineExceeded
        case .rangeStreamSortOrder, .rangeStreamRevisionFilter: .unimplemented
        case .memberNotEnoughStarted, .tooManyRequests: .unknown
        }
    }

    /// The status code that 3.5 sends: three refusals were still counted as unavailability.
    public var codeBefore36: StatusCode {
        switch self {
        case .notCapable, .notSupportedForLearner, .clusterVersionUnavailable: .unavailable
        default: code
        }
    }

    /// The status message, to the byte.
    public var message: String {
        switch self {
        case .emptyKey: "etcdserver: key is not provided"
        case .keyNotFound: "etcdserver: key not found"
        case .valueProvided: "etcdserver: value is provided"
        case .leaseProvided: "etcdserver: lease is provided"
        case .tooManyOps: "etcdserver: too many operations in txn request"
        case .duplicateKey: "etcdserver: duplicate key given in txn request"
        case .invalidClientAPIVersion: "etcdserver: invalid client api version"
        case .invalidSortOption: "etcdserver: invalid sort option"
        case .compacted: "etcdserver: mvcc: required revision has been compacted"
        case .futureRevision: "etcdserver: mvcc: required revision is a future revision"
        case .noSpace: "etcdserver: mvcc: database space exceeded"
        case .leaseNotFound: "etcdserver: requested lease not found"
        case .leaseExist: "etcdserver: lease already exists"
        case .leaseTTLTooLarge: "etcdserver: too large lease TTL"
        case .watchCanceled: "etcdserver: watch canceled"
        case .memberExist: "etcdserver: member ID already exist"
        case .peerURLExist: "etcdserver: Peer URLs already exists"
        case .memberNotEnoughStarted: "etcdserver: re-configuration failed due to not enough started members"
        case .memberBadURLs: "etcdserver: given member URLs are invalid"
        case .memberNotFound: "etcdserver: member not found"
        case .memberNotLearner: "etcdserver: can only promote a learner member"
        case .learnerNotReady: "etcdserver: can only promote a learner member which is in sync with leader"
        case .tooManyLearners: "etcdserver: too many learner members in cluster"
        case .clusterIDMismatch: "etcdserver: cluster ID mismatch"
        case .requestTooLarge: "etcdserver: request is too large"
        case .tooManyRequests: "etcdserver: too many requests"
        case .rootUserNotExist: "etcdserver: root user does not exist"
        case .rootRoleNotExist: "etcdserver: root user does not have root role"
        case .userAlreadyExist: "etcdserver: user name already exists"
        case .userEmpty: "etcdserver: user name is empty"
        case .userNotFound: "etcdserver: user name not found"
        case .roleAlreadyExist: "etcdserver: role name already exists"
        case .roleNotFound: "etcdserver: role name not found"
        case .roleEmpty: "etcdserver: role name is empty"
        case .authFailed: "etcdserver: authentication failed, invalid user ID or password"
        case .permissionNotGiven: "etcdserver: permission not given"
        case .permissionDenied: "etcdserver: permission denied"
        case .roleNotGranted: "etcdserver: role is not granted to the user"
        case .permissionNotGranted: "etcdserver: permission is not granted to the role"
        case .authNotEnabled: "etcdserver: authentication is not enabled"
        case .invalidAuthToken: "etcdserver: invalid auth token"
        case .invalidAuthMgmt: "etcdserver: invalid auth management"
        case .authOldRevision: "etcdserver: revision of auth store is old"
        case .noLeader: "etcdserver: no leader"
        case .notLeader: "etcdserver: not leader"
        case .leaderChanged: "etcdserver: leader changed"
        case .notCapable: "etcdserver: not capable"
        case .stopped: "etcdserver: server stopped"
        case .timeout: "etcdserver: request timed out"
        case .timeoutDueToLeaderFail: "etcdserver: request timed out, possibly due to previous leader failure"
        case .timeoutDueToConnectionLost: "etcdserver: request timed out, possibly due to connection lost"
        case .timeoutWaitAppliedIndex: "etcdserver: request timed out, waiting for the applied index took too long"
        case .unhealthy: "etcdserver: unhealthy cluster"
        case .corrupt: "etcdserver: corrupt cluster"
        case .notSupportedForLearner: "etcdserver: rpc not supported for learner"
        case .badLeaderTransferee: "etcdserver: bad leader transferee"
        case .wrongDowngradeVersionFormat: "etcdserver: wrong downgrade target version format"
        case .invalidDowngradeTargetVersion: "etcdserver: invalid downgrade target version"
        case .clusterVersionUnavailable: "etcdserver: cluster version not found during downgrade"
        case .downgradeInProcess: "etcdserver: cluster has a downgrade job in progress"
        case .noInflightDowngrade: "etcdserver: no inflight downgrade job"
        case .canceled: "etcdserver: request canceled"
        case .deadlineExceeded: "etcdserver: context deadline exceeded"
        case .rangeStreamSortOrder: "RangeStream does not support custom sort orders"
        case .rangeStreamRevisionFilter: "RangeStream does not support revision filters"
        }
    }
}
