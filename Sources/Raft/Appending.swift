/// The follower's side of replication (Raft paper, figure 2).
extension RaftNode {
    mutating func takeAppend(_ message: Message) throws(RaftError) {
        if message.index < commit {
            // Everything up to the commit index matches already, or one of the two logs is broken.
            try checkAgainstCommitted(message.entries)
            acknowledge(commit, to: message.from)
            return
        }
        guard log.matches(message.index, term: message.logTerm) else {
            refuseAppend(message)
            return
        }
        let firstNew = message.entries.firstIndex { !log.matches($0.index, term: $0.term) } ?? message.entries.count
        replaceTail(with: message.entries[firstNew...])
        let lastIndex = message.index + LogIndex(message.entries.count)
        commit = max(commit, min(message.commit, lastIndex))
        acknowledge(lastIndex, to: message.from)
    }

    private func checkAgainstCommitted(_ entries: [Entry]) throws(RaftError) {
        for entry in entries where entry.index <= commit {
            guard let known = log.term(at: entry.index), known != entry.term else { continue }
            throw .conflictBelowCommit(index: entry.index, commit: commit)
        }
    }

    /// Tells the leader that everything up to `index` is here, once it is durable. The last of a turn's answers says it all.
    private mutating func acknowledge(_ index: LogIndex, to leader: MemberID) {
        let answer = Message(kind: .appendResponse, to: leader, from: id, term: term, index: index)
        if let last = outbox.messagesAfterSync.last, last.kind == .appendResponse, !last.reject, last.to == leader,
            last.term == term, last.index <= index
        {
            outbox.messagesAfterSync.removeLast()
        }
        send(answer)
    }

    private mutating func replaceTail(with entries: ArraySlice<Entry>) {
        guard let first = entries.first else { return }
        if first.index <= log.lastIndex {
            log.truncate(after: first.index - 1)
            writes.truncate(after: first.index - 1)
        }
        log.reserve(entries.count)
        for entry in entries { log.append(entry) }
    }

    /// Tells the leader where the logs may meet: the last place here whose term is not above the leader's at the refused one.
    private mutating func refuseAppend(_ message: Message) {
        let hint = log.lastPlace(notAfter: min(message.index, log.lastIndex), termAtMost: message.logTerm)
        send(
            Message(
                kind: .appendResponse, to: message.from, logTerm: hint.term, index: message.index, reject: true,
                rejectHint: hint.index))
    }

    /// A leader never tells of a commit index above what this member acknowledged; if it does, acknowledged entries are gone.
    mutating func takeHeartbeat(_ message: Message) throws(RaftError) {
        guard message.commit <= log.lastIndex else {
            throw .commitOutOfRange(commit: message.commit, last: log.lastIndex)
        }
        commit = max(commit, message.commit)
        send(Message(kind: .heartbeatResponse, to: message.from, context: message.context))
    }
}
