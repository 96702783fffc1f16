import Member
import Records
import StateMachine
import Synchronization
import Telemetry

/// Brings metrics that mirror the published state up to date when somebody asks for them.
final class MetricsRefresh: Sendable {
    private let metrics: MemberMetrics
    private let member: MemberThread
    /// What counters have been told already.
    private let told = Mutex(AppliedCounts())

    init(_ metrics: MemberMetrics, _ member: MemberThread) {
        self.metrics = metrics
        self.member = member
    }

    func run() {
        let published = member.published
        let status = published.status
        metrics.server.hasLeader.set(status.hasLeader)
        metrics.server.isLeader.set(status.role == .leader)
        metrics.server.isLearner.set(status.isLearner)
        metrics.server.proposalsCommitted.set(Int64(clamping: status.commitIndex))
        metrics.server.proposalsApplied.set(Int64(clamping: status.appliedIndex))
        metrics.server.quotaBackendBytes.set(status.quota ?? 0)
        metrics.server.serverID.labelled(MemberIdentity.text(status.memberID)).set(1)
        metrics.mvcc.keys.set(Int64(status.keyCount))
        metrics.mvcc.currentRevision.set(published.view.currentRevision)
        metrics.mvcc.compactRevision.set(published.view.compactRevision)
        metrics.mvcc.databaseSize.set(status.pageFileSize)
        metrics.mvcc.databaseSizeInUse.set(status.pageFileSizeInUse)
        count(status.counts)
    }

    private func count(_ now: AppliedCounts) {
        told.withLock { before in
            metrics.mvcc.puts.increment(by: now.puts - before.puts)
            metrics.mvcc.deletes.increment(by: now.deletes - before.deletes)
            metrics.mvcc.transactions.increment(by: now.transactions - before.transactions)
            metrics.lease.granted.increment(by: now.leasesGranted - before.leasesGranted)
            metrics.lease.revoked.increment(by: now.leasesRevoked - before.leasesRevoked)
            metrics.lease.renewed.increment(by: now.leasesRenewed - before.leasesRenewed)
            before = now
        }
    }
}
