/// How an election stands.
enum VoteResult: Equatable, Sendable {
    case won
    case lost
    case pending
}

/// Majority arithmetic over one set of voters (Raft paper, 5.2 and 5.4.2).
///
/// The empty set agrees with everything, which makes it the neutral half of a joint configuration.
enum Majority {
    static func size(of voters: MemberSet) -> Int { voters.count / 2 + 1 }

    /// The highest index that more than half of the voters have reached; `UInt64.max` for no voters.
    static func reached(by voters: MemberSet, _ index: (MemberID) -> UInt64) -> UInt64 {
        if voters.isEmpty { return .max }
        var indexes = voters.members.map(index)
        indexes.sort(by: >)
        return indexes[size(of: voters) - 1]
    }

    /// `vote` is nil for who has not answered yet.
    static func result(of voters: MemberSet, _ vote: (MemberID) -> Bool?) -> VoteResult {
        if voters.isEmpty { return .won }
        var granted = 0
        var missing = 0
        for voter in voters.members {
            switch vote(voter) {
            case true: granted += 1
            case nil: missing += 1
            default: break
            }
        }
        if granted >= size(of: voters) { return .won }
        return granted + missing >= size(of: voters) ? .pending : .lost
    }
}

/// The voters of a configuration: two sets while it is joint, and then both must agree (Raft thesis, 4.3).
struct JointVoters: Equatable, Sendable {
    var incoming = MemberSet()
    /// Empty unless joint.
    var outgoing = MemberSet()

    var isJoint: Bool { !outgoing.isEmpty }
    var all: MemberSet { incoming.union(outgoing) }

    func contains(_ member: MemberID) -> Bool { incoming.contains(member) || outgoing.contains(member) }

    /// True when this member decides alone.
    func isOnly(_ member: MemberID) -> Bool { !isJoint && incoming.members == [member] }

    func reached(_ index: (MemberID) -> UInt64) -> UInt64 {
        min(Majority.reached(by: incoming, index), Majority.reached(by: outgoing, index))
    }

    func result(_ vote: (MemberID) -> Bool?) -> VoteResult {
        let results = (Majority.result(of: incoming, vote), Majority.result(of: outgoing, vote))
        switch results {
        case (.won, .won): return .won
        case (.lost, _), (_, .lost): return .lost
        default: return .pending
        }
    }
}
