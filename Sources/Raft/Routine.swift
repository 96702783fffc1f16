/// Messages that change nothing: the bulk of what members say to each other while clients only read.
extension RaftNode {
    /// Whether stepping `message` now leaves term, vote, leader, log and commit index as they are, so that nothing follows from it but
    /// messages and ``ReadState``s, and nothing has to be durable first. It may still set off timers later.
    public func isRoutine(_ message: Message) -> Bool {
        guard message.to == id, message.from != id, message.isWellFormed else { return false }
        switch message.kind {
        case .heartbeat:
            return role == .follower && message.term == term && message.from == leader && message.commit <= commit
        case .heartbeatResponse: return role == .leader && message.term == term
        case .readIndex: return true
        case .readIndexResponse: return role == .follower && message.term == term
        default: return false
        }
    }
}
