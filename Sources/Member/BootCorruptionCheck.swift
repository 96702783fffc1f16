import MVCC

/// Compares a member's data with what the others answered, before it serves (`--feature-gates=InitialCorruptCheck=true`). Hashes of
/// different compact revisions cannot be compared. Source: `InitialCheck` in `server/etcdserver/corrupt.go`.
public struct BootCorruptionCheck: Sendable {
    public enum Finding: Equatable, Sendable {
        case same
        case differentData
        case differentCompaction
        case notComparable
    }

    /// nil where nobody is asked: then nothing has to be hashed.
    public let own: KeyValueHash?
    public let answers: [(member: UInt64, answer: HashAnswer)]

    public init(own: KeyValueHash?, answers: [(member: UInt64, answer: HashAnswer)]) {
        precondition(own != nil || answers.isEmpty, "answers have nothing to be compared with")
        self.own = own
        self.answers = answers
    }

    public func finding(on answer: HashAnswer) -> Finding {
        guard let own, case .hash(let other) = answer else { return .notComparable }
        if own.hash == other.hash { return .same }
        if own.coversObsolete { return .notComparable }
        return own.compactRevision == other.compactRevision ? .differentData : .differentCompaction
    }

    /// This member must not serve: other data is held by at least as many members, at the same revision and compact revision, as hold
    /// what it holds. etcd refuses also where a majority agrees with it, and then no member could start beside a corrupt one.
    public var isCorrupt: Bool {
        let agreeing = 1 + answers.count { finding(on: $0.answer) == .same }
        var differing: [UInt32: Int] = [:]
        for (_, answer) in answers where finding(on: answer) == .differentData {
            if case .hash(let other) = answer { differing[other.hash, default: 0] += 1 }
        }
        return (differing.values.max() ?? 0) >= agreeing
    }
}
