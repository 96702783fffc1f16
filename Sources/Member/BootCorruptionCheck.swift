import MVCC

/// Compares a member's data with what the others answered, before it serves (`--feature-gates=InitialCorruptCheck=true`). Hashes of
/// different compact revisions cannot be compared. Source: `InitialCheck` in `server/etcdserver/corrupt.go`.
public struct BootCorruptionCheck: Sendable {
    /// What another member answered when it was asked for its hash at this member's newest revision.
    public enum Answer: Equatable, Sendable {
        case hash(KeyValueHash)
        /// It has not got that far.
        case behind
        /// It has compacted that revision already.
        case compacted
        case otherCluster
        case unreachable(reason: String)
    }

    public enum Finding: Equatable, Sendable {
        case same
        case differentData
        case differentCompaction
        case notComparable
    }

    /// nil where nobody is asked: then nothing has to be hashed.
    public let own: KeyValueHash?
    public let answers: [(member: UInt64, answer: Answer)]

    public init(own: KeyValueHash?, answers: [(member: UInt64, answer: Answer)]) {
        precondition(own != nil || answers.isEmpty, "answers have nothing to be compared with")
        self.own = own
        self.answers = answers
    }

    public func finding(on answer: Answer) -> Finding {
        guard let own, case .hash(let other) = answer else { return .notComparable }
        if own.hash == other.hash { return .same }
        return own.compactRevision == other.compactRevision ? .differentData : .differentCompaction
    }

    /// This member must not serve: some member has other data at the same revision and compact revision.
    public var isCorrupt: Bool { answers.contains { finding(on: $0.answer) == .differentData } }
}
