import Host

/// Handing leadership to another member (Raft thesis, 3.10).
extension RaftNode {
    /// Makes `member` lead. Meanwhile proposals are refused; after an election timeout without success they are taken again.
    ///
    /// A follower passes the wish on to its leader.
    public mutating func transferLeadership(to member: MemberID, now: Instant) throws(Refusal) {
        guard role == .leader else {
            guard leader != 0 else { throw .noLeader }
            guard member != 0 else { throw .notVoter(member) }
            // The wire format names the one to lead as the sender.
            send(Message(kind: .transferLeader, to: leader, from: member))
            return
        }
        guard cluster.voters.contains(member) else { throw .notVoter(member) }
        startTransfer(to: member, now)
    }

    mutating func takeTransferRequest(_ message: Message, _ now: Instant) {
        if role == .leader {
            if cluster.voters.contains(message.from) { startTransfer(to: message.from, now) } else { counters.unknownMember += 1 }
        } else if leader != 0 && role == .follower {
            var forwarded = message
            forwarded.to = leader
            send(forwarded)
        }
    }

    mutating func startTransfer(to member: MemberID, _ now: Instant) {
        if duties.transferTarget == member { return }
        duties.transferTarget = member == id ? 0 : member
        duties.transferDeadline = now + configuration.electionTimeout
        if let position = peers.position(of: member) { continueTransfer(from: position) }
    }

    /// The target may campaign as soon as it has everything.
    mutating func continueTransfer(from position: Int) {
        let member = peers.members[position]
        guard member == duties.transferTarget, duties.isTransferring, peers.progress[position].match == log.lastIndex else {
            return
        }
        send(Message(kind: .timeoutNow, to: member))
    }
}
