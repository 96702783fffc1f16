/// What became of a proposal that was not refused.
public enum ProposalOutcome: Equatable, Sendable {
    /// In this leader's log; committed if it stays there.
    case appended(ClosedRange<LogIndex>, term: Term)
    /// On its way to the leader, where it may still get lost or be refused.
    case forwarded(to: MemberID)
}

extension RaftNode {
    /// Proposes entries with these payloads, in order; all of them or none. There must be at least one.
    ///
    /// They reach the log at once and the followers with the next effects: propose many, then take effects.
    @discardableResult
    public mutating func propose(_ payloads: [[UInt8]]) throws(Refusal) -> ProposalOutcome {
        precondition(!payloads.isEmpty, "a proposal without entries")
        guard role == .leader else {
            return try forward(payloads.map { Entry(term: 0, index: 0, data: $0) })
        }
        try admitProposal(bytes: payloads.reduce(0) { $0 + $1.count })
        let first = log.lastIndex + 1
        log.reserve(payloads.count)
        for payload in payloads { appendToOwnLog(kind: .normal, data: payload) }
        return .appended(first...log.lastIndex, term: term)
    }

    /// Proposes a change of membership. The leader takes one at a time: the last one must be applied.
    @discardableResult
    public mutating func proposeConfigurationChange(_ change: ConfigurationChange) throws(Refusal) -> ProposalOutcome {
        let (kind, data) = change.encoded()
        guard role == .leader else { return try forward([Entry(term: 0, index: 0, kind: kind, data: data)]) }
        try admitProposal(bytes: data.count)
        try admitChange(change)
        appendToOwnLog(kind: kind, data: data)
        duties.pendingChange = log.lastIndex
        return .appended(log.lastIndex...log.lastIndex, term: term)
    }

    private func admitProposal(bytes: Int) throws(Refusal) {
        guard peers.position(of: id) != nil else { throw .notMember }
        if duties.isTransferring { throw .transferringLeadership(to: duties.transferTarget) }
        let total = duties.uncommittedBytes + bytes
        guard duties.uncommittedBytes == 0 || bytes == 0 || total <= configuration.maximumUncommittedBytes else {
            throw .tooManyUncommittedBytes
        }
    }

    /// With nothing pending the current configuration is the newest in the log, so what fits now fits when it is applied.
    private func admitChange(_ change: ConfigurationChange) throws(Refusal) {
        guard duties.pendingChange <= applied else { throw .changePending(index: duties.pendingChange) }
        do {
            _ = try cluster.applying(change)
        } catch {
            throw .invalidChange(error)
        }
    }

    /// Passes entries on to the leader, in messages of bounded size.
    private mutating func forward(_ entries: [Entry]) throws(Refusal) -> ProposalOutcome {
        guard leader != 0 else { throw .noLeader }
        guard configuration.forwardsProposals else { throw .notLeader(leader: leader) }
        var start = 0
        while start < entries.count {
            var end = start + 1
            var bytes = entries[start].size
            while end < entries.count, bytes + entries[end].size <= configuration.maximumAppendBytes {
                bytes += entries[end].size
                end += 1
            }
            send(Message(kind: .proposal, to: leader, entries: Array(entries[start..<end])))
            start = end
        }
        return .forwarded(to: leader)
    }

    /// Proposals of another member. Nobody waits for an answer here, so what cannot be taken is dropped and counted.
    mutating func takeForwardedProposal(_ message: Message) {
        guard role == .leader else {
            // Back to the sender would make it go round in circles.
            if leader != 0, leader != message.from, configuration.forwardsProposals {
                var forwarded = message
                forwarded.to = leader
                send(forwarded)
            } else {
                counters.droppedProposals += UInt64(message.entries.count)
            }
            return
        }
        for entry in message.entries {
            do {
                try takeForwarded(entry)
            } catch {
                counters.droppedProposals += 1
            }
        }
    }

    private mutating func takeForwarded(_ entry: Entry) throws(Refusal) {
        try admitProposal(bytes: entry.data.count)
        if entry.kind != .normal {
            guard let change = try? ConfigurationChange(decoding: entry.kind, entry.data) else {
                counters.malformed += 1
                return
            }
            try admitChange(change)
            duties.pendingChange = log.lastIndex + 1
        }
        appendToOwnLog(kind: entry.kind, data: entry.data)
    }
}
