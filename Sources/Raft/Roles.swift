import Host

/// How a member becomes follower, candidate and leader (Raft paper, figure 4), and what time does to each.
extension RaftNode {
    /// When ``wake(_:)`` has something to do next; nil while only messages can change anything.
    public var nextWake: Instant? {
        if role == .leader {
            let due = min(duties.heartbeatDue, duties.quorumCheckDue)
            return duties.isTransferring ? min(due, duties.transferDeadline) : due
        }
        return isPromotable ? timer.deadline : nil
    }

    /// Time has come to `now`. Calling early or often is harmless. Messages that arrived before `now` come first: they may be the
    /// leader's sign of life that keeps this member from campaigning.
    public mutating func wake(_ now: Instant) {
        if role == .leader {
            wakeLeader(now)
        } else if isPromotable && now >= timer.deadline {
            timer.restart(now, timeout: configuration.electionTimeout, &random)
            startCampaign(configuration.preVote ? .preElection : .election, now)
        }
    }

    private mutating func wakeLeader(_ now: Instant) {
        if now >= duties.quorumCheckDue {
            duties.quorumCheckDue = now + configuration.electionTimeout
            if configuration.checkQuorum { checkQuorum(now) }
        }
        guard role == .leader else { return }
        if duties.isTransferring && now >= duties.transferDeadline {
            duties.transferTarget = 0
            if !cluster.voters.contains(id) { handOver(now) }
        }
        if now >= duties.heartbeatDue {
            duties.heartbeatDue = now + configuration.heartbeatInterval
            broadcastHeartbeat()
        }
    }

    /// Counts who answered since the last check; this member always did.
    private mutating func checkQuorum(_ now: Instant) {
        let result = cluster.voters.result { member in
            peers.position(of: member).map { peers.progress[$0].isRecentlyActive }
        }
        for (position, member) in peers.members.enumerated() { peers.progress[position].isRecentlyActive = member == id }
        if result != .won { becomeFollower(term: term, leader: 0, now, because: .quorumLost) }
    }

    /// Whether this member leads, and a quorum has answered it within `span`.
    ///
    /// A quorum check finds only after up to two election timeouts that nobody follows any more, and one that has left the cluster or
    /// handed leadership over may be in that state from one moment to the next.
    public func hasHeardQuorum(within span: Instant.Span, now: Instant) -> Bool {
        guard role == .leader else { return false }
        let result = cluster.voters.result { member in
            if member == id { return true }
            guard let position = peers.position(of: member), let heard = peers.progress[position].heardAt else { return nil }
            return heard + span >= now ? true : nil
        }
        return result == .won
    }

    /// Gives up leadership, because this member can no longer do what it promises; nothing happens when it does not lead.
    public mutating func stepDown(_ reason: StepDownReason, now: Instant) {
        if role == .leader { becomeFollower(term: term, leader: 0, now, because: reason) }
    }

    /// Lets go of a leader that is known to be gone from elsewhere, so that this member votes without waiting out its lease.
    public mutating func forgetLeader() {
        if role != .leader { leader = 0 }
    }

    /// Whether this member may campaign: a voter whose state machine is not waiting for a snapshot.
    var isPromotable: Bool { cluster.voters.contains(id) && installing == nil }

    mutating func becomeFollower(
        term newTerm: Term, leader newLeader: MemberID, _ now: Instant, because reason: StepDownReason? = nil
    ) {
        if role == .leader { outbox.stepDownReason = reason }
        startRole(.follower, term: newTerm, now)
        leader = newLeader
    }

    /// Keeps term and vote: nothing has happened yet.
    mutating func becomePreCandidate() {
        role = .preCandidate
        leader = 0
        ballot.clear()
    }

    mutating func becomeCandidate(_ now: Instant) {
        startRole(.candidate, term: term + 1, now)
        vote = id
    }

    mutating func becomeLeader(_ now: Instant) {
        startRole(.leader, term: term, now)
        leader = id
        peers.restart(lastIndex: log.lastIndex, windowLimit: configuration.maximumInflightAppends)
        if let position = peers.position(of: id) {
            peers.progress[position].becomeReplicate()
            peers.progress[position].isRecentlyActive = true
        }
        duties.heartbeatDue = now + configuration.heartbeatInterval
        duties.quorumCheckDue = now + configuration.electionTimeout
        // An earlier leader's change may be in the part of the log that is not applied; a new one waits for all of it.
        duties.pendingChange = log.lastIndex
        log.forEach(from: commit + 1, through: log.lastIndex) { duties.uncommittedBytes += $0.data.count }
        appendToOwnLog(kind: .normal, data: [])
        noteDurableEntries()
    }

    private mutating func startRole(_ newRole: Role, term newTerm: Term, _ now: Instant) {
        precondition(newTerm >= term, "terms never fall")
        if newTerm != term {
            term = newTerm
            vote = 0
        }
        role = newRole
        leader = 0
        ballot.clear()
        timer.restart(now, timeout: configuration.electionTimeout, &random)
        duties = LeaderDuties(now: now)
        outbox.abandonedReads += reads.abandon(self: id)
    }
}
