import Bytes
import EtcdAPI
import Host
import PageStore
import Raft
import Records
import WAL

/// A raft snapshot that waits until the page file holds everything up to it.
struct PendingSnapshot {
    let index: LogIndex
    let term: Term
    let confState: ConfState
    let membership: MembershipRecord
    /// The group whose commit carries that index.
    let group: UInt64
}

/// What the replicated state was when a group of changes was closed: the page file holds exactly this once the group is committed.
struct SealedState {
    let group: UInt64
    let index: LogIndex
    let term: Term
    let confState: ConfState
    let membership: MembershipRecord
    /// The page file right after the group's commit.
    var pages: ReadTransaction?

    var snapshot: Snapshot { Snapshot(index: index, term: term, confState: confState, data: membership.v2Store) }
}

/// Raft snapshots: made to keep the log short, sent to followers whose next entry is gone, received from a leader.
extension Member {
    /// Entries kept for followers that a snapshot is on its way to, beyond those kept anyway.
    static let largestHeldBack: LogIndex = 100_000

    // MARK: own

    func beginSnapshotIfDue() {
        guard pendingSnapshot == nil, installing == nil, machine.appliedIndex >= snapshotIndex + settings.snapshotCount,
            raft.applied >= machine.appliedIndex
        else { return }
        pendingSnapshot = PendingSnapshot(
            index: raft.applied, term: raft.term(at: raft.applied) ?? machine.appliedTerm, confState: confState,
            membership: machine.membership.record, group: groupToWaitFor())
    }

    /// Entries in memory serve followers that are a little behind, nothing else: there is no reason to keep more of them until the
    /// next snapshot, as the log on disk has them all.
    func compactLogIfDue() {
        guard installing == nil, raft.applied > raft.firstIndex + 2 * settings.catchUpEntries else { return }
        var index = raft.applied - settings.catchUpEntries
        // A follower goes on where its snapshot ends; were that entry gone, it would need another snapshot, and so on.
        if let needed = oldestNeededIndex, raft.applied - needed < Member.largestHeldBack { index = min(index, needed) }
        guard index >= raft.firstIndex else { return }
        raft.compactLog(through: index)
        output.events.append(.logCompacted(index: index))
    }

    private var oldestNeededIndex: LogIndex? {
        guard raft.role == .leader, !isOnlyVoter || !confState.learners.isEmpty else { return nil }
        let onTheirWay = raft.status.peers.map(\.pendingSnapshot).filter { $0 > 0 }
        let toBeSupplied = supplyGroup != nil ? [sealing, committed].compactMap { $0?.index } : []
        return (onTheirWay + toBeSupplied).min()
    }

    func save(_ pending: PendingSnapshot) throws(MemberFailure) {
        let snapshot = Snapshot(
            index: pending.index, term: pending.term, confState: pending.confState, data: pending.membership.v2Store)
        try write(snapshot)
        do throws(WALError) { _ = try log.purgeSegments(keeping: settings.maximumSegments) } catch { throw .log(error) }
        do throws(SnapshotError) {
            _ = try snapshots.purge(keeping: settings.maximumSnapshotFiles)
            try snapshots.removeDatabases(below: pending.index)
        } catch {
            throw .snapshot(error)
        }
        output.events.append(.snapshotSaved(index: pending.index))
    }

    /// The file first, then its marker in the log: a marker without its file would be a loss.
    private func write(_ snapshot: Snapshot) throws(MemberFailure) {
        let began = settings.meter?.now()
        do throws(SnapshotError) { try snapshots.save(snapshot) } catch { throw .snapshot(error) }
        if let began { settings.meter?.savedSnapshot(since: began) }
        do throws(WALError) {
            _ = try log.saveSnapshotMarker(
                SnapshotMarker(index: snapshot.index, term: snapshot.term, confState: snapshot.confState))
            try log.releaseLocks(to: snapshot.index)
        } catch {
            throw .log(error)
        }
        snapshotIndex = snapshot.index
    }

    // MARK: sent

    /// Supplies raft with what the page file holds, from the first commit on that began after the snapshot was asked for.
    func supplySnapshots() {
        guard !snapshotsWanted.isEmpty else { return }
        guard raft.role == .leader, installing == nil, !isKnownCorrupt else {
            supplyGroup = nil
            return snapshotsWanted.removeAll()
        }
        guard let group = supplyGroup else {
            supplyGroup = groupToWaitFor()
            return
        }
        guard let committed, committed.group >= group else { return }
        let snapshot = committed.snapshot
        for member in snapshotsWanted where raft.supplySnapshot(snapshot, to: member) {
            output.events.append(.snapshotSent(to: member, index: snapshot.index))
        }
        snapshotsWanted.removeAll()
        supplyGroup = nil
    }

    /// Hands messages out at once where the owner takes them, so that followers write while this member does.
    func send(_ messages: [Raft.Message]) {
        guard !messages.isEmpty else { return }
        var ordinary = messages
        if messages.contains(where: { $0.kind == .snapshot }) {
            ordinary.removeAll { $0.kind == .snapshot }
            for message in messages where message.kind == .snapshot {
                guard let pages = committed?.pages else { preconditionFailure("a snapshot is supplied with its pages") }
                output.snapshots.append(OutgoingSnapshot(message: message, pages: pages))
            }
        }
        if let sendEarly { sendEarly(ordinary) } else { output.messages.append(contentsOf: ordinary) }
    }

    // MARK: received

    /// Makes a leader's snapshot durable; whoever owns the page file is to install its database.
    func receive(_ snapshot: Snapshot) throws(MemberFailure) {
        let membership: MembershipRecord
        do throws(DecodeError) { membership = try MembershipRecord(decodingV2Store: snapshot.data) } catch {
            throw .directory("the membership in the leader's snapshot at index \(snapshot.index) cannot be read: \(error)")
        }
        var own = snapshot
        own.data = membership.v2Store
        try write(own)
        pendingSnapshot = nil
        installing = own
        nextInstallation = SnapshotInstallation(index: snapshot.index, membership: membership, settings: settings)
        beginInstallation()
        output.events.append(.snapshotReceived(index: snapshot.index))
    }

    /// One at a time: a leader may send snapshots faster than a slow disk takes their databases' places.
    private func beginInstallation() {
        // What this turn has handed out, nobody has begun.
        guard let next = nextInstallation, !isInstallationUnderWay || output.installation != nil else { return }
        output.installation = next
        nextInstallation = nil
        isInstallationUnderWay = true
    }

    /// The state machine starts anew from what the leader sent.
    func installed(_ snapshot: InstalledSnapshot, now: Instant) throws(MemberFailure) {
        guard let awaited = installing else { preconditionFailure("a snapshot was installed that nobody asked for") }
        isInstallationUnderWay = false
        beginInstallation()
        let counts = machine.counts
        let wasEnabled = machine.isAuthenticationEnabled
        machine = snapshot.takeMachine()
        machine.counts = counts
        if snapshot.index == awaited.index { installing = nil }
        confState = awaited.confState
        pageFileInUse = snapshot.sizeInUse
        newestGroup = 0
        sealing = nil
        committed = nil
        commitWatch.forget()
        for at in waitingForCommit.indices { waitingForCommit[at].group = 1 }
        for waiter in waitingForCompaction { output.answers.append((waiter.reply, waiter.answer)) }
        waitingForCompaction.removeAll()
        raft.applied(through: snapshot.index)
        commitDue = now + settings.commitInterval
        output.events.append(.snapshotInstalled(index: snapshot.index))
        output.events.append(.membershipChanged)
        output.events.append(.clusterVersion(machine.membership.clusterVersion))
        if machine.isAuthenticationEnabled != wasEnabled {
            output.events.append(.authenticationSwitched(isOn: machine.isAuthenticationEnabled))
        }
    }
}
