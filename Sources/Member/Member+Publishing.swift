import EtcdAPI
import Host
import MVCC
import Membership
import Raft
import StateMachine

extension Member {
    /// What the loops may see from now on.
    func publish() -> Published {
        Published(view: machine.store.publish(), status: status)
    }

    public var status: MemberStatus {
        MemberStatus(
            clusterID: settings.clusterID, memberID: settings.memberID, role: raft.role, leader: raft.leader, term: raft.term,
            commitIndex: raft.commit, appliedIndex: raft.applied, isLearner: settings.isLearner(in: confState),
            isOnlyVoter: isOnlyVoter,
            membership: machine.membership.record, alarms: machine.alarms.members, pageFileSize: machine.pageFileSize,
            pageFileSizeInUse: pageFileInUse, quota: settings.quota, leaseCount: machine.leases.count,
            keyCount: machine.store.keyCount, isAuthenticationEnabled: machine.isAuthenticationEnabled, isReady: isReady,
            isCompacting: machine.store.isCompacting, storedHashes: machine.store.storedHashes,
            differences: corruption.differences, counts: machine.counts,
            pendingProposals: waiting.count + ownRequests.count, authRevision: machine.authRevision,
            isLeaving: settling != nil)
    }

    /// The earliest moment something has to be done without anything arriving.
    func nextWake(_ now: Instant) -> Instant? {
        if let settling, settling.isInAHurry { return now + .milliseconds(1) }
        // What this turn's last entries completed is told at once.
        if settling == nil, isPublished, !isReady, machine.membership.clusterVersion != nil { return now }
        // Work in portions goes on at once.
        if machine.store.isCompacting { return now }
        var wakes = [
            raft.nextWake, waiting.nextDeadline, spaceGuard.nextWake, reads.nextWake, removalWake, moves.first?.deadline,
            ownRequests.values.lazy.map(\.deadline).min(), autoCompaction.nextWake,
        ]
        // With as many revocations on their way as may be, the next wait for those to be applied.
        if pendingRevocations < Member.largestRevocationCount { wakes.append(machine.leases.nextWake) }
        if raft.role == .leader {
            if machine.membership.members.count > 1, isPublished { wakes.append(versionsDue) }
            wakes.append(corruption.nextWake)
            wakes.append(pageFileHangDue)
        }
        if installing == nil, machine.store.groupsInFlight == 0 { wakes.append(commitDue) }
        return wakes.compactMap(\.self).min()
    }

    /// No other member votes: whatever this one decides is decided.
    public var isOnlyVoter: Bool { confState.voters == [settings.memberID] && confState.votersOutgoing.isEmpty }
}
