import Host

/// The leader's side of replication (Raft paper, 5.3): sending what each follower lacks, and counting what they have.
extension RaftNode {
    /// Appends to one follower in one turn; the rest follows when answers come, so that a turn's effects stay bounded.
    private static let appendsPerTurn = 16

    /// Sends every follower what it can use now. Called once a turn, so that entries proposed in a turn share messages.
    mutating func replicate() {
        for position in peers.progress.indices where peers.members[position] != id { replicate(to: position) }
    }

    private mutating func replicate(to position: Int) {
        if peers.progress[position].state == .snapshot { return }
        if peers.progress[position].next <= log.baseIndex {
            requestSnapshot(for: position)
            return
        }
        if peers.progress[position].state == .probe {
            if !peers.progress[position].isProbePaused { sendAppend(to: position, limit: log.lastIndex) }
            return
        }
        var sent = 0
        while sent < Self.appendsPerTurn, !peers.progress[position].isPaused, peers.progress[position].next <= log.lastIndex {
            sendAppend(to: position, limit: log.lastIndex)
            sent += 1
        }
        let progress = peers.progress[position]
        if progress.owesAppend || (sent == 0 && !progress.isPaused && progress.canUseCommit(commit)) {
            // Without entries: after a full window was lost, the refusal of this one is what restarts replication.
            sendAppend(to: position, limit: progress.next - 1)
        }
    }

    private mutating func sendAppend(to position: Int, limit: LogIndex) {
        let next = peers.progress[position].next
        let entries = log.slice(from: next, through: limit, maximumBytes: configuration.maximumAppendBytes)
        guard let previousTerm = log.term(at: next - 1) else { preconditionFailure("append before the log's beginning") }
        send(
            Message(
                kind: .append, to: peers.members[position], logTerm: previousTerm, index: next - 1, entries: entries,
                commit: commit))
        peers.progress[position].sentAppend(through: entries.last?.index ?? next - 1, commit: commit)
    }

    /// Heartbeats do not tell of a commit index the follower may not have entries for.
    mutating func broadcastHeartbeat() {
        let context = reads.unconfirmed.isEmpty ? [] : ReadQueue.context(of: reads.round)
        for (position, member) in peers.members.enumerated() where member != id {
            let known = min(peers.progress[position].match, commit)
            send(Message(kind: .heartbeat, to: member, commit: known, context: context))
            peers.progress[position].sentCommit = max(peers.progress[position].sentCommit, known)
        }
    }

    mutating func takeAppendResponse(_ message: Message, from position: Int) {
        guard message.index <= log.lastIndex || message.reject else {
            counters.malformed += 1
            return
        }
        if message.reject {
            takeRejection(message, from: position)
        } else if peers.progress[position].acknowledge(message.index) {
            resumeReplication(to: position)
            advanceCommit()
            continueTransfer(from: position)
        }
    }

    /// Skips what cannot match: places where this log's term is higher than the follower's at the hint.
    private mutating func takeRejection(_ message: Message, from position: Int) {
        var hint = message.rejectHint
        if message.logTerm > 0 && hint <= log.lastIndex {
            hint = log.lastPlace(notAfter: hint, termAtMost: message.logTerm).index
        }
        _ = peers.progress[position].reject(message.index, hint: hint)
    }

    private mutating func resumeReplication(to position: Int) {
        switch peers.progress[position].state {
        case .probe:
            peers.progress[position].becomeReplicate()
        case .snapshot where peers.progress[position].match >= log.baseIndex:
            // It caught up, by this snapshot or another way: the log goes on from there.
            peers.progress[position].becomeReplicate()
        case .snapshot, .replicate:
            break
        }
    }

    mutating func takeHeartbeatResponse(_ message: Message, from position: Int) {
        peers.progress[position].isProbePaused = false
        peers.progress[position].isSnapshotRequested = false
        // Appends may have been lost without anybody noticing; an append, be it empty, finds out.
        peers.progress[position].owesAppend = peers.progress[position].match < log.lastIndex
        if let round = ReadQueue.round(of: message.context), round <= reads.round {
            peers.progress[position].acknowledgedReadRound = max(peers.progress[position].acknowledgedReadRound, round)
            confirmReads()
        }
    }

    /// A message to `member` could not be delivered: what was sent ahead may be lost.
    public mutating func reportUnreachable(_ member: MemberID) {
        guard role == .leader, member != id, let position = peers.position(of: member) else { return }
        if peers.progress[position].state == .replicate { peers.progress[position].becomeProbe() }
    }

    /// Adds an entry to the log this member leads.
    mutating func appendToOwnLog(kind: EntryKind, data: [UInt8]) {
        log.append(Entry(term: term, index: log.lastIndex + 1, kind: kind, data: data))
        duties.uncommittedBytes += data.count
    }

    /// The leader counts itself by what is on its disk, like everybody else.
    mutating func noteDurableEntries() {
        guard role == .leader, let position = peers.position(of: id) else { return }
        if peers.progress[position].acknowledge(writes.durableIndex) { advanceCommit() }
    }

    /// Commits what a quorum holds, if it is of this term: older entries only come along (Raft paper, 5.4.2).
    mutating func advanceCommit() {
        let reached = cluster.voters.reached(peers.match(of:))
        guard reached > commit, log.term(at: reached) == term || configuration.commitsEntriesOfOldTerms else { return }
        log.forEach(from: commit + 1, through: reached) { duties.uncommittedBytes -= $0.data.count }
        commit = reached
        reads.release(index: commit)
    }
}
