/// Why a change does not fit the configuration it meets.
public enum ConfigurationChangeError: Error, Equatable, Sendable, CustomStringConvertible {
    case alreadyJoint
    case notJoint
    case removesAllVoters
    case severalVotersWithoutJoint

    public var description: String {
        switch self {
        case .alreadyJoint: "the configuration is joint and must be left first"
        case .notJoint: "the configuration is not joint and cannot be left"
        case .removesAllVoters: "no voter would be left"
        case .severalVotersWithoutJoint: "more than one voter changes without a joint configuration"
        }
    }
}

extension ConfigurationChange {
    /// The empty change leaves a joint configuration.
    public var leavesJoint: Bool { transition == .auto && steps.isEmpty }

    /// Several steps, or an explicit wish, go through a joint configuration.
    public var entersJoint: Bool { transition != .auto || steps.count > 1 }
}

/// Changes as pure functions from configuration to configuration (Raft thesis, 4.1 and 4.3).
extension ClusterConfiguration {
    func applying(_ change: ConfigurationChange) throws(ConfigurationChangeError) -> ClusterConfiguration {
        if change.leavesJoint { return try leavingJoint() }
        if isJoint { throw .alreadyJoint }
        return change.entersJoint ? try enteringJoint(change) : try applyingSimply(change)
    }

    private func leavingJoint() throws(ConfigurationChangeError) -> ClusterConfiguration {
        guard isJoint else { throw .notJoint }
        var next = self
        next.learners = learners.union(learnersNext)
        next.learnersNext = MemberSet()
        next.voters.outgoing = MemberSet()
        next.autoLeave = false
        return next
    }

    private func enteringJoint(_ change: ConfigurationChange) throws(ConfigurationChangeError) -> ClusterConfiguration {
        if voters.incoming.isEmpty { throw .removesAllVoters }
        var next = self
        next.voters.outgoing = voters.incoming
        try next.take(change.steps)
        next.autoLeave = change.transition != .jointExplicit
        return next
    }

    private func applyingSimply(_ change: ConfigurationChange) throws(ConfigurationChangeError) -> ClusterConfiguration {
        var next = self
        try next.take(change.steps)
        guard voters.incoming.differenceCount(next.voters.incoming) <= 1 else { throw .severalVotersWithoutJoint }
        return next
    }

    /// Steps naming member zero do nothing: that is how etcd's server voids a change it refused after it was committed.
    private mutating func take(_ steps: [ConfigurationChange.Step]) throws(ConfigurationChangeError) {
        for step in steps where step.member != 0 {
            switch step.kind {
            case .addVoter: makeVoter(step.member)
            case .addLearner: makeLearner(step.member)
            case .remove: remove(step.member)
            case .update: break
            }
        }
        if voters.incoming.isEmpty { throw .removesAllVoters }
    }

    private mutating func makeVoter(_ member: MemberID) {
        learners.remove(member)
        learnersNext.remove(member)
        voters.incoming.insert(member)
    }

    /// A voter of the outgoing half keeps its vote until the joint configuration is left.
    private mutating func makeLearner(_ member: MemberID) {
        remove(member)
        if voters.outgoing.contains(member) {
            learnersNext.insert(member)
        } else {
            learners.insert(member)
        }
    }

    private mutating func remove(_ member: MemberID) {
        voters.incoming.remove(member)
        learners.remove(member)
        learnersNext.remove(member)
    }
}
