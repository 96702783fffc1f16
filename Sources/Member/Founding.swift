import Raft
import Records

/// The beginning of a cluster's log.
public enum Founding {
    /// One entry for each founder, in rising order of ids: every member writes the same ones, as committed.
    public static func entries(of founders: [MemberRecord]) -> [Entry] {
        founders.sorted { $0.id < $1.id }.enumerated().map { offset, member in
            var change = ConfigurationChange(steps: [.init(kind: .addVoter, member: member.id)])
            change.context = MemberChangeContext(member: member).json
            return Entry(term: 1, index: LogIndex(offset + 1), kind: .configurationChange, data: change.encoded().data)
        }
    }
}
