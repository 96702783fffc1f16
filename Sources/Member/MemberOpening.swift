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
    /// The members of a cluster that starts now; empty for a member that joins one. Ignored when the directory's log holds
    /// anything already.
    public let initialMembers: [MemberRecord]
    public var pageFileOptions = PageFileOptions()
    public var syncs = true
    /// Make a cluster of this member alone out of the data that is there.
    public var forcesNewCluster = false
    /// Bytes set aside for a segment of the log.
    public var segmentSize = 64_000_000
    /// Drawn anew for each start: no earlier life of the member had it.
    public var salt: UInt64
    public var progress: (OpeningProgress) -> Void = { _ in }

    public init(
        settings: MemberSettings, disk: any Disk, directory: DataDirectory, initialMembers: [MemberRecord], salt: UInt64
    ) {
        self.settings = settings
        self.disk = disk
        self.directory = directory
        self.initialMembers = initialMembers
        self.salt = salt
    }

    public func open() throws(MemberFailure) -> OpenedMember {
        try prepareDirectories()
        let opening = StateMachineOpening(disk: disk, directory: directory, options: pageFileOptions)
        var file = try opening.openPageFile()
        let snapshots = SnapshotDirectory(disk, path: directory.snapshotPath)
        do throws(SnapshotError) { try snapshots.removeLeftovers() } catch { throw .snapshot(error) }
        let exists: Bool
        do throws(WALError) { exists = try WriteAheadLog.exists(disk, directory.walPath) } catch { throw .log(error) }
        var notices: [OpenedMember.Notice] = exists ? [] : [.created]
        let found = try findSnapshot(snapshots, logExists: exists, &notices)
        file = try takingReceivedDatabase(file, opening, found, &notices)
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
        let machine = try openMachine(&settings, file, opening, found, replay.entries)
        let persisted = try begin(
            &log, replay, found, applied: try opening.consistentIndex(of: file), member: settings.memberID)
        if exists { notices.append(.restarted(commit: persisted.hardState.commit, snapshot: found.marker.index)) }
        if machine.isAuthenticationEnabled { notices.append(.authenticationEnabled) }
        return OpenedMember(
            settings: settings, log: log, snapshots: snapshots, machine: machine, persisted: persisted,
            pageFileInUse: Int64(file.space.inUse), salt: salt, opening: opening, pageFile: file,
            notices: notices, storedMembers: try opening.storedMembers(in: file))
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

    /// After a crash between the arrival of a leader's snapshot and the swap of the databases the swap is made up for.
    private func takingReceivedDatabase(
        _ file: PageFile, _ opening: StateMachineOpening, _ found: FoundSnapshot, _ notices: inout [OpenedMember.Notice]
    ) throws(MemberFailure) -> PageFile {
        let applied = try opening.consistentIndex(of: file)
        guard applied < found.marker.index else { return file }
        guard try opening.adoptDatabase(at: found.marker.index) else {
            throw .directory(
                "\(directory.pageFilePath) holds entries up to \(applied), and the newest snapshot is at "
                    + "\(found.marker.index): the page file is older than the log needs")
        }
        notices.append(.adoptedDatabase(index: found.marker.index))
        let adopted = try opening.openPageFile()
        let newest = try opening.consistentIndex(of: adopted)
        guard newest >= found.marker.index else {
            throw .directory(
                "the database received with the snapshot at \(found.marker.index) holds entries up to \(newest) only")
        }
        return adopted
    }

    struct FoundSnapshot {
        var marker = SnapshotMarker()
        var confState = ConfState()
        var membership = MembershipRecord()
        /// Of the v2 store.
        var userKeys = 0
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
        do throws(DecodeError) {
            found.membership = try MembershipRecord(decodingV2Store: snapshot.data)
            found.userKeys = try MembershipRecord.userKeys(inV2Store: snapshot.data)
        } catch {
            throw .directory("the membership in the snapshot at index \(snapshot.index) cannot be read: \(error)")
        }
        return found
    }

    private func openLog(from marker: SnapshotMarker, exists: Bool) throws(MemberFailure) -> WriteAheadLog {
        let options = WriteAheadLog.Options(segmentSize: segmentSize, syncs: syncs)
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

    /// What raft starts from. An empty log is that of a member which never got past its creation. Where it founds the cluster,
    /// the entries that make its first configuration are written, as committed, the way every member of a new cluster writes
    /// them; where it joins one, its leader tells it everything.
    private func begin(
        _ log: inout WriteAheadLog, _ replay: Replay, _ found: FoundSnapshot, applied: LogIndex, member: MemberID
    ) throws(MemberFailure) -> PersistedState {
        var state = PersistedState(
            hardState: replay.hardState, confState: found.confState, snapshotIndex: found.marker.index,
            snapshotTerm: found.marker.term, entries: replay.entries, applied: found.marker.index)
        // The commit index is not synced on its own. What the page file holds was committed.
        let held = min(applied, found.marker.index + LogIndex(replay.entries.count))
        state.hardState.commit = max(state.hardState.commit, found.marker.index, held)
        state.hardState.term = max(state.hardState.term, found.marker.term)
        guard found.marker.index == 0, replay.entries.isEmpty, replay.hardState == HardState(),
            initialMembers.contains(where: { $0.id == member })
        else {
            guard forcesNewCluster else {
                // A snapshot counts for later starts, etcd's too, only behind a commit index in the log that reaches it.
                if state.hardState != replay.hardState {
                    do throws(WALError) { _ = try log.append(state.hardState, [], sync: false) } catch { throw .log(error) }
                }
                return state
            }
            let forced = ForcedCluster(state, member: member)
            do throws(WALError) { _ = try log.append(forced.state.hardState, forced.added, sync: true) } catch {
                throw .log(error)
            }
            return forced.state
        }
        state.entries = Founding.entries(of: initialMembers)
        state.hardState = HardState(term: 1, vote: 0, commit: LogIndex(state.entries.count))
        do throws(WALError) { _ = try log.append(state.hardState, state.entries, sync: true) } catch { throw .log(error) }
        return state
    }

    // MARK: state machine

    private func openMachine(
        _ settings: inout MemberSettings, _ file: PageFile, _ opening: StateMachineOpening, _ found: FoundSnapshot,
        _ entries: [Entry]
    ) throws(MemberFailure) -> StateMachine {
        let report = progress
        let (machine, version) = try opening.openMachine(file, settings, membership: found.membership) {
            report(.indexed(revisions: $0))
        }
        if settings.followsDirectory, let version, version >= ClusterVersion(3, 5) {
            settings.behavesAs = MemberSettings.release(of: version)
        }
        let contents = ForeignContents(
            confState: found.confState, userKeys: found.userKeys, entries: entries, clusterVersion: version,
            downgrade: machine.membership.record.downgrade)
        let reasons = contents.refusals(behavingAs: settings.behavesAs)
        guard reasons.isEmpty else { throw .configuration("\(directory.path): \(reasons.joined(separator: "; "))") }
        return machine
    }
}
