import EtcdAPI
import Host
import Lease
import Raft

/// Remaining times of leases in the log: who writes them, and who takes them back.
///
/// Go members that do not write checkpoints themselves misread them: a lease renewed there gets the stale remaining time again and
/// ends too early. Therefore:
/// - A leader writes checkpoints only while every other member, learners included, has named itself Quorate over the very connection
///   that is up now. Nothing is written from the moment a connection breaks, and before whoever is at the other end of the next one
///   has been asked, which happens at once.
/// - As soon as one names itself otherwise, and before and after a member is added, every lease gets its whole time back through the
///   log. A Go member that came back over a directory with checkpoints could do harm only as the leader, elected between its
///   return and the answer to that question.
/// - A member that stops has all remaining times taken back first, see ``Member/settle()``. The leader sees by that entry, which is not
///   its own, that somebody is about to leave, and asks everybody anew before it writes again.
extension Member {
    /// Remaining times written down with one entry (etcd's `maxLeaseCheckpointBatchSize`).
    static let largestCheckpointCount = 1000

    var others: [MemberID] { machine.membership.members.map(\.id).filter { $0 != settings.memberID } }

    private func currentConnection(_ member: MemberID) -> UInt64? { connection.map { $0(member) } ?? 0 }
    func kind(of member: MemberID) -> MemberKinds.Kind? {
        kinds.kind(of: member, connection: currentConnection(member))
    }

    /// Asks everybody for their version, and by that what they are.
    func askKinds(_ now: Instant) {
        var connections: [MemberID: UInt64] = [:]
        for member in others { connections[member] = currentConnection(member) }
        output.versionQuestion = kinds.ask(connections, now: now)
    }

    /// The simulator's seeded bug of a promotion that does not look at checkpoints.
    package func forgetRemainingTimes() {
        let leases = machine.leases.checkpointed(limit: Int.max)
        machine.leases.take(leases.map { LeaseRemainders.Item(id: $0, seconds: Int64.max) })
    }

    /// A leader's part in each turn.
    func keepRemainingTimes(now: Instant) {
        guard !machine.leases.isEmpty else { return }
        let kinds = others.map { kind(of: $0) }
        machine.leases.writesCheckpoints = kinds.allSatisfy { $0 == .quorate }
        if kinds.isEmpty { writeRestoredRemainders() } else if kinds.contains(.other) { resetRemainingTimes() }
        let due = withoutGrantsUnderWay(
            machine.leases.dueCheckpoints(now: now, limit: Member.largestCheckpointCount), id: \.id)
        if !due.isEmpty { proposeOwn(.checkpoint(due.map { LeaseCheckpoint(id: $0.id, remainingTTL: $0.remainingTTL) })) }
    }

    /// The next leader goes on where this one stops.
    func writeRemainingTimesBeforeHandover(now: Instant) {
        machine.leases.writesCheckpoints = others.allSatisfy { kind(of: $0) == .quorate }
        let written = withoutGrantsUnderWay(machine.leases.checkpointsBeforeHandover(now: now), id: \.id)
        for start in stride(from: 0, to: written.count, by: Member.largestCheckpointCount) {
            let batch = written[start..<min(start + Member.largestCheckpointCount, written.count)]
            proposeOwn(.checkpoint(batch.map { LeaseCheckpoint(id: $0.id, remainingTTL: $0.remainingTTL) }))
        }
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

    /// Checkpoints that somebody else proposed come from a member that leaves.
    func remainingTimesWritten(by request: UInt64) {
        if raft.role == .leader, ownRequests[request] == nil { kinds.forget() }
    }

    /// What was written on the way to the change that added a member may be in its log.
    func noteNewMembers() {
        if raft.role == .leader, others.contains(where: { kind(of: $0) == nil }) { resetRemainingTimes() }
    }

    /// After a stop in good order the log says that every lease has its whole time; what they had in truth is written down at once,
    /// for otherwise a crash would lose it.
    private func writeRestoredRemainders() {
        guard !restoredRemainders.isEmpty, isOnlyVoter else { return }
        let batch = restoredRemainders.prefix(Member.largestCheckpointCount)
        restoredRemainders.removeFirst(batch.count)
        proposeOwn(.checkpoint(batch.map { LeaseCheckpoint(id: $0.id, remainingTTL: $0.seconds) }))
    }
}
