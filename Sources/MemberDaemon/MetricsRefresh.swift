import Member
import Telemetry

/// Brings gauges that mirror the published state up to date when somebody asks for them.
enum MetricsRefresh {
    static func run(_ metrics: MemberMetrics, _ member: MemberThread) {
        let published = member.published
        let status = published.status
        metrics.server.hasLeader.set(status.hasLeader)
        metrics.server.isLeader.set(status.role == .leader)
        metrics.server.isLearner.set(status.isLearner)
        metrics.server.proposalsCommitted.set(Int64(clamping: status.commitIndex))
        metrics.server.proposalsApplied.set(Int64(clamping: status.appliedIndex))
        metrics.server.quotaBackendBytes.set(status.quota ?? 0)
        metrics.mvcc.keys.set(Int64(status.keyCount))
        metrics.mvcc.currentRevision.set(published.view.currentRevision)
        metrics.mvcc.compactRevision.set(published.view.compactRevision)
        metrics.mvcc.databaseSize.set(status.pageFileSize)
        metrics.mvcc.databaseSizeInUse.set(status.pageFileSizeInUse)
    }
}
