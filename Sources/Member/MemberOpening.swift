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

/// Opens a data directory, or makes one for the first start of a new cluster.
public struct MemberOpening {
    public var settings: MemberSettings
    public let disk: any Disk
    public let directory: DataDirectory
    /// The members of a cluster that starts now; ignored when the directory holds a member already.
    public let initialMembers: [MemberRecord]
    public var pageFileOptions = PageFileOptions()
    public var syncs = true
    public var wallMilliseconds: UInt64
    public var progress: (OpeningProgress) -> Void = { _ in }

    public init(
        settings: MemberSettings, disk: any Disk, directory: DataDirectory, initialMembers: [MemberRecord],
        wallMilliseconds: UInt64
    ) {
        self.settings = settings
        self.disk = disk
        self.directory = directory
        self.initialMembers = initialMembers
        self.wallMilliseconds = wallMilliseconds
    }

    public func open() throws(MemberFailure) -> OpenedMember {
        try prepareDirectories()
        let committer = PageCommitter(try openPageFile())
        let snapshots = SnapshotDirectory(disk, path: directory.snapshotPath)
        let exists: Bool
        do throws(WALError) { exists = try WriteAheadLog.exists(disk, directory.walPath) } catch { throw .log(error) }
        var notices: [OpenedMember.Notice] = exists ? [] : [.created]
        let found = try findSnapshot(snapshots, logExists: exists, &notices)
        var log = try openLog(from: found.marker, exists: exists)
        var settings = settings
        if let metadata = try? LogMetadata(decoding: log.metadata) {
            settings.memberID = metadata.member
            settings.clusterID = metadata.cluster
        } else {
            throw .directory("\(directory.walPath): the log's metadata cannot be decoded")
        }
        let replay = log.takeReplay() ?? Replay()
        if let torn = replay.tornTail { notices.append(.tornTail(file: torn.file, offset: torn.offset)) }
        let persisted = try begin(&log, replay, found)
        if exists { notices.append(.restarted(commit: persisted.hardState.commit, snapshot: found.marker.index)) }
        let machine = try openMachine(&settings, committer, found)
        if machine.appliedIndex < found.marker.index {
            throw .directory(
                "\(directory.pageFilePath) holds entries up to \(machine.appliedIndex), and the newest snapshot is at "
                    + "\(found.marker.index): the page file is older than the log needs")
        }
        if machine.isAuthenticationEnabled { notices.append(.authenticationEnabled) }
        return OpenedMember(
            settings: settings, log: log, snapshots: snapshots, machine: machine, persisted: persisted,
            pageFileInUse: Int64(committer.file.space.inUse), wallMilliseconds: wallMilliseconds, pageFile: committer.file,
            notices: notices)
    }

    // MARK: files

    private func prepareDirectories() throws(MemberFailure) {
        do throws(DiskError) {
            try disk.createDirectory(directory.snapshotPath, permissions: 0o700)
            let parent = String(directory.walPath[..<(directory.walPath.lastIndex(of: "/") ?? directory.walPath.startIndex)])
            if !parent.isEmpty { try disk.createDirectory(parent, permissions: 0o700) }
        } catch {
            throw .configuration("\(error)")
        }
    }

    private func openPageFile() throws(MemberFailure) -> PageFile {
        do throws(PageFileError) {
            let file = try PageFile.open(disk: disk, path: directory.pageFilePath, options: pageFileOptions)
            try PageCommitter(file).createBuckets()
            return file
        } catch {
            throw error.reason == .lockedByAnotherProcess ? .locked("\(error)") : .directory("\(error)")
        }
    }

    struct FoundSnapshot {
        var marker = SnapshotMarker()
        var confState = ConfState()
        var membership = MembershipRecord()
    }

    private func findSnapshot(
        _ snapshots: SnapshotDirectory, logExists: Bool, _ notices: inout [OpenedMember.Notice]
    ) throws(MemberFailure) -> FoundSnapshot {
        var found = FoundSnapshot()
        guard logExists else { return found }
        let markers: [SnapshotMarker]
        do throws(WALError) { markers = try WriteAheadLog.snapshotMarkers(disk, directory.walPath) } catch { throw .log(error) }
        let loaded: SnapshotDirectory.Loaded
        do throws(SnapshotError) { loaded = try snapshots.loadNewest(matching: markers) } catch { throw .snapshot(error) }
        for broken in loaded.broken { notices.append(.brokenSnapshot(file: broken.file, reason: broken.reason)) }
        guard let snapshot = loaded.snapshot else { return found }
        found.marker = SnapshotMarker(index: snapshot.index, term: snapshot.term, confState: snapshot.confState)
        found.confState = snapshot.confState
        do throws(DecodeError) { found.membership = try MembershipRecord(decodingV2Store: snapshot.data) } catch {
            throw .directory("the membership in the snapshot at index \(snapshot.index) cannot be read: \(error)")
        }
        return found
    }

    private func openLog(from marker: SnapshotMarker, exists: Bool) throws(MemberFailure) -> WriteAheadLog {
        let options = WriteAheadLog.Options(syncs: syncs)
        do throws(WALError) {
            if exists {
                let report = progress
                return try WriteAheadLog.open(disk, directory.walPath, from: marker, options: options) {
                    report(.replayed($0))
                }
            }
            let metadata = LogMetadata(member: settings.memberID, cluster: settings.clusterID)
            return try WriteAheadLog.create(disk, directory.walPath, metadata: metadata.encoded(), options: options)
        } catch {
            if case .locked = error { throw .locked("write-ahead log: \(error)") }
            throw .log(error)
        }
    }

    /// What raft starts from. A log without anything in it is that of a member which never got past its creation: the entries
    /// that make its first configuration are written, as committed, the way every member of a new cluster writes them.
    private func begin(
        _ log: inout WriteAheadLog, _ replay: Replay, _ found: FoundSnapshot
    ) throws(MemberFailure) -> PersistedState {
        var state = PersistedState(
            hardState: replay.hardState, confState: found.confState, snapshotIndex: found.marker.index,
            snapshotTerm: found.marker.term, entries: replay.entries, applied: found.marker.index)
        state.hardState.commit = max(state.hardState.commit, found.marker.index)
        state.hardState.term = max(state.hardState.term, found.marker.term)
        guard found.marker.index == 0, replay.entries.isEmpty, replay.hardState == HardState() else { return state }
        guard !initialMembers.isEmpty else {
            throw .directory("\(directory.walPath) holds no entry, and no initial cluster is given")
        }
        for (offset, member) in initialMembers.sorted(by: { $0.id < $1.id }).enumerated() {
            var change = ConfigurationChange(steps: [.init(kind: .addVoter, member: member.id)])
            change.context = MemberChangeContext(member: member).json
            state.entries.append(
                Entry(term: 1, index: LogIndex(offset + 1), kind: .configurationChange, data: change.encodedFirstVersion()))
        }
        state.hardState = HardState(term: 1, vote: 0, commit: LogIndex(state.entries.count))
        do throws(WALError) { _ = try log.append(state.hardState, state.entries, sync: true) } catch { throw .log(error) }
        return state
    }

    // MARK: state machine

    private func openMachine(
        _ settings: inout MemberSettings, _ committer: PageCommitter, _ found: FoundSnapshot
    ) throws(MemberFailure) -> StateMachine {
        do {
            let pages = try committer.file.beginRead()
            let stored = try StoredState(pages, settings)
            if settings.followsDirectory, let version = stored.clusterVersion {
                settings.behavesAs = MemberSettings.release(of: version)
            }
            let report = progress
            let restored = try Store.restore(from: pages) { report(.indexed(revisions: $0)) }
            var leases = stored.leases
            for item in restored.leasedKeys { leases.move(item.key, to: item.lease) }
            var membership = found.membership
            membership.downgrade = stored.downgrade
            let machine = StateMachine(
                settings: .init(clusterID: settings.clusterID, memberID: settings.memberID, quota: settings.quota),
                store: restored.store, leases: leases, alarms: stored.alarms,
                membership: Membership(membership, learnerLimit: settings.learnerLimit),
                appliedIndex: stored.consistentIndex, appliedTerm: stored.term,
                isAuthenticationEnabled: stored.isAuthenticationEnabled)
            machine.pageFileSize = Int64(committer.file.space.size)
            return machine
        } catch {
            throw .directory("\(directory.pageFilePath): \(error)")
        }
    }
}
