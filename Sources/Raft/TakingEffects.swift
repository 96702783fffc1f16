/// The end of a turn: everything decided since the last one, in one value.
extension RaftNode {
    /// Hands out what is to be done. Take them again after reporting writes or applied entries, until they are empty.
    public mutating func takeEffects() -> Effects {
        if role == .leader {
            leaveJointAutomatically()
            startReadRound()
            replicate()
        }
        var effects = Effects()
        takeWrites(into: &effects)
        effects.committed = takeCommitted()
        effects.messages = outbox.messages
        // With nothing on its way to the disk there is nothing to wait for.
        if writes.isIdle {
            effects.messages += outbox.messagesAfterSync
        } else {
            effects.messagesAfterSync = outbox.messagesAfterSync
        }
        effects.readStates = outbox.readStates
        effects.abandonedReads = outbox.abandonedReads
        effects.snapshotsWanted = outbox.snapshotsWanted
        effects.leadership = takeLeadershipChange()
        outbox = Outbox(reported: outbox.reported)
        return effects
    }

    private mutating func takeWrites(into effects: inout Effects) {
        let state = HardState(term: term, vote: vote, commit: commit)
        if state != writes.hardState { effects.hardState = state }
        effects.snapshot = outbox.snapshot
        let base = max(writes.handedOut, log.baseIndex)
        effects.entries = log.slice(from: base + 1, through: log.lastIndex, maximumBytes: .max)
        effects.mustSync = writes.handOut(lastIndex: log.lastIndex, hasSnapshot: effects.snapshot != nil, state)
        effects.batch = writes.newest
    }

    private mutating func takeLeadershipChange() -> LeadershipChange? {
        var change = LeadershipChange(role: role, term: term, leader: leader)
        guard change != outbox.reported else { return nil }
        outbox.reported = change
        change.stepDownReason = outbox.stepDownReason
        return change
    }
}
