import ClientAPI
import EtcdAPI
import Host
import LinuxHost
import Member
import Synchronization
import Telemetry

/// Feeds the member's metrics, and warns of slow applies as etcd does.
final class MemberMeasuring: MemberMeter {
    private let metrics: MemberMetrics
    private let log: Log
    /// `--warning-apply-duration`
    private let slowApply: Duration
    private let compactionStart = Mutex<Instant?>(nil)

    init(_ metrics: MemberMetrics, _ log: Log, slowApply: Duration) {
        self.metrics = metrics
        self.log = log
        self.slowApply = slowApply
    }

    func now() -> Instant { SystemClock.now() }

    private func duration(since began: Instant) -> Duration { .nanoseconds((SystemClock.now() - began).nanoseconds) }

    func applied(request: Int, succeeded: Bool, since began: Instant) -> Instant {
        let now = SystemClock.now()
        guard let operation = Operation(requestField: request) else { return now }
        let nanoseconds = (now - began).nanoseconds
        metrics.server.applyDuration.observeAsOnlyWriter(operation, success: succeeded, seconds: Double(nanoseconds) * 1e-9)
        if .nanoseconds(nanoseconds) > slowApply { warn(of: operation, took: .nanoseconds(nanoseconds)) }
        return now
    }

    private func warn(of operation: Telemetry.Operation, took: Duration) {
        metrics.server.slowApplies.increment()
        log.warn(
            "apply request took too long",
            ["took": .duration(took), "expected-duration": .duration(slowApply), "request": .string("\(operation)")])
    }

    func granted(leaseTTL: Int64) { metrics.lease.timeToLive.observe(Double(leaseTTL)) }

    func compacted(revisions: Int, since began: Instant, isFinished: Bool) {
        let start = compactionStart.withLock { start in
            let first = start ?? began
            start = isFinished ? nil : first
            return first
        }
        if isFinished {
            metrics.mvcc.compactionTotal.observeMilliseconds(duration(since: start))
            metrics.mvcc.lastCompaction.set(Int64(SystemClock.wallNanoseconds() / 1_000_000_000))
        }
        let took = duration(since: began)
        // The index is trimmed in the same small step as the pages.
        metrics.mvcc.compactionPause.observeMilliseconds(took)
        metrics.mvcc.indexCompactionPause.observeMilliseconds(took)
        metrics.mvcc.compactedKeys.increment(by: UInt64(revisions))
    }

    func savedSnapshot(since began: Instant) { metrics.snapshot.saveTotal.observeSeconds(duration(since: began)) }
}

extension Operation {
    /// The operation of the request in this field of InternalRaftRequest; 0 stands for a bare v2 request.
    init?(requestField: Int) {
        switch requestField {
        case 0: self = .v2Put
        case 3: self = .range
        case 4: self = .put
        case 5: self = .deleteRange
        case 6: self = .transaction
        case 7: self = .compaction
        case 8: self = .leaseGrant
        case 9: self = .leaseRevoke
        case 10: self = .alarm
        case 11: self = .leaseCheckpoint
        case 1300: self = .clusterVersionSet
        case 1301: self = .clusterMemberAttributesSet
        case 1302: self = .downgradeInfoSet
        case 9900: self = .downgradeVersionTest
        default: self.init(authenticationField: requestField)
        }
    }

    private init?(authenticationField: Int) {
        switch authenticationField {
        case 1000: self = .authEnable
        case 1011: self = .authDisable
        case 1012: self = .authenticate
        case 1100: self = .authUserAdd
        case 1101: self = .authUserDelete
        case 1102: self = .authUserGet
        case 1103: self = .authUserChangePassword
        case 1104: self = .authUserGrantRole
        case 1105: self = .authUserRevokeRole
        case 1106: self = .authUserList
        case 1107: self = .authRoleList
        case 1200: self = .authRoleAdd
        case 1201: self = .authRoleDelete
        case 1202: self = .authRoleGet
        case 1203: self = .authRoleGrantPermission
        case 1204: self = .authRoleRevokePermission
        default: return nil
        }
    }
}
