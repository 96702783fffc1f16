import Host

/// What starts a campaign, and so what it asks for.
enum CampaignKind: Equatable, Sendable {
    /// Would you vote for me? (Raft thesis, 9.6)
    case preElection
    case election
    /// An election the leader asked for: voters do not protect their leader from it (Raft thesis, 4.2.3).
    case transfer

    /// How a vote request says that the leader itself wants it; the bytes etcd's raft uses.
    static let transferContext = Array("CampaignTransfer".utf8)
}

extension RaftNode {
    /// Campaigns now, without waiting for the timer. False when this member leads already or may not.
    @discardableResult
    public mutating func campaign(now: Instant) -> Bool {
        startCampaign(configuration.preVote ? .preElection : .election, now)
        return role == .candidate || role == .preCandidate
    }

    mutating func startCampaign(_ kind: CampaignKind, _ now: Instant) {
        guard role != .leader, isPromotable, !hasUnappliedChange, term < Term.max else { return }
        if kind == .preElection {
            becomePreCandidate()
            requestVotes(kind)
            // Needs no disk: a pre-vote promises nothing.
            ballot.record(id, granted: true)
            decide(now)
        } else {
            becomeCandidate(now)
            requestVotes(kind)
            // Its own vote counts once it is durable, see persisted(through:now:).
        }
    }

    /// A committed change of membership that is not applied: this member may count votes of the wrong cluster.
    private var hasUnappliedChange: Bool {
        var found = false
        log.forEach(from: applied + 1, through: commit) { found = found || $0.kind != .normal }
        return found
    }

    private mutating func requestVotes(_ kind: CampaignKind) {
        for member in cluster.voters.all.members where member != id {
            send(
                Message(
                    kind: kind == .preElection ? .preVote : .vote, to: member,
                    term: kind == .preElection ? term + 1 : term, logTerm: log.lastTerm, index: log.lastIndex,
                    context: kind == .transfer ? CampaignKind.transferContext : []))
        }
    }

    /// Grants a vote to who is at least as complete, once a term (Raft paper, 5.2 and 5.4.1).
    ///
    /// Learners answer as well: the candidate may know of a promotion that this member has yet to hear of, and need its vote.
    mutating func answerVoteRequest(_ message: Message, _ now: Instant) {
        let isFree = vote == message.from || (vote == 0 && leader == 0) || (message.kind == .preVote && message.term > term)
        let isGranted = isFree && log.isCovered(byLogEndingAt: message.index, term: message.logTerm)
        if isGranted && message.kind == .vote {
            vote = message.from
            timer.reset(now)
        }
        // A granted pre-vote echoes the term asked about, or the candidate would take the answer for an old one.
        send(
            Message(
                kind: message.kind == .vote ? .voteResponse : .preVoteResponse, to: message.from,
                term: isGranted ? message.term : term, reject: !isGranted))
    }

    mutating func takeVote(_ message: Message, _ now: Instant) {
        switch (role, message.kind) {
        case (.candidate, .voteResponse):
            break
        case (.preCandidate, .preVoteResponse):
            // A grant speaks of the term asked about, a refusal of the voter's own.
            guard message.reject || message.term == term + 1 else { return }
        default:
            return
        }
        guard cluster.voters.contains(message.from) else {
            counters.unknownMember += 1
            return
        }
        ballot.record(message.from, granted: !message.reject)
        decide(now)
    }

    /// Counts own vote once it is on the disk: only then nobody else can get it after a crash.
    mutating func noteDurableVote(_ now: Instant) {
        guard role == .candidate, writes.durableTerm == term, writes.durableVote == id else { return }
        ballot.record(id, granted: true)
        decide(now)
    }

    private mutating func decide(_ now: Instant) {
        switch cluster.voters.result(ballot.vote(of:)) {
        case .pending: break
        case .lost: becomeFollower(term: term, leader: 0, now)
        case .won: if role == .preCandidate { startCampaign(.election, now) } else { becomeLeader(now) }
        }
    }
}
