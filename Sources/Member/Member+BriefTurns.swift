import Host
import Raft

extension Member {
    /// A turn for reads and for words about leadership, which need neither this member's disk nor change its state: short enough for
    /// the thread that an inbox arrived on. nil, and nothing has happened, when there is anything else in it; then it is for
    /// ``turn(_:now:)``.
    ///
    /// Nothing is published, as nothing changed. `nextWake` tells only of what this turn may have brought forward: whoever sleeps until
    /// the last turn's wakes at the earlier of both.
    public func briefTurn(_ inbox: Inbox, now: Instant) throws(MemberFailure) -> TurnOutput? {
        // A renewal may wait for the very answer of another member that is in it.
        guard settling == nil, renewals.isEmpty, inbox.isBrief, inbox.messages.allSatisfy(raft.isRoutine) else { return nil }
        output = TurnOutput()
        for message in inbox.messages {
            do throws(RaftError) { try raft.step(message, now: now) } catch { throw .raft(error) }
        }
        for request in inbox.requests { reads.add(request.reply, deadline: now + settings.requestTimeout) }
        askForReads(now)
        try obey(now: now)
        // A question that has been answered makes room for the next.
        askForReads(now)
        try obey(now: now)
        answerReads(now)
        output.nextWake = [raft.nextWake, reads.nextWake].compactMap(\.self).min()
        return output
    }
}

extension Inbox {
    /// Nothing but messages and reads.
    public var isBrief: Bool {
        guard commits.isEmpty, installations.isEmpty, reports.isEmpty, segments.isEmpty else { return false }
        return requests.allSatisfy {
            if case .readIndex = $0.command { true } else { false }
        }
    }
}
