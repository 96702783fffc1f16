import MVCC
import Raft

/// A member whose data differs from that of others at the same revision and compact revision.
public struct DataDifference: Equatable, Sendable {
    /// What is done about it.
    public enum Verdict: Equatable, Sendable {
        /// A majority holds other data than this member: the CORRUPT alarm is raised against it.
        case alarm
        /// The same, but it is etcd, and Quorate's mistake may be what differs.
        case onlyReported
        /// No majority holds the same, so nobody knows who is wrong.
        case undecided
    }

    public let member: MemberID
    public let verdict: Verdict
    public let revision: Int64
    public let compactRevision: Int64
    public let hash: UInt32
    /// The majority's, or the leader's where there is no majority.
    public let expected: UInt32
}

/// What the hashes of all members say. Only those of the same compact revision are compared; the revision is the one that was asked
/// for. Source of the rule of majorities: `checkPeerHashes` in `server/etcdserver/corrupt.go` of 3.6.
struct HashComparison {
    enum Outcome: Equatable {
        case same
        /// Nobody differs, and these could not be compared.
        case incomplete([MemberID])
        case different([DataDifference])
    }

    let own: KeyValueHash
    let member: MemberID
    let others: [HashAnswers.Report]
    let alarmsAgainstEtcd: Bool

    var outcome: Outcome {
        var compared = [(member: member, isQuorate: true, hash: own.hash)]
        var skipped: [MemberID] = []
        for other in others.sorted(by: { $0.member < $1.member }) {
            if case .hash(let hash) = other.answer, hash.compactRevision == own.compactRevision, hash.revision == own.revision {
                compared.append((other.member, other.isQuorate, hash.hash))
            } else {
                skipped.append(other.member)
            }
        }
        if compared.allSatisfy({ $0.hash == own.hash }) { return skipped.isEmpty ? .same : .incomplete(skipped) }
        let quorum = (others.count + 1) / 2 + 1
        let majority = compared.first { one in compared.count { $0.hash == one.hash } >= quorum }?.hash
        let expected = majority ?? own.hash
        return .different(
            compared.filter { $0.hash != expected }.map { one in
                DataDifference(
                    member: one.member,
                    verdict: majority == nil ? .undecided : one.isQuorate || alarmsAgainstEtcd ? .alarm : .onlyReported,
                    revision: own.revision, compactRevision: own.compactRevision, hash: one.hash, expected: expected)
            })
    }
}
