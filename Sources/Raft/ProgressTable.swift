/// The progress of all members, in ascending order of their ids.
struct ProgressTable: Equatable, Sendable {
    private(set) var members: [MemberID] = []
    var progress: [Progress] = []

    func position(of member: MemberID) -> Int? { members.firstIndex(of: member) }

    /// The last index known to be durable at `member`; zero for who is not here.
    func match(of member: MemberID) -> LogIndex { position(of: member).map { progress[$0].match } ?? 0 }

    /// Keeps who stays, drops who left. A newcomer counts as active so that it is not held against the leader before it could
    /// answer.
    mutating func adopt(_ configuration: ClusterConfiguration, lastIndex: LogIndex, windowLimit: Int) {
        let newMembers = configuration.members.members
        let newProgress = newMembers.map { member in
            if let position = position(of: member) { return progress[position] }
            var newcomer = Progress(next: lastIndex, windowLimit: windowLimit)
            newcomer.isRecentlyActive = true
            return newcomer
        }
        members = newMembers
        progress = newProgress
    }

    /// Forgets all that a former term taught.
    mutating func restart(lastIndex: LogIndex, windowLimit: Int) {
        for position in progress.indices {
            progress[position] = Progress(next: lastIndex + 1, windowLimit: windowLimit)
        }
    }
}
