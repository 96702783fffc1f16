import Backend
import Bytes
import EtcdAPI
import Host
import PageStore
import Records

/// What the page file of a data directory holds, read without changing anything.
struct PageFileFacts: Equatable {
    var size = 0
    var sizeInUse = 0
    /// Of the `key` bucket: stored versions, tombstones among them.
    var storedRevisions = 0
    var revision: Int64 = 0
    var compactRevision: Int64 = 0
    var appliedIndex: UInt64 = 0
    /// Nil where etcd before 3.5 wrote the file last.
    var term: UInt64?
    /// Nil before 3.6.
    var storageVersion: String?
    var clusterVersion: String?
    /// Where a downgrade is under way.
    var downgradeTarget: String?
    var isAuthenticationEnabled = false
    var users = 0
    var roles = 0
    var leases = 0
    var alarms: [AlarmMember] = []
    /// Buckets that etcd 3.4 to 3.7 have no use for, as text.
    var unknownBuckets: [String] = []

    /// Looks at every page first: what is damaged is named with its page.
    init(_ path: String, on disk: any Disk) throws(CommandFailure) {
        do {
            var options = PageFileOptions()
            options.isReadOnly = true
            let file = try PageFile.open(disk: disk, path: path, options: options)
            let transaction = try file.beginRead()
            let report = try transaction.check(problemLimit: 3)
            let damage = report.problems.filter { if case .meta = $0.kind { false } else { true } }
            guard damage.isEmpty else {
                throw CommandFailure("\(path): \(damage.map(\.description).joined(separator: "; "))")
            }
            size = transaction.size
            sizeInUse = file.space.inUse
            try read(transaction)
        } catch let error as CommandFailure {
            throw error
        } catch let error as PageFileError {
            if case .lockedByAnotherProcess = error.reason { throw CommandFailure("\(error)", exitCode: CheckCommand.inUse) }
            throw CommandFailure("\(error)")
        } catch {
            throw CommandFailure("\(path): \(error)")
        }
    }

    private mutating func read(_ pages: ReadTransaction) throws {
        try forEach(pages.root.cursor()) { name, _ in
            if !BucketName.allCases.contains(where: { $0.name == name }) { unknownBuckets.append(text(name)) }
        }
        try readKeys(pages)
        func value(_ bucket: BucketName, _ key: String) throws -> [UInt8]? {
            try pages.bucket(bucket.name)?.value(Array(key.utf8)).map { [UInt8]($0) }
        }
        appliedIndex = try number(value(.meta, "consistent_index")) ?? 0
        term = try number(value(.meta, "term"))
        storageVersion = try value(.meta, "storageVersion").map(text)
        for key in ["finishedCompactRev", "scheduledCompactRev"] {
            if let bytes = try value(.meta, key), let main = bytes.withUnsafeBytes({ RevisionKey.main($0) }) {
                compactRevision = max(compactRevision, main)
            }
        }
        clusterVersion = try value(.cluster, "clusterVersion").map(text)
        if let bytes = try value(.cluster, "downgrade") {
            let record = try DowngradeRecord(decodingJSON: bytes)
            if record.isEnabled { downgradeTarget = record.targetVersion }
        }
        isAuthenticationEnabled = try value(.auth, "authEnabled") == [1]
        users = try count(.authUsers, pages)
        roles = try count(.authRoles, pages)
        leases = try count(.lease, pages)
        if let bucket = try pages.bucket(BucketName.alarm.name) {
            try forEach(bucket.cursor()) { key, _ in alarms.append(try AlarmMember(decoding: key)) }
        }
    }

    private mutating func readKeys(_ pages: ReadTransaction) throws {
        guard let bucket = try pages.bucket(BucketName.key.name) else { return }
        var cursor = bucket.cursor()
        var isValid = try cursor.first()
        while isValid {
            storedRevisions += 1
            if let main = RevisionKey.main(cursor.key) { revision = main }
            isValid = try cursor.next()
        }
    }

    private func count(_ name: BucketName, _ pages: ReadTransaction) throws -> Int {
        guard let bucket = try pages.bucket(name.name) else { return 0 }
        var count = 0
        try forEach(bucket.cursor()) { _, _ in count += 1 }
        return count
    }

    private func forEach(_ cursor: consuming Cursor, _ body: ([UInt8], [UInt8]) throws -> Void) throws {
        var isValid = try cursor.first()
        while isValid {
            try body([UInt8](cursor.key), [])
            isValid = try cursor.next()
        }
    }

    private func number(_ bytes: [UInt8]?) throws -> UInt64? {
        guard let bytes else { return nil }
        guard bytes.count == 8 else { throw CommandFailure("a number of \(bytes.count) bytes in the meta bucket") }
        return bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
