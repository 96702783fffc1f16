import Backend
import EtcdAPI
import Host
import Member
import Raft
import Records
import Simulation
import Watch

/// One member of a simulated cluster: its disk and its clock, which outlive its process, and the process while it runs.
public final class SimulatedMember {
    public let id: MemberID
    public internal(set) var disk = FaultyDisk(sparesReads: true)
    public internal(set) var clock: MemberClock
    /// What befalls it once it has granted a vote; told the candidate.
    var crashAfterVote: ((SimulatedMember, MemberID) throws -> Void)?
    /// What its present turn is about, for seeded bugs.
    let turnKind = TurnKind()
    /// Starts so far: what was scheduled for an earlier life is void.
    public internal(set) var life = 0
    /// Founders know the first members; who joins knows nobody.
    let initialMembers: [MemberRecord]
    var process: MemberProcess?
    /// Since the first start.
    public internal(set) var events: [MemberEvent] = []
    /// Of the last start.
    public internal(set) var notices: [OpenedMember.Notice] = []
    /// Why the last process ended, when nobody stopped it.
    public internal(set) var failure: String?
    /// Set while a disk fault stands for a power failure: what the disk then keeps.
    var crashOnDiskFault: UnsyncedWrites?
    /// Its files were damaged on purpose, so that it may refuse to start.
    public var isExpectedToFail = false
    /// It was removed from the cluster, knows it, and has stopped.
    public internal(set) var isGone = false
    /// Effects it may still have before the power fails; nil for as many as it wants.
    var effectsLeft: Int?
    var crashAfterEffects = UnsyncedWrites.kept
    /// It does not run before this time: stopped by a signal or a hypervisor.
    var pausedUntil = Instant(nanoseconds: 0)
    /// Each turn's sync takes this much longer, and a turn that has to read from the disk.
    package var diskDelay = Instant.Span(nanoseconds: 0)
    /// What a job of the page file takes on top, as where that is on a slower disk than the log.
    package var pageDelay = Instant.Span(nanoseconds: 0)

    init(_ id: MemberID, initialMembers: [MemberRecord], clock: MemberClock) {
        self.id = id
        self.initialMembers = initialMembers
        self.clock = clock
    }

    public var isRunning: Bool { process != nil }
    /// What its clients see; nil while it is down.
    public var published: Published? { process?.published }
}

/// One life of a member: what its process holds in memory.
final class MemberProcess {
    let member: Member
    var committer: PageCommitter
    var published: Published
    /// Shown before that.
    var publishedBefore: Published
    /// The newest entry that ``published`` shows.
    var publishedIndex: LogIndex = 0
    var indexBeforeTurn: LogIndex = 0
    let hub: WatchHub
    var inbox = Inbox()
    var requestIDs: RequestIDs
    /// On its own clock.
    var nextWake: Instant?
    /// When its next turn is scheduled, in true time.
    var turnAt: Instant?
    var busyUntil: Instant
    /// What the last turn asked for is still to be done: no turn begins before, though it may be due at the same moment.
    var owesOutput = false
    var injectedFailuresAtStart: Int
    let opening: StateMachineOpening
    /// What the page thread has to do, oldest first; the first is under way.
    var pageJobs: [PageJob] = []
    /// True time at which the turn under way has finished its syncs; what it sends before needs none.
    var syncEnd = Instant(nanoseconds: 0)
    var operationsBeforeTurn = 0
    /// Turns that nothing asked for but the member itself, since when they are counted.
    var idleTurns = (count: 0, since: Instant(nanoseconds: 0))

    enum PageJob {
        case commit(CommitGroup, defragments: Bool)
        case install(SnapshotInstallation)
    }

    init(
        _ member: Member, _ opening: StateMachineOpening, committer: PageCommitter, first: Published, now: Instant,
        requestIDs: RequestIDs, failures: Int
    ) {
        self.member = member
        self.opening = opening
        self.committer = committer
        published = first
        publishedBefore = first
        hub = WatchHub(view: first.view, header: first.status.header)
        hub.rest()
        busyUntil = now
        self.requestIDs = requestIDs
        injectedFailuresAtStart = failures
    }
}
