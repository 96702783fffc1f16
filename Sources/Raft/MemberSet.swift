/// A set of members kept in ascending order, so that nothing ever depends on a hash seed.
struct MemberSet: Equatable, Sendable {
    private(set) var members: [MemberID]

    init() { members = [] }

    /// Duplicates collapse.
    init(_ members: [MemberID]) {
        self.members = []
        for member in members { insert(member) }
    }

    var isEmpty: Bool { members.isEmpty }
    var count: Int { members.count }

    func contains(_ member: MemberID) -> Bool { members.contains(member) }

    mutating func insert(_ member: MemberID) {
        let position = members.firstIndex { $0 >= member } ?? members.count
        if position < members.count, members[position] == member { return }
        members.insert(member, at: position)
    }

    mutating func remove(_ member: MemberID) {
        if let position = members.firstIndex(of: member) { members.remove(at: position) }
    }

    func union(_ other: MemberSet) -> MemberSet {
        var result = self
        for member in other.members { result.insert(member) }
        return result
    }

    /// Members in exactly one of both.
    func differenceCount(_ other: MemberSet) -> Int {
        members.count { !other.contains($0) } + other.members.count { !contains($0) }
    }
}
