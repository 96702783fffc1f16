import Bytes
import Host
import Raft
import Records

/// `member/snap`: the snapshots that raft starts from, and received databases that wait to be taken over.
public struct SnapshotDirectory: Sendable {
    public let path: String
    private let disk: any Disk
    private static let permissions: UInt32 = 0o600

    /// The directory must exist.
    public init(_ disk: any Disk, path: String) {
        self.disk = disk
        self.path = path
    }

    /// Writes a snapshot and makes it durable. Only then may its marker go to the log: a file without a marker is ignored, a
    /// marker without its file would be a loss.
    public func save(_ snapshot: Snapshot) throws(SnapshotError) {
        precondition(snapshot.index > 0, "there is no snapshot at index 0")
        let file = path + "/" + SnapshotFile.name(term: snapshot.term, index: snapshot.index)
        let bytes = SnapshotFile.encode(snapshot)
        do throws(SnapshotError) {
            try onSnapshotDisk { () throws(DiskError) in try write(bytes, to: file) }
        } catch {
            try? disk.remove(file)
            throw error
        }
    }

    private func write(_ bytes: [UInt8], to path: String) throws(DiskError) {
        // A crash after the file and before its marker leaves one of the same name behind.
        let file = try disk.open(path, .readWriteCreating(permissions: SnapshotDirectory.permissions))
        defer { file.close() }
        try file.setSize(0)
        try bytes.withBytes { (bytes) throws(DiskError) in try file.write(bytes, at: 0) }
        try file.sync()
        try disk.syncDirectory(self.path)
    }

    // MARK: Loading

    /// What ``loadNewest(matching:)`` found.
    public struct Loaded: Equatable, Sendable {
        /// Nil when no file matches: the member starts from the beginning of its log.
        public var snapshot: Snapshot?
        /// Files that were damaged, with the reason. Each is now `NAME.broken`.
        public var broken: [Broken] = []
    }

    public struct Broken: Equatable, Sendable {
        public var file: String
        public var reason: String
    }

    /// Reads the newest snapshot that the log knows of. Damaged files are set aside and the next older one is tried.
    ///
    /// - Parameter markers: from `WriteAheadLog.snapshotMarkers`.
    public func loadNewest(matching markers: [SnapshotMarker]) throws(SnapshotError) -> Loaded {
        var loaded = Loaded()
        for name in try snapshotNames().reversed() {
            guard let (term, index) = SnapshotFile.parse(name), index > 0,
                markers.contains(where: { $0.term == term && $0.index == index })
            else { continue }
            let bytes = try SnapshotFile.read(disk, "\(path)/\(name)")
            do {
                let snapshot = try SnapshotFile.decode(bytes)
                if snapshot.term == term, snapshot.index == index {
                    loaded.snapshot = snapshot
                    return loaded
                }
                loaded.broken.append(Broken(file: name, reason: "holds the snapshot of another term or index"))
            } catch {
                loaded.broken.append(Broken(file: name, reason: error.reason))
            }
            try setAside(name)
        }
        return loaded
    }

    /// Reads one snapshot file.
    public static func read(_ disk: any Disk, file: String) throws(SnapshotError) -> Snapshot {
        let bytes = try SnapshotFile.read(disk, file)
        do {
            return try SnapshotFile.decode(bytes)
        } catch {
            throw .corrupt(file: file, reason: error.reason)
        }
    }

    private func setAside(_ name: String) throws(SnapshotError) {
        try onSnapshotDisk { () throws(DiskError) in
            try disk.rename("\(path)/\(name)", to: "\(path)/\(name).broken")
            try disk.syncDirectory(path)
        }
    }

    private func names() throws(SnapshotError) -> [String] {
        try onSnapshotDisk { () throws(DiskError) in try disk.list(path) }
    }

    /// Snapshot files, oldest first: by term, then index.
    private func snapshotNames() throws(SnapshotError) -> [String] {
        try names().filter { SnapshotFile.parse($0) != nil }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    // MARK: Cleaning

    /// Removes all but the newest `maximum` snapshots, and of received databases likewise (`--max-snapshots`).
    ///
    /// - Returns: the names removed.
    @discardableResult
    public func purge(keeping maximum: Int) throws(SnapshotError) -> [String] {
        precondition(maximum > 0, "the newest snapshot is never purged")
        let databases = try databases().map(\.name)
        return try remove(try snapshotNames().dropLast(maximum) + databases.dropLast(maximum))
    }

    /// Removes received databases that a snapshot at `index` makes superfluous.
    @discardableResult
    public func removeDatabases(below index: LogIndex) throws(SnapshotError) -> [String] {
        try remove(try databases().filter { $0.index < index }.map(\.name))
    }

    /// Removes what a crash left half done: databases being received (`tmp*`) and being compacted (`db.tmp*`). Only for the
    /// start, when neither can be under way.
    @discardableResult
    public func removeLeftovers() throws(SnapshotError) -> [String] {
        try remove(try names().filter { $0.hasPrefix("tmp") || $0.hasPrefix("db.tmp") })
    }

    private func remove(_ names: some Sequence<String>) throws(SnapshotError) -> [String] {
        let names = Array(names)
        guard !names.isEmpty else { return [] }
        try onSnapshotDisk { () throws(DiskError) in
            for name in names { try disk.remove("\(path)/\(name)") }
            try disk.syncDirectory(path)
        }
        return names
    }

    // MARK: Received databases

    /// Where the database received with the snapshot at `index` lies, nil when there is none.
    public func database(at index: LogIndex) throws(SnapshotError) -> String? {
        let file = databasePath(index)
        return try onSnapshotDisk { () throws(DiskError) in try disk.exists(file) } ? file : nil
    }

    /// Starts receiving the database that belongs to the snapshot at `index`.
    ///
    /// - Parameter number: tells apart databases received at the same time.
    public func receiveDatabase(at index: LogIndex, number: UInt64) throws(SnapshotError) -> ReceivedDatabase {
        let temporary = "\(path)/tmp\(paddedHexadecimal(number))"
        let file = try onSnapshotDisk { () throws(DiskError) in
            if try disk.exists(temporary) { try disk.remove(temporary) }
            return try disk.open(temporary, .createNew(permissions: SnapshotDirectory.permissions))
        }
        return ReceivedDatabase(disk: disk, directory: path, temporary: temporary, target: databasePath(index), file: file)
    }

    private func databasePath(_ index: LogIndex) -> String { "\(path)/\(paddedHexadecimal(index)).snap.db" }

    /// Received databases, oldest first.
    private func databases() throws(SnapshotError) -> [(name: String, index: LogIndex)] {
        try names().compactMap { name in
            guard name.utf8.count == 24, name.hasSuffix(".snap.db"), let index = hexadecimalValue(name.utf8.prefix(16)) else {
                return nil
            }
            return (name, index)
        }.sorted { $0.index < $1.index }
    }
}

/// A database on its way in. It gets its name, `%016x.snap.db`, when all of it is durable; dropped earlier, it goes away.
public struct ReceivedDatabase: ~Copyable {
    private let disk: any Disk
    private let directory: String
    private let temporary: String
    private let target: String
    private let file: any DiskFile
    /// Bytes received.
    public private(set) var size = 0
    private var isFinished = false
    /// Bytes that are on their way to the disk or there.
    private var started = 0
    private static let portion = 4 << 20

    init(disk: any Disk, directory: String, temporary: String, target: String, file: any DiskFile) {
        self.disk = disk
        self.directory = directory
        self.temporary = temporary
        self.target = target
        self.file = file
    }

    deinit {
        file.close()
        if !isFinished { try? disk.remove(temporary) }
    }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) throws(SnapshotError) {
        let offset = size
        try onSnapshotDisk { () throws(DiskError) in
            try file.write(bytes, at: offset)
            size += bytes.count
            try writeBack()
        }
    }

    /// What has been received goes to the disk while more arrives, and no faster is it taken: everything at once, at the end, would hold
    /// up whoever else syncs to that disk for as long.
    private mutating func writeBack() throws(DiskError) {
        while size - started >= ReceivedDatabase.portion {
            let portion = started..<started + ReceivedDatabase.portion
            try file.writeBack(portion, waits: false)
            if portion.lowerBound > 0 {
                try file.writeBack(portion.lowerBound - ReceivedDatabase.portion..<portion.lowerBound, waits: true)
            }
            started = portion.upperBound
        }
    }

    /// Makes the database durable under its name.
    ///
    /// - Returns: its path. When one was received before for the same index, that one stays, as in etcd.
    public consuming func finish() throws(SnapshotError) -> String {
        try onSnapshotDisk { () throws(DiskError) in try file.sync() }
        if try onSnapshotDisk({ () throws(DiskError) in try disk.exists(target) }) { return target }
        try onSnapshotDisk { () throws(DiskError) in try disk.rename(temporary, to: target) }
        isFinished = true
        try onSnapshotDisk { () throws(DiskError) in try disk.syncDirectory(directory) }
        return target
    }
}
