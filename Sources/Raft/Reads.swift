/// Linearizable reads without a log entry (Raft thesis, 6.4).
extension RaftNode {
    /// Asks for an index from which on a read is linearizable; the answer comes as a ``ReadState`` with the same context.
    ///
    /// Asked of a follower, the request goes to its leader, and may get lost on the way: ask again, with a new context, when no
    /// answer came in time or the leader changed. All requests of one turn share one round of heartbeats.
    ///
    /// A context must differ from those of all other members, and of this member before its last restart: leaders of etcd 3.5 take
    /// equal ones for one request, and an answer may arrive after a restart.
    public mutating func readIndex(_ context: [UInt8]) throws(Refusal) {
        guard role != .leader else {
            guard addRead(origin: id, context: context) else { throw .tooManyPendingReads }
            return
        }
        guard leader != 0 else { throw .noLeader }
        send(Message(kind: .readIndex, to: leader, entries: [Entry(term: 0, index: 0, data: context)]))
    }

    /// A follower's request, or one that reached this member while it no longer leads.
    mutating func takeForwardedRead(_ message: Message) {
        if role == .leader {
            if !addRead(origin: message.from, context: message.entries[0].data) { counters.droppedReads += 1 }
        } else if leader != 0 && leader != message.from {
            var forwarded = message
            forwarded.to = leader
            send(forwarded)
        } else {
            counters.droppedReads += 1
        }
    }

    mutating func takeReadAnswer(_ message: Message) {
        // The term was compared: it comes from this term's leader, known here or forgotten.
        guard role == .follower else { return }
        outbox.readStates.append(ReadState(index: message.index, context: message.entries[0].data))
    }

    /// A new leader knows which entries are committed only after it committed one of its own term, even when it is the only
    /// voter: the commit index it restarted with may be an old one.
    private mutating func addRead(origin: MemberID, context: [UInt8]) -> Bool {
        guard reads.count < configuration.maximumPendingReads else { return false }
        if log.term(at: commit) == term {
            reads.add(origin: origin, context: context, index: commit)
        } else {
            reads.postpone(origin: origin, context: context)
        }
        return true
    }

    /// Starts a round of heartbeats for the reads that came since the last one.
    mutating func startReadRound() {
        guard reads.needsRound else { return }
        reads.startRound()
        if !cluster.voters.isOnly(id) { broadcastHeartbeat() }
        confirmReads()
    }

    /// Answers the reads that a quorum has confirmed.
    mutating func confirmReads() {
        guard role == .leader, !reads.unconfirmed.isEmpty else { return }
        let confirmed = cluster.voters.reached { member in
            if member == id { return reads.round }
            return peers.position(of: member).map { peers.progress[$0].acknowledgedReadRound } ?? 0
        }
        for request in reads.confirm(through: confirmed) {
            if request.origin == id {
                outbox.readStates.append(ReadState(index: request.index, context: request.context))
            } else {
                send(
                    Message(
                        kind: .readIndexResponse, to: request.origin, index: request.index,
                        entries: [Entry(term: 0, index: 0, data: request.context)]))
            }
        }
    }
}
