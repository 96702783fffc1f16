import MVCC
import Raft

/// What another member answered when it was asked for its hash at a revision (`/members/hashkv`).
public enum HashAnswer: Equatable, Sendable {
    case hash(KeyValueHash)
    /// It has not got that far.
    case behind
    /// It has compacted that revision already.
    case compacted
    case otherCluster
    case unreachable(reason: String)
}

/// To be put to every other member, and answered by ``PeerReport/hashes(_:)``.
public struct HashQuestion: Equatable, Sendable {
    public let round: UInt64
    public let revision: Int64
    /// Nobody has this member's own hash yet: it is to be taken of the view published with the question, slowly.
    public let wantsOwn: Bool
}

/// The answers to one ``HashQuestion``.
public struct HashAnswers: Sendable {
    /// One other member's.
    public struct Report: Equatable, Sendable {
        public let member: MemberID
        /// It says that it is Quorate; false also where it says nothing.
        public let isQuorate: Bool
        public let answer: HashAnswer

        public init(member: MemberID, isQuorate: Bool, answer: HashAnswer) {
            self.member = member
            self.isQuorate = isQuorate
            self.answer = answer
        }
    }

    public let round: UInt64
    /// This member's own, where the question wanted it; nil where the revision was compacted meanwhile.
    public let own: KeyValueHash?
    /// Of every member that was asked.
    public let others: [Report]

    public init(round: UInt64, own: KeyValueHash?, others: [Report]) {
        self.round = round
        self.own = own
        self.others = others
    }
}
