import Backend
import Host
import Raft
import Records
import StateMachine
import WAL

/// What arrived since the last turn.
public struct Inbox: Sendable {
    public var requests: [ClientRequest] = []
    public var messages: [Message] = []
    /// Groups that the page file holds since.
    public var commits: [PageCommit] = []
    public init() {}
    public var isEmpty: Bool { requests.isEmpty && messages.isEmpty && commits.isEmpty }
}

/// What a turn asks of the member's owner. Answers leave only after `published` is visible to the loops.
public struct TurnOutput {
    public var published: Published?
    public var answers: [(ReplyAddress, MemberAnswer)] = []
    public var messages: [Message] = []
    /// To be committed to the page file and reported in a later inbox; one at a time.
    public var commit: CommitGroup?
    /// Rewrite the page file after `commit`; report as a commit of the same group.
    public var defragments = false
    public var events: [MemberEvent] = []
    /// Entries made durable in this turn.
    public var syncedEntries = 0
    /// When to call the next turn if nothing arrives before.
    public var nextWake: Instant?
}

/// What people and metrics may want to know.
public enum MemberEvent: Sendable {
    case leadership(LeadershipChange)
    case membershipChanged
    case clusterVersion(ClusterVersion?)
    case authenticationEnabled
    /// The member has published its attributes through the log.
    case ready
    case snapshotSaved(index: LogIndex)
    case logCompacted(index: LogIndex)
    case compactionFinished(revision: Int64)
    case alarmRaised
    case removed
}

/// Why a member cannot go on.
public enum MemberFailure: Error, CustomStringConvertible, Sendable {
    case raft(RaftError)
    case log(WALError)
    case snapshot(SnapshotError)
    case apply(ApplyFailure)
    case store(String)
    case directory(String)
    case configuration(String)
    /// Another process has the data directory.
    case locked(String)

    public var description: String {
        switch self {
        case .raft(let error): "\(error)"
        case .log(let error): "write-ahead log: \(error)"
        case .snapshot(let error): "snapshot file: \(error)"
        case .apply(.entry(let error)): "\(error)"
        case .apply(.store(let error)): "store: \(error)"
        case .store(let reason), .directory(let reason), .configuration(let reason), .locked(let reason): reason
        }
    }
}
