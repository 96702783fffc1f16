/// The follower's side of replication (Raft paper, figure 2).
extension RaftNode {
    mutating func takeAppend(_ message: Message) throws(RaftError) {
        // Everything up to the commit index matches already, whatever this message was sent for.
        if message.index < commit {
            send(Message(kind: .appendResponse, to: message.from, index: commit))
            return
        }
        guard log.matches(message.index, term: message.logTerm) else {
            refuseAppend(message)
            return
        }
        let firstNew = message.entries.firstIndex { !log.matches($0.index, term: $0.term) } ?? message.entries.count
        if firstNew < message.entries.count {
            let index = message.entries[firstNew].index
            guard index > commit else { throw .conflictBelowCommit(index: index, commit: commit) }
            replaceTail(with: message.entries[firstNew...])
        }
        let lastIndex = message.index + LogIndex(message.entries.count)
        commit = max(commit, min(message.commit, lastIndex))
        send(Message(kind: .appendResponse, to: message.from, index: lastIndex))
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
