import Bytes
import EtcdAPI
import Host
import Member
import Raft
import Records
import WAL

/// What the log and the snapshots of a data directory hold, read without changing anything.
struct LogFacts: Equatable {
    /// Entries after the newest snapshot, by what reads them.
    struct Entries: Equatable {
        var total = 0
        var requests = 0
        /// Requests of the v2 API that change members or the version, as 3.5 writes them.
        var bareV2 = 0
        /// Those of users.
        var userV2 = 0
        var authentication = 0
        var configurationChanges = 0
        /// Numbers of request kinds that no release from 3.4 to 3.7 knows.
        var unknownFields: [Int] = []
    }

    /// Numbers of the requests of users, roles and permissions in InternalRaftRequest.
    private static let authenticationFields = 1000..<1300

    var memberID: UInt64 = 0
    var clusterID: UInt64 = 0
    var segments = 0
    var snapshotIndex: UInt64 = 0
    var snapshotTerm: UInt64 = 0
    /// First to last entry after the snapshot; nil where there is none.
    var range: ClosedRange<UInt64>?
    var term: UInt64 = 0
    var commit: UInt64 = 0
    var entries = Entries()
    /// By the snapshot.
    var clusterVersion: String?
    /// By the snapshot.
    var confState = ConfState()
    /// Users' keys in the v2 store.
    var v2Keys = 0
    /// What a crash left half done, which a start mends.
    var notes: [String] = []

    /// Everything damaged is named with file and place.
    init(_ directory: DataDirectory, on disk: any Disk) throws(CommandFailure) {
        do {
            let markers = try WriteAheadLog.snapshotMarkers(disk, directory.walPath)
            let loaded = try SnapshotDirectory(disk, path: directory.snapshotPath).loadNewest(matching: markers)
            for broken in loaded.broken { notes.append("\(directory.snapshotPath)/\(broken.file) is damaged: \(broken.reason)") }
            var start = SnapshotMarker()
            if let snapshot = loaded.snapshot {
                start = SnapshotMarker(index: snapshot.index, term: snapshot.term)
                confState = snapshot.confState
                clusterVersion = try MembershipRecord(decodingV2Store: snapshot.data).clusterVersion?.description
                v2Keys = try MembershipRecord.userKeys(inV2Store: snapshot.data)
            }
            snapshotIndex = start.index
            snapshotTerm = start.term
            segments = try disk.list(directory.walPath).count { $0.hasSuffix(".wal") }
            try read(WriteAheadLog.read(disk, directory.walPath, from: start))
        } catch let error as CommandFailure {
            throw error
        } catch {
            throw CommandFailure("\(error)")
        }
    }

    private mutating func read(_ replay: Replay) throws {
        let metadata = try LogMetadata(decoding: replay.metadata)
        memberID = metadata.member
        clusterID = metadata.cluster
        term = replay.hardState.term
        commit = replay.hardState.commit
        if let first = replay.entries.first, let last = replay.entries.last { range = first.index...last.index }
        if let tail = replay.tornTail { notes.append("\(tail.file) ends torn at offset \(tail.offset): \(tail.reason)") }
        for entry in replay.entries { count(entry) }
    }

    private mutating func count(_ entry: Entry) {
        entries.total += 1
        guard entry.kind == .normal else { return entries.configurationChanges += 1 }
        guard !entry.data.isEmpty else { return }
        if let request = try? InternalRaftRequest(decoding: entry.data) {
            entries.requests += 1
            if let field = request.request?.field, LogFacts.authenticationFields.contains(field) { entries.authentication += 1 }
            if request.request == nil, !entries.unknownFields.contains(request.unknownField) {
                entries.unknownFields.append(request.unknownField)
            }
        } else if let request = try? V2Request(decoding: entry.data), request.writesUserKeys {
            entries.userV2 += 1
        } else {
            entries.bareV2 += 1
        }
    }
}
