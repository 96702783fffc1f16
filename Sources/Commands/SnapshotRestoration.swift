import Backend
import Bytes
import Host
import Member
import PageStore
import Raft
import Records
import WAL

/// Makes the data directory of one member of a new cluster out of a saved database: the keys and leases stay, the membership is
/// the new cluster's, and a log begins that holds nothing but its founding.
struct SnapshotRestoration {
    let disk: any Disk
    /// The saved database: pages, and behind them the SHA-256 of all of them.
    let source: String
    let directory: DataDirectory
    /// In rising order of ids.
    let founders: [MemberRecord]
    /// Which of the founders this member is.
    let name: String
    /// Takes a file without its digest, or with a wrong one: a database that was copied rather than saved.
    var skipsHashCheck = false
    /// Revisions added to the newest one, and everything before counted as compacted, so that clients which saw later revisions
    /// than those saved notice instead of missing changes. Nothing happens for 0.
    var revisionBump: Int64 = 0

    private static let digestSize = 32
    private static let permissions: UInt32 = 0o700

    /// Looks at everything before it writes anything.
    func run() throws(CommandFailure) {
        guard let own = founders.first(where: { $0.name == name }) else {
            throw CommandFailure("couldn't find local name \"\(name)\" in the initial cluster configuration")
        }
        do {
            let pages = try checkedSize()
            try checkTarget()
            try disk.createDirectory(directory.snapshotPath, permissions: Self.permissions)
            try copy(pages)
            try adapt()
            try writeLog(of: own)
        } catch let error as CommandFailure {
            throw error
        } catch {
            throw CommandFailure("\(error)")
        }
    }

    // MARK: the saved file

    /// Bytes of pages in the file, once its digest is found right.
    private func checkedSize() throws -> Int {
        let file = try disk.open(source, .readOnly)
        defer { file.close() }
        let size = try file.size()
        // Pages are multiples of a disk's sectors, so what is over is a digest.
        guard size % 512 == Self.digestSize else {
            guard skipsHashCheck else { throw CommandFailure("snapshot missing hash but --skip-hash-check=false") }
            return size
        }
        let pages = size - Self.digestSize
        if skipsHashCheck { return pages }
        var hash = SHA256()
        try forEachPiece(of: file, pages) { bytes, _ in hash.update(bytes) }
        let found = hash.finish()
        var told = [UInt8](repeating: 0, count: Self.digestSize)
        _ = try told.withUnsafeMutableBytes { try file.read(at: pages, into: $0) }
        guard told == found else {
            throw CommandFailure("expected sha256 [\(Self.list(told))], got [\(Self.list(found))]")
        }
        return pages
    }

    private static func list(_ bytes: [UInt8]) -> String { bytes.map { "\($0)" }.joined(separator: " ") }

    private func forEachPiece(
        of file: any DiskFile, _ size: Int, _ body: (UnsafeRawBufferPointer, _ offset: Int) throws -> Void
    ) throws {
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { piece.deallocate() }
        var offset = 0
        while offset < size {
            let part = UnsafeMutableRawBufferPointer(rebasing: piece[..<min(piece.count, size - offset)])
            guard try file.read(at: offset, into: part) == part.count else {
                throw CommandFailure("\(source) became shorter while it was read")
            }
            try body(UnsafeRawBufferPointer(part), offset)
            offset += part.count
        }
    }

    // MARK: the directory

    private func checkTarget() throws {
        if try disk.exists(directory.path), try !disk.list(directory.path).isEmpty {
            throw CommandFailure("data-dir \"\(directory.path)\" not empty or could not be read")
        }
        if try disk.exists(directory.walPath) { throw CommandFailure("wal-dir \"\(directory.walPath)\" exists") }
    }

    private func copy(_ size: Int) throws {
        let from = try disk.open(source, .readOnly)
        defer { from.close() }
        let target = try disk.open(directory.pageFilePath, .createNew(permissions: 0o600))
        defer { target.close() }
        try forEachPiece(of: from, size) { bytes, offset in try target.write(bytes, at: offset) }
        try target.sync()
        try disk.syncDirectory(directory.snapshotPath)
    }

    /// The membership and the place in the log of the old cluster give way to the new one's, in one transaction.
    private func adapt() throws {
        let file = try PageFile.open(disk: disk, path: directory.pageFilePath)
        defer { file.close() }
        let transaction = try file.beginWrite()
        for bucket in [BucketName.members, .membersRemoved] where try transaction.bucket(bucket.name) != nil {
            try transaction.deleteBucket(bucket.name)
        }
        let members = try transaction.createBucketIfMissing(BucketName.members.name)
        _ = try transaction.createBucketIfMissing(BucketName.membersRemoved.name)
        for member in founders { try members.put(Array(MemberIdentity.text(member.id).utf8), member.json) }
        let meta = try transaction.createBucketIfMissing(BucketName.meta.name)
        try meta.put(MetaKey.consistentIndex, Self.number(UInt64(founders.count)))
        try meta.put(MetaKey.term, Self.number(1))
        try meta.put(MetaKey.confState, confState.metaJSON)
        if revisionBump > 0 { try bumpRevision(transaction, meta) }
        try transaction.commit()
    }

    private func bumpRevision(_ transaction: WriteTransaction, _ meta: WritableBucket) throws {
        let keys = try transaction.createBucketIfMissing(BucketName.key.name)
        var cursor = keys.cursor()
        let newest = try cursor.last() ? RevisionKey.main(cursor.key) ?? 0 : 0
        let (bumped, overflows) = newest.addingReportingOverflow(revisionBump)
        guard !overflows else { throw CommandFailure("--bump-revision \(revisionBump) goes beyond the highest revision") }
        try keys.put(RevisionKey.encode(main: bumped), [])
        try meta.put(MetaKey.scheduledCompactRevision, RevisionKey.encode(main: bumped))
    }

    private static func number(_ value: UInt64) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

    private var confState: ConfState { ConfState(voters: founders.map(\.id)) }

    /// The founding as every member of the cluster writes it, and a snapshot right behind it: the database begins there.
    private func writeLog(of own: MemberRecord) throws {
        let parent = directory.walPath.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        if !parent.isEmpty { try disk.createDirectory(parent, permissions: Self.permissions) }
        let metadata = LogMetadata(member: own.id, cluster: MemberIdentity.clusterID(members: founders.map(\.id)))
        var log = try WriteAheadLog.create(disk, directory.walPath, metadata: metadata.encoded())
        let entries = Founding.entries(of: founders)
        let index = LogIndex(entries.count)
        _ = try log.append(HardState(term: 1, vote: founders[0].id, commit: index), entries, sync: true)
        let snapshot = Snapshot(
            index: index, term: 1, confState: confState, data: MembershipRecord(members: founders).v2Store)
        try SnapshotDirectory(disk, path: directory.snapshotPath).save(snapshot)
        _ = try log.saveSnapshotMarker(SnapshotMarker(index: index, term: 1, confState: confState))
        try log.close()
    }
}
