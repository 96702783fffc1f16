import Raft

/// One leader a term, one vote a term, and nobody forgets a term it has spoken in (Raft paper, figure 3 and section 5.2).
final class ElectionChecker {
    private var leaders: [Term: MemberID] = [:]
    private var votes: [Term: [MemberID: MemberID]] = [:]
    private var spoken: [MemberID: Term] = [:]

    func sent(_ message: Message) throws {
        switch message.kind {
        case .voteResponse where !message.reject: try voted(message.from, for: message.to, message.term)
        case .vote: try voted(message.from, for: message.from, message.term)
        default: break
        }
        switch message.kind {
        // These tell of a term that may never come, or of somebody else's.
        case .preVote, .proposal, .readIndex, .transferLeader: return
        case .preVoteResponse where !message.reject: return
        default: spoken[message.from] = max(spoken[message.from] ?? 0, message.term)
        }
    }

    private func voted(_ member: MemberID, for candidate: MemberID, _ term: Term) throws {
        if let earlier = votes[term]?[member], earlier != candidate {
            throw Violation("election", "m\(member) votes for m\(candidate) in term \(term), after m\(earlier)")
        }
        votes[term, default: [:]][member] = candidate
    }

    func started(_ member: MemberID, in term: Term) throws {
        if let known = spoken[member], term < known {
            throw Violation("election", "m\(member) starts in term \(term), after it spoke in term \(known)")
        }
    }

    /// Its disk is gone, and its memory with it; only a new id may come back.
    func forgot(_ member: MemberID) { spoken[member] = nil }

    func leads(_ member: MemberID, _ term: Term) throws {
        if let other = leaders[term], other != member {
            throw Violation("election", "m\(other) and m\(member) both lead term \(term)")
        }
        leaders[term] = member
    }
}
