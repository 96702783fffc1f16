/// What must stop the member: going on could break the promises of consensus.
public enum RaftError: Error, Equatable, Sendable, CustomStringConvertible {
    case invalidConfiguration(String)
    /// Stored entries do not follow each other; `index` is the first one out of place.
    case brokenLog(index: LogIndex)
    /// Somebody knows an entry to be committed that this log does not hold: the log was truncated or lost.
    case commitOutOfRange(commit: LogIndex, last: LogIndex)
    /// The state machine is older than the log's beginning or newer than its end.
    case appliedOutOfRange(applied: LogIndex, first: LogIndex, last: LogIndex)
    /// A leader's entry contradicts one that is committed here.
    case conflictBelowCommit(index: LogIndex, commit: LogIndex)
    /// A stored or received membership contradicts itself.
    case invalidConfState(String)
    /// A committed change of membership cannot be carried out.
    case invalidChange(ConfigurationChangeError)

    public var description: String {
        switch self {
        case .invalidConfiguration(let reason): "raft configuration: \(reason)"
        case .brokenLog(let index): "raft log is broken at index \(index)"
        case .commitOutOfRange(let commit, let last):
            "commit index \(commit) is out of range, the last entry is \(last): the raft log is corrupted, truncated or lost"
        case .appliedOutOfRange(let applied, let first, let last):
            "applied index \(applied) is out of range of the raft log, which starts at \(first) and ends at \(last)"
        case .conflictBelowCommit(let index, let commit):
            "received entry \(index) contradicts a committed one (commit index \(commit))"
        case .invalidConfState(let reason): "membership is invalid: \(reason)"
        case .invalidChange(let error): "membership change cannot be carried out: \(error)"
        }
    }
}

/// Why a request was not taken. The member is well; the caller may try later or elsewhere.
public enum Refusal: Error, Equatable, Sendable {
    case noLeader
    /// This member does not pass proposals on (``RaftConfiguration/forwardsProposals``).
    case notLeader(leader: MemberID)
    case transferringLeadership(to: MemberID)
    case tooManyUncommittedBytes
    case tooManyPendingReads
    /// This leader is no longer part of the cluster.
    case notMember
    /// Another change of membership is in the log up to `index` and not applied yet.
    case changePending(index: LogIndex)
    case invalidChange(ConfigurationChangeError)
    /// Leadership can go to a voter only.
    case notVoter(MemberID)
}
