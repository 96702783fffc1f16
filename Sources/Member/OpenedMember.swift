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

/// A data directory, opened: everything a ``Member`` starts from.
public struct OpenedMember: ~Copyable {
    public internal(set) var settings: MemberSettings
    var log: WriteAheadLog
    let snapshots: SnapshotDirectory
    let machine: StateMachine
    var persisted: PersistedState
    let pageFileInUse: Int64
    let salt: UInt64
    /// For whoever commits, when a leader's snapshot has to take the page file's place.
    public let opening: StateMachineOpening
    /// For whoever commits; the member itself never touches the file.
    public let pageFile: PageFile
    public let notices: [Notice]
    /// Who belonged to the cluster by what the page file holds; the log may know of changes since.
    public let storedMembers: [MemberRecord]

    /// What people should know of how the directory was found.
    public enum Notice: Equatable, Sendable {
        case created
        case restarted(commit: LogIndex, snapshot: LogIndex)
        case tornTail(file: String, offset: Int)
        case brokenSnapshot(file: String, reason: String)
        case authenticationEnabled
        /// A leader's snapshot had arrived before the last crash; its database is the page file now.
        case adoptedDatabase(index: LogIndex)
    }
}

/// Where a member's files are, as etcd lays them out.
public struct DataDirectory: Sendable {
    public let path: String
    public let walPath: String
    public var memberPath: String { path + "/member" }
    public var snapshotPath: String { path + "/member/snap" }
    public var pageFilePath: String { path + "/member/snap/db" }

    /// `walPath`: `--wal-dir`, when it is given.
    public init(_ path: String, walPath: String? = nil) {
        self.path = path
        self.walPath = walPath ?? path + "/member/wal"
    }
}

/// How progress of a long start is told.
public enum OpeningProgress: Sendable {
    case replayed(ReplayProgress)
    case indexed(revisions: Int)
}

extension OpenedMember {
    /// A mistake for the simulator to find: as if the vote had not been written.
    package mutating func forgetVote() { persisted.hardState.vote = 0 }

    /// The checksum of everything stored, at the newest revision.
    public func hashKeyValues() throws(MemberFailure) -> KeyValueHash {
        do throws(StoreError) { return try machine.store.publish().hashKeyValues(at: 0) } catch { throw .apply(.store(error)) }
    }

    /// What can be published before the member's first turn.
    public var firstPublished: Published {
        Published(
            view: machine.store.publish(),
            status: MemberStatus(
                clusterID: settings.clusterID, memberID: settings.memberID, role: .follower, leader: 0,
                term: persisted.hardState.term, commitIndex: persisted.hardState.commit, appliedIndex: machine.appliedIndex,
                isLearner: settings.isLearner(in: persisted.confState), isOnlyVoter: false,
                membership: machine.membership.record, alarms: machine.alarms.members, pageFileSize: machine.pageFileSize,
                pageFileSizeInUse: pageFileInUse, quota: settings.quota,
                leaseCount: machine.leases.count, keyCount: machine.store.keyCount,
                isAuthenticationEnabled: machine.isAuthenticationEnabled, isReady: false,
                isCompacting: machine.store.isCompacting, storedHashes: machine.store.storedHashes,
                counts: AppliedCounts()))
    }
}
