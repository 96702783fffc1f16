import Backend
import Bytes
import EtcdAPI
import Host
import Lease
import MVCC
import Membership
import PageStore
import Raft
import Records
import StateMachine
import WAL

/// One whole member: consensus, log, state machine. Confined to its owner's thread; the owner feeds it requests, messages and
/// the time, and carries out what a turn hands back.
///
/// The log is written and synced inside a turn, because handing it to another thread costs more than it saves; the page file is
/// committed elsewhere, a ``CommitGroup`` at a time.
public final class Member {
    public let settings: MemberSettings
    var raft: RaftNode
    var log: WriteAheadLog
    let snapshots: SnapshotDirectory
    /// Replaced when a leader's snapshot is installed.
    var machine: StateMachine
    /// Local requests on their way through the log, by request id.
    var waiting = WaitingRequests()
    var parked = ParkedProposals()
    var reads: PendingReads
    var moves: [LeaderMove] = []
    public internal(set) var confState: ConfState
    /// Index of the newest `.snap` file.
    var snapshotIndex: LogIndex
    var pendingSnapshot: PendingSnapshot?
    /// The leader's snapshot whose database is not in place yet.
    var installing: Snapshot?
    /// Handed out and not carried out yet, and the one that comes after it: in between none is worth carrying out.
    var isInstallationUnderWay = false
    var nextInstallation: SnapshotInstallation?
    /// Followers that need a snapshot, and the first group whose commit may be sent to them.
    var snapshotsWanted: [MemberID] = []
    var supplyGroup: UInt64?
    /// The state of the group on its way to the page file, and of the newest one that is there.
    var sealing: SealedState?
    var committed: SealedState?
    var commitDue: Instant?
    /// Answers owed once the page file holds a group.
    var waitingForCommit: [(group: UInt64, reply: ReplyAddress)] = []
    /// Answers owed once the page file has been rewritten, and the group it follows.
    var waitingForDefragmentation: [ReplyAddress] = []
    /// Rounds in a row in which nothing moved; the first may only have waited for readers to leave.
    var idleDefragmentations = 0
    var waitingForCompaction: [(reply: ReplyAddress, answer: MemberAnswer)] = []
    var newestGroup: UInt64 = 0
    var pageFileInUse: Int64
    var autoCompaction: AutoCompaction
    /// Renewals not answered yet.
    var renewals: [(id: Int64, reply: ReplyAddress)] = []
    var spaceGuard = SpaceGuard()
    var corruption: CorruptionWatch
    /// A leader with wrong data, or a page file that hangs, does not try to hand over before.
    var unfitHandOverDue: Instant
    var commitWatch = CommitWatch()
    var requestIDs: RequestIDs
    var isPublished = false
    /// What the log held when it was opened is history, that of a directory of etcd 3.4 among it.
    let lastIndexAtStart: LogIndex
    /// What was left of leases at the last stop, to be written down again.
    var restoredRemainders: [LeaseRemainders.Item]
    var settling: Settling?
    /// No segment of the log is prepared before.
    var preparationDue = Instant(nanoseconds: 0)
    /// Published, in a cluster whose version is decided: who asks now gets whole answers.
    var isReady = false
    var ownRequests: [UInt64: OwnProposal] = [:]
    /// When to ask again which versions the members run.
    var versionsDue: Instant
    var kinds = MemberKinds()
    var knownLeader: MemberID = 0
    /// When this member last learnt of a new leader.
    var leaderElected: Instant?
    /// When this member applied its own removal, and whether it has said so.
    var removedAt: Instant?
    var isGone = false
    var turnStart: Instant
    var output = TurnOutput()
    /// Takes messages that need not wait for this member's disk, in the middle of a turn, so that all members write at once.
    /// Without it they are in the turn's output.
    public var sendEarly: (([Raft.Message]) -> Void)?
    /// Sees every entry right before it is applied, those applied before a restart too; for the simulator's checkers.
    package var onApplying: ((Entry) -> Void)?
    /// The newest entry whose changes the store holds; after a restart raft is behind it until it has caught up.
    package var storeIndex: LogIndex { machine.appliedIndex }
    /// Since when messages to and from another member get through, nil while they do not. Without it every member counts as
    /// connected.
    public var connectedSince: ((MemberID) -> Instant?)?
    /// A number that stays as long as the same process is at the other end, nil while messages do not get through. Without it there
    /// is one connection that lasts.
    public var connection: ((MemberID) -> UInt64?)?

    public init(_ opened: consuming OpenedMember, now: Instant) throws(MemberFailure) {
        settings = opened.settings
        snapshots = opened.snapshots
        machine = opened.machine
        confState = opened.persisted.confState
        snapshotIndex = opened.persisted.snapshotIndex
        pageFileInUse = opened.pageFileInUse
        restoredRemainders = machine.takeRemainders(
            lastIndex: opened.persisted.entries.last?.index ?? opened.persisted.snapshotIndex)
        autoCompaction = AutoCompaction(opened.settings.autoCompaction, now: now)
        requestIDs = RequestIDs(memberID: opened.settings.memberID, salt: opened.salt)
        reads = PendingReads(memberID: opened.settings.memberID, salt: opened.salt)
        corruption = CorruptionWatch(opened.settings.corruption)
        unfitHandOverDue = now
        versionsDue = now
        turnStart = now
        let persisted = opened.persisted
        lastIndexAtStart = persisted.entries.last?.index ?? persisted.snapshotIndex
        var configuration = RaftConfiguration(id: opened.settings.memberID, seed: opened.settings.seed)
        configuration.heartbeatInterval = opened.settings.heartbeatInterval
        configuration.electionTimeout = opened.settings.electionTimeout
        configuration.maximumAppendBytes = opened.settings.maximumAppendBytes
        configuration.commitsEntriesOfOldTerms = opened.settings.commitsEntriesOfOldTerms
        configuration.preVote = opened.settings.preVote
        configuration.advancesInitialElection = opened.settings.advancesInitialElection
        do throws(RaftError) {
            raft = try RaftNode(configuration: configuration, restoring: persisted, now: now)
        } catch {
            throw .raft(error)
        }
        log = opened.log
    }

    /// One turn: takes everything that arrived, makes it durable, applies what is committed, and answers.
    public func turn(_ inbox: Inbox, now: Instant) throws(MemberFailure) -> TurnOutput {
        output = TurnOutput()
        take(inbox.segments, now: now)
        stepDownAfterStall(now: now)
        for commit in inbox.commits { try committed(commit, now: now) }
        for snapshot in inbox.installations { try installed(snapshot, now: now) }
        for message in inbox.messages {
            do throws(RaftError) { try raft.step(message, now: now) } catch { throw .raft(error) }
        }
        for report in inbox.reports { take(report, now: now) }
        // After the messages: what arrived during a stall may be the leader's word that spares an election.
        raft.wake(now)
        accept(inbox.requests, now: now)
        try obey(now: now)
        answerRenewals(now: now)
        try housekeeping(now: now)
        // What housekeeping proposed, or a leader that was found, is served within the same turn.
        proposeParked()
        askForReads(now)
        try obey(now: now)
        answerRenewals(now: now)
        answerMoves(now: now)
        answerReads(now)
        waiting.expire(now) { reply, deadline in
            machine.counts.failedProposals += 1
            refuse(reply, timeoutError(deadline))
        }
        output.isSettled = settling?.isDone ?? false
        output.published = publish()
        output.nextWake = nextWake(now)
        machine.store.reclaim()
        return output
    }

    private func take(_ report: PeerReport, now: Instant) {
        switch report {
        case .unreachable(let member): raft.reportUnreachable(member)
        case .snapshot(let member, let succeeded): raft.reportSnapshot(member, succeeded: succeeded)
        case .versions(let question, let answers): heard(answers, to: question, now: now)
        case .hashes(let answers): heard(answers)
        case .removed: removedAt = removedAt ?? now
        }
    }

    /// Carries out raft's effects until there are none: log and sync, then apply, then whatever that made possible.
    func obey(now: Instant) throws(MemberFailure) {
        while true {
            let effects = raft.takeEffects()
            if effects.isEmpty { return }
            let changesMembership = effects.committed.contains { $0.kind != .normal }
            if !changesMembership { send(effects.messages) }
            reads.confirmed(effects.readStates)
            if !effects.abandonedReads.isEmpty { reads.askAgain(now) }
            if let change = effects.leadership { leadershipChanged(change, now: now) }
            if let snapshot = effects.snapshot { try receive(snapshot) }
            if effects.hardState != nil || !effects.entries.isEmpty {
                do throws(WALError) {
                    _ = try log.append(effects.hardState, effects.entries, sync: effects.mustSync)
                } catch {
                    throw .log(error)
                }
                output.syncedEntries += effects.entries.count
            }
            if changesMembership {
                // Who is removed leaves once it hears that this is committed, or is switched off once it shows. It might have been the only
                // other one to know, so that must not be lost.
                do throws(WALError) { try log.sync() } catch { throw .log(error) }
                send(effects.messages)
            }
            if effects.mustSync { raft.persisted(through: effects.batch, now: now) }
            send(effects.messagesAfterSync)
            for member in effects.snapshotsWanted where !snapshotsWanted.contains(member) { snapshotsWanted.append(member) }
            try apply(effects.committed, now: now)
        }
    }

    private func apply(_ entries: [Entry], now: Instant) throws(MemberFailure) {
        guard let last = entries.last else { return }
        var began = settings.meter?.now()
        for entry in entries {
            onApplying?(entry)
            if entry.kind == .normal {
                try applyNormal(entry, now: now, &began)
            } else {
                try applyChange(entry, now: now)
            }
        }
        raft.applied(through: last.index)
        if commitDue == nil { commitDue = now + settings.commitInterval }
    }

    /// `began`: when this application begins, for measurements; then when it ended.
    private func applyNormal(_ entry: Entry, now: Instant, _ began: inout Instant?) throws(MemberFailure) {
        // A new leader's first entry: from here on its leases count, and it may serve reads of its own term.
        if entry.data.isEmpty, raft.role == .leader, entry.term == raft.term {
            machine.leases.promote(now: now, extend: settings.electionTimeout)
        }
        let applied: Applied
        do throws(ApplyFailure) { applied = try machine.apply(entry, now: now) } catch { throw .apply(error) }
        if let meter = settings.meter, let since = began, let request = applied.request {
            var succeeded = false
            if case .response? = applied.reply { succeeded = true }
            began = meter.applied(request: request, succeeded: succeeded, since: since)
            if let ttl = applied.grantedTTL { meter.granted(leaseTTL: ttl) }
        }
        try handle(applied, index: entry.index)
    }

    private func handle(_ applied: Applied, index: LogIndex) throws(MemberFailure) {
        for effect in applied.effects {
            switch effect {
            case .raiseNoSpace: proposeOwn(.raiseNoSpace)
            case .authenticationSwitched:
                output.events.append(.authenticationSwitched(isOn: machine.isAuthenticationEnabled))
            case .clusterVersionChanged:
                if let version = machine.membership.clusterVersion, version < Member.lowestVersion,
                    version != ClusterVersionRule.undecided, index > lastIndexAtStart
                {
                    throw .apply(
                        .entry(UnappliableEntry(index: index, reason: "the cluster is of version \(version), before 3.5")))
                }
                output.events.append(.clusterVersion(machine.membership.clusterVersion))
            case .remainingTimesWritten: remainingTimesWritten(by: applied.requestID)
            case .alarmRaised(let alarm): output.events.append(.alarmRaised(alarm))
            case .alarmLifted(let alarm): output.events.append(.alarmLifted(alarm))
            }
        }
        guard applied.requestID != 0, let reply = applied.reply else { return }
        if let own = ownRequests.removeValue(forKey: applied.requestID) { finished(own.request, reply) }
        guard let request = waiting.take(applied.requestID) else { return }
        if request.afterCompaction, machine.store.isCompacting, case .response = reply {
            waitingForCompaction.append((request.reply, .applied(reply)))
        } else {
            output.answers.append((request.reply, .applied(reply)))
        }
    }

    private func applyChange(_ entry: Entry, now: Instant) throws(MemberFailure) {
        if let reason = ForeignContents.refusal(of: entry) {
            throw .apply(.entry(UnappliableEntry(index: entry.index, reason: reason)))
        }
        let change: ConfigurationChange
        do { change = try ConfigurationChange(decoding: entry.kind, entry.data) } catch {
            throw .apply(.entry(UnappliableEntry(index: entry.index, reason: "a configuration change: \(error)")))
        }
        let result = machine.applyMembership(change, index: entry.index, term: entry.term)
        // A change that is refused is none to raft either.
        if case .success = result {
            do throws(RaftError) { confState = try raft.applyConfigurationChange(change, now: now) } catch { throw .raft(error) }
        }
        if machine.membership.isRemoved(settings.memberID) { removedAt = removedAt ?? now }
        output.events.append(.membershipChanged)
        noteNewMembers()
        guard let request = waiting.take(change.id) else { return }
        switch result {
        case .success: output.answers.append((request.reply, .members(machine.membership.members)))
        case .failure(let refusal): output.answers.append((request.reply, .refused(EtcdError(refusal))))
        }
    }
}
