import Backend
import Bytes
import EtcdAPI
import Host
import Lease
import MVCC
import Raft
import Records
import StateMachine
import WAL

/// Requests that the member itself puts through the log.
enum OwnRequest: Equatable {
    case publish
    case clusterVersion(ClusterVersion)
    case endDowngrade
    case raiseNoSpace
    case liftNoSpace
    case raiseCorrupt(MemberID)
    case revokeLease(Int64)
    case checkpoint([LeaseCheckpoint])
    case compact
}

/// One of them on its way; forwarded to another member it may get lost, and is proposed again after its deadline.
struct OwnProposal {
    let request: OwnRequest
    let deadline: Instant
}

extension Member {
    func housekeeping(now: Instant) throws(MemberFailure) {
        ownRequests = ownRequests.filter { $0.value.deadline > now }
        if settling == nil {
            tellOfItself()
            if raft.role == .leader { lead(now: now) } else { corruption.rest() }
            liftNoSpaceIfDue(now)
        } else {
            goOnSettling(now: now)
        }
        autoCompactIfDue(now)
        if machine.store.isCompacting { try compactSome() }
        supplySnapshots()
        beginSnapshotIfDue()
        compactLogIfDue()
        commitIfDue(now)
        prepareSegmentIfDue(now)
        noteRemoval(now)
    }

    /// Publishes name and URLs through the log after every start, whoever leads.
    private func tellOfItself() {
        if isPublished {
            guard !isReady, machine.membership.clusterVersion != nil else { return }
            isReady = true
            output.events.append(.ready)
        } else if raft.leader != 0, installing == nil, machine.membership.member(settings.memberID) != nil {
            proposeOwn(.publish)
        }
    }

    /// After a failed preparation, such as for want of space, the next is tried after this long.
    private static let preparationPause = Instant.Span.seconds(1)

    /// The next segment is allocated before it is needed, so that no turn waits for that.
    private func prepareSegmentIfDue(_ now: Instant) {
        guard log.needsNextSegment, now >= preparationDue else { return }
        output.segmentPreparation = log.segmentPreparation()
    }

    func take(_ segments: [PreparedSegment?], now: Instant) {
        for segment in segments {
            if let segment {
                log.adopt(segment)
            } else {
                log.preparationFailed()
                preparationDue = now + Member.preparationPause
            }
        }
    }

    /// What only a leader does: agree on a version, let leases end.
    private func lead(now: Instant) {
        leaveLeadershipIfPageFileHangs(now: now)
        guard raft.applied == raft.commit else { return }
        watchVersions(now)
        compareData(now: now)
        leaveLeadershipIfCorrupt(now: now)
        revokeExpiredLeases(now: now)
        keepRemainingTimes(now: now)
    }

    private func autoCompactIfDue(_ now: Instant) {
        let store = machine.store
        let revision = autoCompaction.due(
            now: now, revision: store.currentRevision, compacted: store.compactRevision,
            leads: settling == nil && raft.role == .leader && raft.applied == raft.commit)
        if let revision { propose(.compact) { $0.compaction = CompactionRequest(revision: revision) } }
    }

    private func liftNoSpaceIfDue(_ now: Instant) {
        let isRaised = machine.alarms.of(.nospace).contains { $0.memberID == settings.memberID }
        guard settings.liftsNoSpace, isRaised, let quota = settings.quota, raft.leader != 0 else { return spaceGuard.reset() }
        if spaceGuard.isBelow(size: pageFileInUse, quota: quota, now: now) { proposeOwn(.liftNoSpace) }
    }

    /// Proposes one of the member's own requests unless it is on its way already; false when raft refuses it.
    @discardableResult
    func proposeOwn(_ own: OwnRequest) -> Bool {
        guard !ownRequests.values.contains(where: { $0.request == own }) else { return true }
        let before = ownRequests.count
        switch own {
        case .publish: publishAttributes()
        case .clusterVersion(let version): setClusterVersion(version)
        case .endDowngrade: propose(own) { $0.downgradeInfoSet = DowngradeInfoSetRequest() }
        case .raiseNoSpace: propose(own) { $0.alarm = self.noSpace(.activate) }
        case .liftNoSpace: propose(own) { $0.alarm = self.noSpace(.deactivate) }
        case .raiseCorrupt(let member):
            propose(own) { $0.alarm = AlarmRequest(action: .activate, memberID: member, alarm: .corrupt) }
        case .revokeLease(let id): propose(own) { $0.leaseRevoke = LeaseRevokeRequest(id: id) }
        case .checkpoint(let leases): propose(own) { $0.leaseCheckpoint = LeaseCheckpointRequest(checkpoints: leases) }
        case .compact: preconditionFailure("a compaction is proposed with its revision")
        }
        return ownRequests.count > before
    }

    private func noSpace(_ action: AlarmRequest.AlarmAction) -> AlarmRequest {
        AlarmRequest(action: action, memberID: settings.memberID, alarm: .nospace)
    }

    /// etcd 3.5 publishes with bare v2 requests, later releases with v3 ones; the log must hold what its readers know.
    private func publishAttributes() {
        let record = MemberRecord(id: settings.memberID, name: settings.name, clientURLs: settings.clientURLs)
        if settings.behavesAs < ClusterVersion(3, 6) {
            let path = "/0/members/\(MemberIdentity.text(settings.memberID))/attributes"
            proposeV2(.publish, path: path, value: record.attributesJSON)
        } else {
            propose(.publish) {
                $0.clusterMemberAttrSet = ClusterMemberAttrSetRequest(
                    memberID: settings.memberID,
                    memberAttributes: .init(name: settings.name, clientUrls: settings.clientURLs))
            }
        }
    }

    private func setClusterVersion(_ version: ClusterVersion) {
        if settings.behavesAs < ClusterVersion(3, 6) {
            proposeV2(.clusterVersion(version), path: "/0/version", value: Array(version.description.utf8))
        } else {
            propose(.clusterVersion(version)) { $0.clusterVersionSet = ClusterVersionSetRequest(ver: version.description) }
        }
    }

    private func proposeV2(_ own: OwnRequest, path: String, value: [UInt8]) {
        let id = requestIDs.next()
        submit(own, id, V2Request(id: id, method: "PUT", path: path, value: value).encoded())
    }

    private func propose(_ own: OwnRequest, _ fill: (inout InternalRaftRequest) -> Void) {
        var request = InternalRaftRequest()
        let id = requestIDs.next()
        request.header = RequestHeader(id: id)
        // What the member does by itself it does as root, as etcd's leader does.
        if machine.isAuthenticationEnabled {
            request.header = RequestHeader(id: id, username: "root", authRevision: machine.authRevision)
        }
        fill(&request)
        var writer = ByteWriter(capacity: 128)
        request.encode(into: &writer)
        submit(own, id, writer.array())
    }

    private func submit(_ own: OwnRequest, _ id: UInt64, _ payload: [UInt8]) {
        guard (try? raft.propose([payload])) != nil else { return }
        ownRequests[id] = OwnProposal(request: own, deadline: turnStart + settings.requestTimeout)
    }

    func finished(_ own: OwnRequest, _ reply: ApplyReply) {
        if case .publish = own { isPublished = true }
        if case .revokeLease = own, case .response = reply { machine.counts.leasesExpired += 1 }
    }

    private func compactSome() throws(MemberFailure) {
        let limit = output.syncedEntries > 0 ? Store.busyCompactionStepLimit : Store.compactionStepLimit
        let began = settings.meter?.now()
        let removed = machine.store.removedRevisions
        let finished: KeyValueHash?
        do throws(StoreError) { finished = try machine.store.compactionStep(limit: limit) } catch { throw .apply(.store(error)) }
        if let meter = settings.meter, let began {
            meter.compacted(
                revisions: machine.store.removedRevisions - removed, since: began, isFinished: finished != nil)
        }
        guard let finished else { return }
        output.events.append(.compactionFinished(revision: finished.revision))
        for waiter in waitingForCompaction { output.answers.append((waiter.reply, waiter.answer)) }
        waitingForCompaction.removeAll()
    }

    // MARK: page file

    /// The group that will hold everything applied so far.
    func groupToWaitFor() -> UInt64 { newestGroup + 1 }

    private func commitIfDue(_ now: Instant) {
        let isForced =
            !waitingForCommit.isEmpty || pendingSnapshot.map { $0.group > newestGroup } ?? false
            || supplyGroup.map { $0 > newestGroup } ?? false || !waitingForDefragmentation.isEmpty
        let isLarge = machine.store.openChangeCount >= settings.commitChanges || machine.store.openByteCount >= 16 << 20
        guard installing == nil, machine.store.groupsInFlight == 0, isForced || isLarge || (commitDue.map { $0 <= now } ?? false)
        else { return }
        storeApplied()
        guard let group = machine.store.sealGroup() else { return }
        newestGroup = group.number
        sealing = SealedState(
            group: group.number, index: machine.appliedIndex, term: machine.appliedTerm, confState: confState,
            membership: machine.membership.record)
        output.commit = group
        output.defragments = !waitingForDefragmentation.isEmpty
        if !output.defragments { commitWatch.begins(now) }
        commitDue = nil
    }

    /// The applied index goes with the changes it stands for, always in one transaction.
    private func storeApplied() {
        var index = ByteWriter(capacity: 8)
        index.appendBigEndian(machine.appliedIndex)
        machine.store.put(.meta, key: MetaKey.consistentIndex, value: index.array())
        var term = ByteWriter(capacity: 8)
        term.appendBigEndian(machine.appliedTerm)
        machine.store.put(.meta, key: MetaKey.term, value: term.array())
        machine.store.put(.meta, key: MetaKey.confState, value: confState.metaJSON)
        guard let version = machine.membership.clusterVersion else { return }
        if version >= ClusterVersion(3, 6) {
            machine.store.put(.meta, key: MetaKey.storageVersion, value: Array(version.description.utf8))
        } else if settings.behavesAs >= ClusterVersion(3, 6) {
            // After a downgrade: 3.5 knows no such key.
            machine.store.delete(.meta, key: MetaKey.storageVersion)
        }
    }

    /// The page file holds a group: readers find its values there now, and whoever waited for it is answered.
    func committed(_ commit: PageCommit, now: Instant) throws(MemberFailure) {
        commitWatch.ends(now)
        machine.store.committed(group: commit.group, pages: commit.pages)
        machine.pageFileSize = commit.size
        pageFileInUse = commit.sizeInUse
        settled(through: commit.group)
        if var sealing, sealing.group == commit.group {
            sealing.pages = commit.pages
            committed = sealing
            self.sealing = nil
        }
        noteDefragmentation(commit.defragmentation)
        for waiter in waitingForCommit where waiter.group <= commit.group { output.answers.append((waiter.reply, .done)) }
        waitingForCommit.removeAll { $0.group <= commit.group }
        if let pending = pendingSnapshot, pending.group <= commit.group {
            pendingSnapshot = nil
            try save(pending)
        }
        if machine.store.hasChanges, commitDue == nil { commitDue = now }
    }

    private func noteDefragmentation(_ round: PageCommit.Defragmentation) {
        switch round {
        case .none: return
        case .shrank: idleDefragmentations = 0
        case .idle: idleDefragmentations += 1
        }
        guard idleDefragmentations >= 3 else { return }
        idleDefragmentations = 0
        for reply in waitingForDefragmentation { output.answers.append((reply, .done)) }
        waitingForDefragmentation.removeAll()
    }
}
