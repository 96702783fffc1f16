/// One step of a configuration change (raftpb.ConfChangeType, same numbers).
public enum ConfigurationChangeKind: Int32, Sendable {
    case addVoter = 0
    case remove = 1
    case update = 2
    case addLearner = 3
}

/// What raftpb calls ConfChange (one member, with etcd's own context bytes) and ConfChangeV2 (several, maybe joint).
public struct ConfigurationChange: Equatable, Sendable {
    public struct Step: Equatable, Sendable {
        public var kind: ConfigurationChangeKind
        public var member: MemberID
        public init(kind: ConfigurationChangeKind, member: MemberID) {
            self.kind = kind
            self.member = member
        }
    }
    /// raftpb.ConfChangeTransition, same numbers.
    public enum Transition: Int32, Sendable {
        case auto = 0
        case jointImplicit = 1
        case jointExplicit = 2
    }
    public var transition: Transition
    public var steps: [Step]
    /// Opaque to raft: etcd puts the member's JSON here.
    public var context: [UInt8]
    /// ConfChange.ID of the first version; etcd finds the waiting request by it.
    public var id: UInt64

    public init(transition: Transition = .auto, steps: [Step] = [], context: [UInt8] = [], id: UInt64 = 0) {
        self.transition = transition
        self.steps = steps
        self.context = context
        self.id = id
    }
}
