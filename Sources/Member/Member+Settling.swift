import Backend
import EtcdAPI
import Host
import Lease
import StateMachine
import WAL

/// What a member does before a stop in good order: see ``Member/settle()``.
struct Settling {
    enum Step: Equatable {
        /// The others can learn from now on that this member is about to leave.
        case announcing
        /// Whether there are Go members, for then there is nothing to take back.
        case asking
        /// Every lease gets its whole time in the log.
        case resetting
        /// The page file takes all that was applied, and what is left of the leases in truth: copies of it are backups.
        case committing(group: UInt64)
        case done
    }

    /// How long a member of several waits for the others.
    static let patience = Instant.Span.seconds(2)

    var step = Step.announcing
    var deadline: Instant?
    /// A request to take remaining times back is on its way.
    var hasProposed = false
    /// Such requests that were applied with nothing left to take back.
    var rounds = 0

    var isDone: Bool { step == .done }
    /// There is something left to do before the last commit.
    var isOpen: Bool { isInAHurry || step == .asking }
    var isInAHurry: Bool { step == .announcing || step == .resetting }
}

/// Remaining times of leases across stops: a directory that was stopped in good order can be given to etcd as it is, which misreads
/// them (see ``Member/keepRemainingTimes(now:)``), so they are taken back through the log. The leader of the others goes on counting
/// and writes them down again. A member that is alone keeps them for its next start where etcd does not look.
extension Member {
    /// Prepares for a stop: call turns until ``TurnOutput/isSettled``, or as long as the stop may take. Takes no requests from here on.
    public func settle() { if settling == nil { settling = Settling() } }

    func goOnSettling(now: Instant) {
        guard var work = settling, work.isOpen else { return }
        defer { settling = work }
        if !machine.leases.isEmpty {
            guard isOnlyVoter ? keepRemainders(&work, now: now) : takeBackAmongOthers(&work, now: now) else { return }
        }
        // A leader's database that is taking the page file's place holds what there is to hold.
        guard installing == nil, commitDue != nil || machine.store.hasChanges else {
            work.step = .done
            return
        }
        work.step = .committing(group: groupToWaitFor())
        commitDue = now
    }

    /// Whether the log says that every lease has its whole time, and what they have in truth is put aside.
    private func keepRemainders(_ work: inout Settling, now: Instant) -> Bool {
        guard raft.role == .leader, machine.leases.isLeading else { return true }
        work.step = .resetting
        if resetRemainingTimes() || !machine.leases.checkpointed(limit: 1).isEmpty { return false }
        guard raft.applied == raft.lastIndex, machine.store.groupsInFlight == 0 else { return false }
        let remainders = LeaseRemainders(index: machine.appliedIndex, items: machine.leases.remainders(now: now))
        machine.store.put(.meta, key: MetaKey.leaseRemainders, value: remainders.encoded)
        return true
    }

    /// Whether remaining times are taken back, or cannot be.
    ///
    /// Two rounds: what the leader wrote before it applied the first is before the second in the log, and from the first on it writes
    /// nothing until everybody has named itself Quorate anew, which this member does no longer.
    private func takeBackAmongOthers(_ work: inout Settling, now: Instant) -> Bool {
        let deadline = work.deadline ?? now + Settling.patience
        work.deadline = deadline
        guard raft.leader != 0, now < deadline else { return true }
        switch work.step {
        case .announcing:
            work.step = .asking
            kinds.forget()
        case .asking:
            if others.contains(where: { kind(of: $0) == .other }) { return true }
            if others.allSatisfy({ kind(of: $0) != nil || !isConnected($0) }) {
                work.step = .resetting
            } else if !kinds.isWaiting, now >= kinds.repetitionDue {
                askKinds(now)
            }
        case .resetting, .committing, .done: return isTakenBack(&work)
        }
        return false
    }

    private func isTakenBack(_ work: inout Settling) -> Bool {
        let isUnderway = ownRequests.values.contains { if case .checkpoint = $0.request { true } else { false } }
        guard !isUnderway else { return false }
        let isClean = machine.leases.checkpointed(limit: 1).isEmpty
        if work.hasProposed, isClean { work.rounds += 1 }
        guard work.rounds < 2 else { return true }
        if isClean { proposeOwn(.checkpoint([])) } else { resetRemainingTimes() }
        work.hasProposed = true
        return false
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
}
