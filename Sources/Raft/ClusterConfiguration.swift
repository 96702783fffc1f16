/// Who takes part, in the form the algorithm works with.
///
/// Invariants: a learner is in no set of voters; `learnersNext` are outgoing voters that become learners when the joint
/// configuration is left; `learnersNext` and `autoLeave` are empty and false unless joint.
struct ClusterConfiguration: Equatable, Sendable {
    var voters = JointVoters()
    var learners = MemberSet()
    var learnersNext = MemberSet()
    /// Leave the joint configuration as soon as it is applied, without being asked.
    var autoLeave = false

    init() {}

    init(_ state: ConfState) throws(RaftError) {
        voters = JointVoters(incoming: MemberSet(state.voters), outgoing: MemberSet(state.votersOutgoing))
        learners = MemberSet(state.learners)
        learnersNext = MemberSet(state.learnersNext)
        autoLeave = state.autoLeave
        if let reason = contradiction { throw .invalidConfState(reason) }
    }

    var isJoint: Bool { voters.isJoint }

    /// Everybody a leader replicates to, itself included.
    var members: MemberSet { voters.all.union(learners) }

    var confState: ConfState {
        ConfState(
            voters: voters.incoming.members, learners: learners.members, votersOutgoing: voters.outgoing.members,
            learnersNext: learnersNext.members, autoLeave: autoLeave)
    }

    /// What breaks the invariants, in words.
    var contradiction: String? {
        if members.contains(0) { return "member id zero" }
        if let both = learners.members.first(where: { voters.contains($0) }) { return "\(both) is a learner and a voter" }
        if let stray = learnersNext.members.first(where: { !voters.outgoing.contains($0) }) {
            return "\(stray) becomes a learner but is not an outgoing voter"
        }
        if let both = learnersNext.members.first(where: { voters.incoming.contains($0) }) {
            return "\(both) becomes a learner but is an incoming voter"
        }
        if isJoint && voters.incoming.isEmpty { return "joint configuration without incoming voters" }
        if !isJoint && autoLeave { return "leaves automatically but is not joint" }
        return nil
    }
}
