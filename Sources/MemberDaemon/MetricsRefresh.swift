import ClientAPI
import EtcdAPI
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
    private let told = Mutex(Told())
    private let loops: [LoopCounts]
    private let openReaders: @Sendable () -> Int

    private struct Told {
        var applied = AppliedCounts()
        var ranges = 0
        var transactions = 0
        var events = 0
        var alarms: [AlarmMember] = []
        var differing: Set<UInt64> = []
    }

    /// `openReaders` tells how many read transactions of the page file are open.
    init(
        _ metrics: MemberMetrics, _ member: MemberThread, _ loops: [LoopCounts], openReaders: @escaping @Sendable () -> Int
    ) {
        self.loops = loops
        self.openReaders = openReaders
        self.metrics = metrics
        self.member = member
    }

    func run() {
        let published = member.published
        let status = published.status
        metrics.server.hasLeader.set(status.hasLeader)
        metrics.server.isLeader.set(status.role == .leader)
        metrics.server.isLearner.set(status.isLearner)
        metrics.server.term.set(Int64(clamping: status.term))
        metrics.server.members.set(Int64(status.membership.members.count))
        metrics.server.membersUp.set(Int64(member.membersUp))
        metrics.server.isReady.set(status.isReady)
        metrics.server.proposalsCommitted.set(Int64(clamping: status.commitIndex))
        metrics.server.proposalsApplied.set(Int64(clamping: status.appliedIndex))
        metrics.server.quotaBackendBytes.set(status.quota ?? 0)
        metrics.server.serverID.labelled(MemberIdentity.text(status.memberID)).set(1)
        metrics.mvcc.keys.set(Int64(status.keyCount))
        metrics.mvcc.currentRevision.set(published.view.currentRevision)
        metrics.mvcc.compactRevision.set(published.view.compactRevision)
        metrics.mvcc.databaseSize.set(status.pageFileSize)
        metrics.mvcc.databaseSizeInUse.set(status.pageFileSizeInUse)
        metrics.mvcc.totalPutSize.set(Int64(clamping: status.counts.putBytes))
        metrics.mvcc.openReadTransactions.set(Int64(openReaders()))
        metrics.mvcc.watchers.set(Int64(loops.reduce(0) { $0 + $1.watchers }))
        metrics.mvcc.slowWatchers.set(Int64(loops.reduce(0) { $0 + $1.slowWatchers }))
        metrics.mvcc.watchStreams.set(Int64(loops.reduce(0) { $0 + $1.watchStreams }))
        metrics.server.proposalsPending.set(Int64(status.pendingProposals))
        metrics.server.authRevision.set(Int64(clamping: status.authRevision))
        told.withLock { told in
            count(status.counts, &told)
            note(status.alarms, &told)
            note(Set(status.differences.map(\.member)), &told)
        }
    }

    /// An alarm that was lifted is shown as 0, as Go's client does with a value that was set once.
    private func note(_ alarms: [AlarmMember], _ told: inout Told) {
        for alarm in told.alarms { gauge(alarm).set(0) }
        for alarm in alarms { gauge(alarm).set(1) }
        told.alarms = alarms + told.alarms.filter { !alarms.contains($0) }
    }

    private func note(_ differing: Set<UInt64>, _ told: inout Told) {
        told.differing.formUnion(differing)
        for member in told.differing {
            metrics.server.dataDifferences.labelled(MemberIdentity.text(member)).set(differing.contains(member) ? 1 : 0)
        }
    }

    private func gauge(_ alarm: AlarmMember) -> Gauge {
        metrics.server.alarms.labelled(MemberIdentity.text(alarm.memberID), alarm.alarm == .corrupt ? "CORRUPT" : "NOSPACE")
    }

    private func count(_ now: AppliedCounts, _ told: inout Told) {
        let before = told.applied
        let ranges = loops.reduce(0) { $0 + $1.ranges }
        let transactions = loops.reduce(0) { $0 + $1.transactions }
        let events = loops.reduce(0) { $0 + $1.events }
        metrics.mvcc.ranges.increment(by: now.ranges - before.ranges + UInt64(ranges - told.ranges))
        metrics.mvcc.puts.increment(by: now.puts - before.puts)
        metrics.mvcc.deletes.increment(by: now.deletes - before.deletes)
        metrics.mvcc.transactions.increment(
            by: now.transactions - before.transactions + UInt64(transactions - told.transactions))
        metrics.mvcc.events.increment(by: UInt64(events - told.events))
        metrics.lease.granted.increment(by: now.leasesGranted - before.leasesGranted)
        metrics.lease.revoked.increment(by: now.leasesRevoked - before.leasesRevoked)
        metrics.lease.renewed.increment(by: now.leasesRenewed - before.leasesRenewed)
        metrics.lease.expired.increment(by: now.leasesExpired - before.leasesExpired)
        metrics.server.proposalsFailed.increment(by: now.failedProposals - before.failedProposals)
        told.applied = now
        told.ranges = ranges
        told.transactions = transactions
        told.events = events
    }
}
