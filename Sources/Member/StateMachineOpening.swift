import Backend
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

/// Opens the page file of a data directory and reads the state machine out of it: at start, and again when a leader's snapshot has
/// taken its place.
public struct StateMachineOpening: Sendable {
    public let disk: any Disk
    public let directory: DataDirectory
    public var options: PageFileOptions

    init(disk: any Disk, directory: DataDirectory, options: PageFileOptions) {
        self.disk = disk
        self.directory = directory
        self.options = options
    }

    func openPageFile() throws(MemberFailure) -> PageFile {
        do throws(PageFileError) {
            let file = try PageFile.open(disk: disk, path: directory.pageFilePath, options: options)
            if !options.isReadOnly { try PageCommitter(file).createBuckets() }
            return file
        } catch {
            switch error.reason {
            case .lockedByAnotherProcess: throw .locked("\(error)")
            case .disk(let error): throw .disk(error)
            default: throw .directory("\(error)")
            }
        }
    }

    /// Moves the database received with the snapshot at `index` into the page file's place. False when there is none.
    func adoptDatabase(at index: LogIndex) throws(MemberFailure) -> Bool {
        let received: String?
        do throws(SnapshotError) {
            received = try SnapshotDirectory(disk, path: directory.snapshotPath).database(at: index)
        } catch {
            throw .snapshot(error)
        }
        guard let received else { return false }
        do throws(DiskError) {
            try disk.rename(received, to: directory.pageFilePath)
            try disk.syncDirectory(directory.snapshotPath)
        } catch {
            throw .store("\(error)")
        }
        return true
    }

    /// The newest entry whose changes the page file holds.
    func consistentIndex(of file: PageFile) throws(MemberFailure) -> UInt64 {
        do { return try StoredState.consistentIndex(try file.beginRead()) } catch {
            throw .directory("\(directory.pageFilePath): \(error)")
        }
    }

    func storedMembers(in file: PageFile) throws(MemberFailure) -> [MemberRecord] {
        do { return try StoredState.members(try file.beginRead()) } catch {
            throw .directory("\(directory.pageFilePath): \(error)")
        }
    }

    /// Takes over what the small buckets say, and builds the index of keys.
    ///
    /// - Parameter membership: as of the raft snapshot the member starts from; the `members` bucket may be ahead of it.
    func openMachine(
        _ file: PageFile, _ settings: MemberSettings, membership: MembershipRecord, progress: (Int) -> Void
    ) throws(MemberFailure) -> (machine: StateMachine, clusterVersion: ClusterVersion?) {
        do {
            let pages = try file.beginRead()
            let stored = try StoredState(pages, settings)
            let restored = try Store.restore(from: pages, progress: progress)
            var leases = stored.leases
            for item in restored.leasedKeys { leases.move(item.key, to: item.lease) }
            var membership = membership
            membership.downgrade = stored.downgrade
            let machine = StateMachine(
                settings: .init(clusterID: settings.clusterID, memberID: settings.memberID, quota: settings.quota),
                store: restored.store, leases: leases, alarms: stored.alarms,
                membership: Membership(membership, learnerLimit: settings.learnerLimit),
                appliedIndex: stored.consistentIndex, appliedTerm: stored.term,
                authentication: stored.authentication)
            machine.storedRemainders = stored.leaseRemainders
            machine.pageFileSize = Int64(file.space.size)
            return (machine, stored.clusterVersion)
        } catch {
            throw .directory("\(directory.pageFilePath): \(error)")
        }
    }
}
