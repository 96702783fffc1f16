@testable import Raft

/// A promise of consensus that did not hold.
struct Violation: Error, CustomStringConvertible {
    let description: String
}

/// Watches all members at once and compares what they do with what Raft promises (Raft paper, figure 3).
struct SafetyChecker {
    private struct Place: Hashable {
        let index: LogIndex
        let term: Term
    }

    private var leaders: [Term: MemberID] = [:]
    private var votes: [Term: [MemberID: MemberID]] = [:]
    private var entries: [Place: (digest: UInt64, previousTerm: Term?)] = [:]
    private var history: [LogIndex: (hash: UInt64, term: Term, knownInTerm: Term)] = [:]
    private var sentTerms: [MemberID: Term] = [:]
    private(set) var maximumApplied: LogIndex = 0
    /// The highest commit index any member knew of, ever.
    private(set) var maximumCommit: LogIndex = 0

    mutating func sawSent(_ message: Message) throws(Violation) {
        switch message.kind {
        case .voteResponse where !message.reject:
            let earlier = votes[message.term]?[message.from]
            guard earlier == nil || earlier == message.to else {
                throw Violation(
                    description: "\(message.from) voted for \(earlier ?? 0) and \(message.to) in term \(message.term)")
            }
            votes[message.term, default: [:]][message.from] = message.to
        case .vote:
            let earlier = votes[message.term]?[message.from]
            guard earlier == nil || earlier == message.from else {
                throw Violation(description: "\(message.from) campaigns in term \(message.term) after voting for \(earlier ?? 0)")
            }
            votes[message.term, default: [:]][message.from] = message.from
        default: break
        }
        let promisesTerm =
            switch message.kind {
            case .preVote, .proposal, .readIndex: false
            // Names the one to lead as its sender.
            case .transferLeader: false
            case .preVoteResponse: message.reject
            default: true
            }
        if promisesTerm { sentTerms[message.from] = max(sentTerms[message.from] ?? 0, message.term) }
    }

    func sawRestart(of node: RaftNode) throws(Violation) {
        guard node.term >= sentTerms[node.id] ?? 0 else {
            throw Violation(
                description: "\(node.id) came back in term \(node.term) after speaking in term \(sentTerms[node.id] ?? 0)")
        }
    }

    /// Election safety and leader completeness.
    mutating func sawLeader(_ node: RaftNode) throws(Violation) {
        if let other = leaders[node.term], other != node.id {
            throw Violation(description: "\(other) and \(node.id) both lead term \(node.term)")
        }
        if leaders[node.term] != nil { return }
        leaders[node.term] = node.id
        var index = node.firstIndex
        while let known = history[index] {
            // An entry somebody knew to be committed in a term at least this one's may be news to this leader.
            if known.knownInTerm < node.term, node.term(at: index) != known.term {
                throw Violation(
                    description: "leader \(node.id) of term \(node.term) lacks committed entry \(index) of term \(known.term)")
            }
            index += 1
        }
    }

    /// Log matching: by induction it is enough that an entry of one index and term has one content and one predecessor.
    mutating func sawEntries(_ added: [Entry], of node: RaftNode) throws(Violation) {
        for entry in added {
            let place = Place(index: entry.index, term: entry.term)
            let digest = HistoryMachine.digest(of: entry)
            let previousTerm = node.term(at: entry.index - 1)
            guard let known = entries[place] else {
                entries[place] = (digest, previousTerm)
                continue
            }
            guard known.digest == digest, known.previousTerm == previousTerm || previousTerm == nil else {
                throw Violation(description: "entry \(entry.index) of term \(entry.term) differs on \(node.id)")
            }
        }
    }

    mutating func sawCommit(_ node: RaftNode) { maximumCommit = max(maximumCommit, node.commit) }

    /// State machine safety.
    mutating func sawApplied(_ machine: HistoryMachine, entryTerm: Term, by node: RaftNode) throws(Violation) {
        maximumApplied = max(maximumApplied, machine.applied)
        guard let known = history[machine.applied] else {
            history[machine.applied] = (machine.hash, entryTerm, node.term)
            return
        }
        guard known.hash == machine.hash else {
            throw Violation(description: "\(node.id) applied another history up to \(machine.applied)")
        }
    }

    func sawRead(at index: LogIndex, floor: LogIndex, by member: MemberID) throws(Violation) {
        guard index >= floor else {
            throw Violation(description: "\(member) may read at \(index), but \(floor) was committed before it asked")
        }
    }
}
