import Raft
import Records

/// Disaster recovery (`--force-new-cluster`): one member's data becomes a cluster of that member alone, whatever happened to the
/// others. What was not known to be committed is dropped; entries that remove everybody else follow, as committed.
struct ForcedCluster {
    /// What raft starts from.
    private(set) var state: PersistedState
    /// The part of it to be written to the log.
    private(set) var added: [Entry] = []

    init(_ found: PersistedState, member: MemberID) {
        state = found
        let committed = Int(found.hardState.commit - found.snapshotIndex)
        state.entries = Array(found.entries.prefix(committed))
        let members = ForcedCluster.members(state)
        if !members.voters.contains(member) {
            let own = MemberRecord(id: member, peerURLs: ForcedCluster.placeholderURLs)
            let context = MemberChangeContext(member: own, isPromotion: members.learners.contains(member))
            append(ConfigurationChange(steps: [.init(kind: .addVoter, member: member)], context: context.json))
        }
        for other in (members.voters.union(members.learners)).sorted() where other != member {
            append(ConfigurationChange(steps: [.init(kind: .remove, member: other)]))
        }
        state.entries += added
    }

    /// What etcd gives a member whose addition is not in its own log; the operator sets the real ones with `member update`.
    private static let placeholderURLs = ["http://localhost:2380", "http://localhost:7001"]

    private mutating func append(_ change: ConfigurationChange) {
        let (kind, data) = change.encoded()
        state.hardState.commit += 1
        added.append(Entry(term: state.hardState.term, index: state.hardState.commit, kind: kind, data: data))
    }

    /// Who belongs to the cluster once everything committed is applied. Entries that cannot be read stop the member later.
    private static func members(_ state: PersistedState) -> (voters: Set<MemberID>, learners: Set<MemberID>) {
        var voters = Set(state.confState.voters + state.confState.votersOutgoing)
        var learners = Set(state.confState.learners)
        for entry in state.entries where entry.kind != .normal {
            guard let change = try? ConfigurationChange(decoding: entry.kind, entry.data) else { continue }
            for step in change.steps {
                switch step.kind {
                case .addVoter:
                    learners.remove(step.member)
                    voters.insert(step.member)
                case .addLearner: learners.insert(step.member)
                case .remove:
                    voters.remove(step.member)
                    learners.remove(step.member)
                case .update: break
                }
            }
        }
        return (voters, learners)
    }
}
