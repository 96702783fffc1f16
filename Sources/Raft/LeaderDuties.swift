import Host

/// What a leader has to remember and nobody else.
struct LeaderDuties: Equatable, Sendable {
    var heartbeatDue: Instant
    var quorumCheckDue: Instant
    /// A change of membership may be in the log up to here; the next one waits until it is applied.
    var pendingChange: LogIndex = 0
    /// Payload bytes after the commit index.
    var uncommittedBytes = 0
    /// Who is to lead next; zero while no transfer is under way (Raft thesis, 3.10).
    var transferTarget: MemberID = 0
    /// When the target has had its chance and proposals are taken again.
    var transferDeadline: Instant

    init(now: Instant = Instant(nanoseconds: 0)) {
        heartbeatDue = now
        quorumCheckDue = now
        transferDeadline = now
    }

    var isTransferring: Bool { transferTarget != 0 }
}
