import Backend
import EtcdAPI
import Host
import Lease
import StateMachine
import WAL

/// What a member does before a stop in good order: see ``Member/settle()``.
struct Settling {
    enum Step: Equatable {
        /// Every lease gets its whole time in the log.
        case resetting
        /// The page file takes all that was applied, and what is left of the leases in truth: copies of it are backups.
        case committing(group: UInt64)
        case done
    }

    var step = Step.resetting
    var isDone: Bool { step == .done }
}

/// Remaining times of leases across stops, and before Go members.
///
/// Go members that do not write checkpoints themselves misread them: a lease renewed there gets the stale remaining time again and
/// ends too early. So they are reset to the whole time through the log before another member can join, and whenever the member stops:
/// a directory that was stopped in good order can be given to etcd as it is. For the next start of this member they are kept
/// where etcd does not look.
extension Member {
    /// Prepares for a stop: call turns until ``TurnOutput/isSettled``, or as long as the stop may take. Takes no requests from here on.
    public func settle() { if settling == nil { settling = Settling() } }

    func goOnSettling(now: Instant) {
        guard var work = settling, work.step == .resetting else { return }
        defer { settling = work }
        if raft.role == .leader, isOnlyVoter, machine.leases.isLeading, !machine.leases.isEmpty {
            if resetRemainingTimes() || !machine.leases.checkpointed(limit: 1).isEmpty { return }
            guard raft.applied == raft.lastIndex, machine.store.groupsInFlight == 0 else { return }
            let remainders = LeaseRemainders(index: machine.appliedIndex, items: machine.leases.remainders(now: now))
            machine.store.put(.meta, key: MetaKey.leaseRemainders, value: remainders.encoded)
        }
        // A leader's database that is taking the page file's place holds what there is to hold.
        guard installing == nil, commitDue != nil || machine.store.hasChanges else {
            work.step = .done
            return
        }
        work.step = .committing(group: groupToWaitFor())
        commitDue = now
    }

    /// After the last turn: writes what the log has not written yet, the commit index above all, and gives its locks back.
    ///
    /// Without it, whoever trusts the log's commit index alone, as backups and `--force-new-cluster` do, would drop entries that
    /// clients were told of.
    public func close() throws(MemberFailure) {
        do throws(WALError) { try log.close() } catch { throw .log(error) }
    }

    /// The page file holds a group.
    func settled(through group: UInt64) {
        if case .committing(let awaited)? = settling?.step, awaited <= group { settling?.step = .done }
    }

    /// Proposes to give leases their whole time, a batch of them; false when there is none left to propose.
    @discardableResult
    func resetRemainingTimes() -> Bool {
        let leases = machine.leases.checkpointed(limit: Int.max)
        guard !leases.isEmpty else { return false }
        var hasProposed = false
        for start in stride(from: 0, to: leases.count, by: Member.largestCheckpointCount) {
            let batch = leases[start..<min(start + Member.largestCheckpointCount, leases.count)]
            let request = OwnRequest.checkpoint(batch.map { LeaseCheckpoint(id: $0, remainingTTL: 0) })
            let before = ownRequests.count
            proposeOwn(request)
            hasProposed = hasProposed || ownRequests.count > before
        }
        return hasProposed
    }

    /// After a stop in good order the log says that every lease has its whole time; what they had in truth is written down at once,
    /// for otherwise a crash would lose it.
    func writeRestoredRemainders() {
        guard !restoredRemainders.isEmpty, isOnlyVoter else { return }
        let batch = restoredRemainders.prefix(Member.largestCheckpointCount)
        restoredRemainders.removeFirst(batch.count)
        proposeOwn(.checkpoint(batch.map { LeaseCheckpoint(id: $0.id, remainingTTL: $0.seconds) }))
    }
}
