import Backend
import Host
import Membership
import PageStore
import Raft
import Records
import StateMachine
import WAL

import struct EtcdAPI.AlarmMember

/// What arrived since the last turn.
public struct Inbox: Sendable {
    public var requests: [ClientRequest] = []
    public var messages: [Message] = []
    /// Groups that the page file holds since.
    public var commits: [PageCommit] = []
    /// Snapshots whose databases took the page file's place since; after all commits to the file before.
    public var installations: [InstalledSnapshot] = []
    public var reports: [PeerReport] = []
    /// What became of a ``TurnOutput/segmentPreparation``; nil when it failed.
    public var segments: [PreparedSegment?] = []
    public init() {}
    public var isEmpty: Bool {
        requests.isEmpty && segments.isEmpty && messages.isEmpty && commits.isEmpty && installations.isEmpty && reports.isEmpty
    }
}

/// What the way to the other members has to tell.
public enum PeerReport: Sendable {
    /// A message to this member could not be delivered.
    case unreachable(MemberID)
    /// What became of the snapshot sent to a member.
    case snapshot(MemberID, succeeded: Bool)
    /// The answers to ``TurnOutput/versionQuestion``, of those members that answered.
    case versions(question: UInt64, [MemberID: PeerVersions])
    case hashes(HashAnswers)
    /// Another member says that this one was removed from the cluster.
    case removed
}

/// A snapshot to send: the message for raft, and the database that goes with it.
public struct OutgoingSnapshot: Sendable {
    public let message: Message
    public let pages: ReadTransaction
}

/// What a turn asks of the member's owner. Answers leave only after `published` is visible to the loops.
public struct TurnOutput {
    /// To be run away from the member thread, for it takes the disk a while, and reported in a later inbox.
    public var segmentPreparation: SegmentPreparation?
    public var published: Published?
    public var answers: [(ReplyAddress, MemberAnswer)] = []
    /// In order; empty where ``Member/sendEarly`` takes them.
    public var messages: [Message] = []
    /// Tell by a ``PeerReport`` what becomes of each.
    public var snapshots: [OutgoingSnapshot] = []
    /// To be carried out after every commit handed out before; report it in a later inbox.
    public var installation: SnapshotInstallation?
    /// Ask the other members for their versions and report them under this number.
    public var versionQuestion: UInt64?
    public var hashQuestion: HashQuestion?
    /// To be committed to the page file and reported in a later inbox; one at a time.
    public var commit: CommitGroup?
    /// Rewrite the page file after `commit`; report as a commit of the same group.
    public var defragments = false
    public var events: [MemberEvent] = []
    /// After ``Member/settle()``: there is nothing left to do before a stop.
    public var isSettled = false
    /// Entries made durable in this turn.
    public var syncedEntries = 0
    /// When to call the next turn if nothing arrives before.
    public var nextWake: Instant?

    public init() {}
}

/// What people and metrics may want to know.
public enum MemberEvent: Sendable {
    case leadership(LeadershipChange)
    case membershipChanged
    case clusterVersion(ClusterVersion?)
    /// Authentication was turned on, and this member stopped serving clients, or off.
    case authenticationSwitched(isOn: Bool)
    /// The member has published its attributes through the log.
    case ready
    case snapshotSaved(index: LogIndex)
    case logCompacted(index: LogIndex)
    case compactionFinished(revision: Int64)
    case alarmRaised(AlarmMember)
    case alarmLifted(AlarmMember)
    /// All members hold the same up to a revision.
    case dataCompared(revision: Int64, compactRevision: Int64)
    /// These could not be compared at a revision with the others.
    case dataNotCompared(revision: Int64, members: [MemberID])
    case dataDiffers(DataDifference)
    case snapshotReceived(index: LogIndex)
    case snapshotInstalled(index: LogIndex)
    case snapshotSent(to: MemberID, index: LogIndex)
    /// A leader whose thread or disk stood still for longer than an election timeout gave up leadership.
    case stalled(Instant.Span)
    /// This member was removed from the cluster and has nothing left to do.
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
    case disk(DiskError)
    case configuration(String)
    /// Another process has the data directory.
    case locked(String)

    public var description: String {
        switch self {
        case .raft(let error): "\(error)"
        case .log(let error): "write-ahead log: \(error)"
        case .snapshot(let error): "snapshot file: \(error)"
        case .apply(.entry(let error)): "\(error)"
        case .disk(let error): "\(error)"
        case .apply(.store(let error)): "store: \(error)"
        case .store(let reason), .directory(let reason), .configuration(let reason), .locked(let reason): reason
        }
    }
}
