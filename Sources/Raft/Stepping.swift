import Host

/// Messages from other members: who may be heard, what their term means, and whose business they are.
extension RaftNode {
    /// Takes in a message from another member.
    ///
    /// A message that is none of this member's business or breaks the rules is counted in ``RaftCounters`` and ignored. Throws
    /// when the message proves that this member's log, or the sender's, cannot be trusted: the owner must stop the member.
    public mutating func step(_ message: Message, now: Instant) throws(RaftError) {
        guard message.to == id else {
            counters.misaddressed += 1
            return
        }
        // Nobody answers itself; only the wish for a transfer names somebody else as its sender.
        guard message.isWellFormed, message.from != id || message.kind == .transferLeader else {
            counters.malformed += 1
            return
        }
        guard admitTerm(of: message, now) else { return }
        switch message.kind {
        case .vote, .preVote: answerVoteRequest(message, now)
        case .voteResponse, .preVoteResponse: takeVote(message, now)
        case .append, .heartbeat, .snapshot: try hearLeader(message, now)
        case .appendResponse, .heartbeatResponse: takeAnswer(message, now)
        case .proposal: takeForwardedProposal(message)
        case .readIndex: takeForwardedRead(message)
        case .readIndexResponse: takeReadAnswer(message)
        case .transferLeader: takeTransferRequest(message, now)
        case .timeoutNow: if role == .follower { startCampaign(.transfer, now) }
        case .unreachable, .snapshotStatus: counters.malformed += 1
        }
    }

    /// Compares terms (Raft paper, 5.1). False when the message has nothing more to say.
    private mutating func admitTerm(of message: Message, _ now: Instant) -> Bool {
        // Requests clients could have made here carry no term.
        if message.kind == .proposal || message.kind == .readIndex { return true }
        if message.term < term {
            answerOutdated(message)
            return false
        }
        if message.term == term { return true }
        switch message.kind {
        case .vote, .preVote:
            if message.context != CampaignKind.transferContext && isLeaderAlive(now) {
                counters.ignoredVotes += 1
                return false
            }
            // Asking about a term does not begin it.
            if message.kind == .vote { becomeFollower(term: message.term, leader: 0, now, because: .higherTerm) }
        case .preVoteResponse where !message.reject:
            // It echoes the term that was asked about.
            break
        case .append, .heartbeat, .snapshot:
            becomeFollower(term: message.term, leader: message.from, now, because: .higherTerm)
        default:
            becomeFollower(term: message.term, leader: 0, now, because: .higherTerm)
        }
        return true
    }

    /// Within the shortest election timeout of a sign from a leader nobody else can have been elected for good reason (Raft
    /// thesis, 4.2.3).
    private func isLeaderAlive(_ now: Instant) -> Bool {
        guard configuration.checkQuorum, leader != 0 else { return false }
        return role == .leader ? now < duties.quorumCheckDue : isWithinElectionTimeout(now)
    }

    private mutating func answerOutdated(_ message: Message) {
        switch message.kind {
        case .append, .heartbeat:
            // Its vote requests may be ignored, or it may not campaign: only by this the leader learns of the newer term.
            send(Message(kind: .appendResponse, to: message.from))
        case .preVote:
            send(Message(kind: .preVoteResponse, to: message.from, reject: true))
        default:
            break
        }
        counters.outdated += 1
    }

    /// A message of this term that only its leader sends.
    private mutating func hearLeader(_ message: Message, _ now: Instant) throws(RaftError) {
        guard role != .leader, leader == 0 || leader == message.from else {
            counters.conflictingLeader += 1
            return
        }
        if role != .follower { becomeFollower(term: term, leader: message.from, now) }
        leader = message.from
        timer.reset(now)
        switch message.kind {
        case .append: try takeAppend(message)
        case .heartbeat: try takeHeartbeat(message)
        default: try takeSnapshot(message)
        }
    }

    /// An answer that concerns only a leader, from somebody it replicates to.
    private mutating func takeAnswer(_ message: Message, _ now: Instant) {
        guard role == .leader else { return }
        guard let position = peers.position(of: message.from) else {
            counters.unknownMember += 1
            return
        }
        peers.progress[position].isRecentlyActive = true
        peers.progress[position].heardAt = now
        if message.kind == .appendResponse {
            takeAppendResponse(message, from: position)
        } else {
            takeHeartbeatResponse(message, from: position)
        }
    }

    /// Queues a message of this term. Whatever vouches for something not durable yet, be it an entry, a vote or the term, waits.
    mutating func send(_ unsigned: Message) {
        var message = unsigned
        message.from = message.from == 0 ? id : message.from
        switch message.kind {
        case .proposal, .readIndex: break
        default: message.term = message.term == 0 ? term : message.term
        }
        let waits =
            switch message.kind {
            case .vote, .voteResponse, .preVoteResponse, .appendResponse: true
            default: term > writes.durableTerm
            }
        if waits { outbox.messagesAfterSync.append(message) } else { outbox.messages.append(message) }
    }
}

extension Message {
    /// What can be told from the message alone. Fields that are only bounded by the receiver's log are checked there.
    var isWellFormed: Bool {
        guard from != 0 else { return false }
        switch kind {
        case .proposal:
            return !entries.isEmpty
        case .readIndex, .readIndexResponse:
            return entries.count == 1
        case .append:
            return term > 0 && hasConsecutiveEntries
        case .snapshot:
            guard let snapshot else { return false }
            return term > 0 && snapshot.index > 0 && snapshot.index <= LogIndex.highestPlausible && snapshot.term > 0
                && snapshot.term <= term
        default:
            return term > 0
        }
    }

    private var hasConsecutiveEntries: Bool {
        guard logTerm <= term, index <= LogIndex.max - LogIndex(entries.count) else { return false }
        var expected = index
        var lastTerm = logTerm
        for entry in entries {
            expected += 1
            guard entry.index == expected, entry.term >= lastTerm, entry.term <= term else { return false }
            lastTerm = entry.term
        }
        return true
    }
}
