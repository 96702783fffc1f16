/// The answers to a candidate's request for votes. The first answer of a member counts.
struct Ballot: Equatable, Sendable {
    private var answers: [(member: MemberID, granted: Bool)] = []

    static func == (a: Ballot, b: Ballot) -> Bool { a.answers.elementsEqual(b.answers, by: ==) }

    func vote(of member: MemberID) -> Bool? { answers.first { $0.member == member }?.granted }

    mutating func record(_ member: MemberID, granted: Bool) {
        if vote(of: member) == nil { answers.append((member, granted)) }
    }

    mutating func clear() { answers.removeAll() }
}
