import Host

@testable import Raft

/// Mistakes an owner could make; the checkers must find them.
enum SeededBug: CaseIterable {
    /// Votes and append responses leave before what they vouch for is durable.
    case answersBeforeSync
    /// A leader's batches are reported durable as soon as they are handed out.
    case countsItselfBeforeSync
    /// The vote is not written.
    case forgetsVote
    /// Who believes to lead answers reads with its commit index, without asking anybody.
    case readsWithoutQuorum
}

/// One member with its disk, run by its owner as ``Effects`` prescribes, with a disk that takes time.
struct SimulatedMember {
    let id: MemberID
    /// Nil while it is down.
    var node: RaftNode?
    var disk = SimulatedDisk()
    var machine = HistoryMachine()
    /// Increases with every start: what was scheduled for an earlier life is void.
    var life = 0
    /// Committed entries handed out and not applied yet.
    var applyQueue: [Entry] = []
    /// Messages, and a snapshot to install, that wait for a batch.
    var waiting: [(batch: UInt64, messages: [Message], snapshot: Snapshot?)] = []
    var lastSync = Instant(nanoseconds: 0)
    /// Open reads: context and the highest commit index known anywhere when it was asked.
    var reads: [(context: [UInt8], floor: LogIndex)] = []
    var wakeScheduled: Instant?

    init(id: MemberID) { self.id = id }
}
