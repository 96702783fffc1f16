import Host
import Simulation
import Testing

@testable import PageStore

/// The disk stops at its nth call and loses power: what is found afterwards is the state before or after the commit under way.
@Suite struct CrashTests {
    private static let path = "/data/db"

    private static func options(writesFreeList: Bool) -> PageFileOptions {
        var options = PageFileOptions()
        options.pageSize = 1024
        options.growthStep = 16 << 10
        options.access = .read
        options.writesFreeList = writesFreeList
        return options
    }

    /// Transactions with the states they should lead to; `states[0]` is the new file.
    private struct Script {
        var states = [ModelBucket()]
        let options: PageFileOptions

        /// Runs until the end or the first error; returns how many commits succeeded.
        mutating func run(_ disk: FaultyDisk, seed: UInt64, transactions: Int) -> Int {
            var changes = RandomChanges(seed: seed)
            var committed = 0
            do {
                let file = try PageFile.open(disk: disk, path: CrashTests.path, options: options)
                var model = ModelBucket()
                for round in 0..<transactions {
                    let transaction = try file.beginWrite()
                    for _ in 0..<(round == 1 ? 150 : 25) { try changes.change(transaction, &model) }
                    // From here on the outcome is known whether or not the commit is heard of.
                    if states.count == round + 1 { states.append(model) }
                    try transaction.commit()
                    committed += 1
                }
            } catch {
                #expect(error is PageFileError)
            }
            return committed
        }
    }

    @Test(arguments: [false, true])
    func everyCallIsTheLast(_ writesFreeList: Bool) throws {
        var random = SeededRandom(seed: 77)
        var ordinal = 1
        while true {
            let disk = FaultyDisk()
            try disk.createDirectory("/data", permissions: 0o700)
            disk.inject(DiskFault(.changing, ordinal: ordinal, isLasting: true))
            var script = Script(options: CrashTests.options(writesFreeList: writesFreeList))
            let committed = script.run(disk, seed: 5, transactions: 7)
            let failed = disk.injectedFailures
            for mode in UnsyncedWrites.allCases {
                let crashed = disk.copy()
                crashed.crash(mode, choosing: &random)
                try verify(crashed, script, committed, "call \(ordinal), \(mode), list \(writesFreeList)")
            }
            if failed == 0 { break }
            ordinal += 1
        }
        #expect(ordinal > 30, "the loop has ended early, at call \(ordinal)")
    }

    /// Opens what a crash has left, compares it, and goes on writing.
    private func verify(_ disk: FaultyDisk, _ script: Script, _ committed: Int, _ note: String) throws {
        let file = try PageFile.open(disk: disk, path: CrashTests.path, options: script.options)
        let reader = try file.beginRead()
        let report = try reader.check()
        // A meta page may be torn by the crash; all else must be sound.
        let unexpected = report.problems.filter { if case .meta = $0.kind { false } else { $0.page > 1 } }
        #expect(unexpected.isEmpty, "\(note): \(report)")
        try file.expectFreeSpaceAgrees(note)
        let possible = script.states[committed..<min(committed + 2, script.states.count)]
        let found = try content(reader.root)
        #expect(possible.contains(found), "\(note): neither the state before nor the one after")
        let transaction = try file.beginWrite()
        try transaction.createBucketIfMissing([1, 2, 3]).put([4], [5])
        try transaction.commit()
        let after = try file.beginRead().check()
        #expect(after.problems.allSatisfy { $0.page < 2 }, "\(note): \(after)")
    }

    /// The newest meta page is lost long after it was written: the older one still leads to an intact tree.
    @Test func eitherMetaPageIsAWayBack() throws {
        let options = CrashTests.options(writesFreeList: false)
        let disk = FaultyDisk()
        try disk.createDirectory("/data", permissions: 0o700)
        var changes = RandomChanges(seed: 9)
        var states = [ModelBucket()]
        let file = try PageFile.open(disk: disk, path: CrashTests.path, options: options)
        for round in 0..<30 {
            let transaction = try file.beginWrite()
            var model = states[round]
            for _ in 0..<40 { try changes.change(transaction, &model) }
            let slot = Int(transaction.number % 2)
            try transaction.commit()
            states.append(model)
            var bytes = try #require(disk.contents(CrashTests.path))
            bytes[slot * options.pageSize + 60] ^= 1
            let damaged = FaultyDisk()
            try damaged.createDirectory("/data", permissions: 0o700)
            damaged.setContents(CrashTests.path, bytes)
            let opened = try PageFile.open(disk: damaged, path: CrashTests.path, options: options)
            let reader = try opened.beginRead()
            #expect(try content(reader.root) == states[round], "round \(round)")
            #expect(try reader.check().problems.count == 1, "round \(round)")
        }
    }

    /// The power fails while a commit has written its pages but not its meta page, and then the newest meta page is unreadable:
    /// pages of the state before it must not have been reused either.
    @Test(arguments: [false, true])
    func theOlderStateOutlivesTheNextCommitsPages(_ reopens: Bool) throws {
        let options = CrashTests.options(writesFreeList: false)
        for commits in 2..<12 {
            let disk = FaultyDisk()
            try disk.createDirectory("/data", permissions: 0o700)
            var changes = RandomChanges(seed: 90 + UInt64(commits))
            var states = [ModelBucket()]
            var file = try PageFile.open(disk: disk, path: CrashTests.path, options: options)
            for round in 0..<commits {
                states.append(states[round])
                try CrashTests.change(file, &changes, &states[round + 1])
            }
            if reopens {
                file.close()
                file = try PageFile.open(disk: disk, path: CrashTests.path, options: options)
            }
            let newest = try file.beginRead().number
            disk.inject(DiskFault(.syncData))
            var ignored = states[commits]
            #expect(throws: PageFileError.self) { try CrashTests.change(file, &changes, &ignored) }
            var bytes = try #require(disk.contents(CrashTests.path))
            bytes[Int(newest % 2) * options.pageSize + 60] ^= 1
            let damaged = FaultyDisk()
            try damaged.createDirectory("/data", permissions: 0o700)
            damaged.setContents(CrashTests.path, bytes)
            let reader = try PageFile.open(disk: damaged, path: CrashTests.path, options: options).beginRead()
            #expect(try content(reader.root) == states[commits - 1], "after \(commits) commits")
        }
    }

    private static func change(_ file: PageFile, _ changes: inout RandomChanges, _ model: inout ModelBucket) throws {
        let transaction = try file.beginWrite()
        for _ in 0..<40 { try changes.change(transaction, &model) }
        try transaction.commit()
    }

    @Test func aCreationCutShortIsBegunAgain() throws {
        var random = SeededRandom(seed: 14)
        for ordinal in 1...6 {
            for round in 0..<40 {
                let disk = FaultyDisk()
                try disk.createDirectory("/data", permissions: 0o700)
                disk.inject(DiskFault([.write, .syncData, .syncDirectory], ordinal: ordinal, isLasting: true))
                let options = CrashTests.options(writesFreeList: false)
                _ = try? PageFile.open(disk: disk, path: CrashTests.path, options: options)
                disk.clearFaults()
                // As if the name had been made durable early.
                try? disk.syncDirectory("/data")
                disk.crash(round % 2 == 0 ? .subset : .torn, choosing: &random)
                let file = try PageFile.open(disk: disk, path: CrashTests.path, options: options)
                var model = ModelBucket()
                var changes = RandomChanges(seed: 3)
                try CrashTests.change(file, &changes, &model)
                #expect(try content(try file.beginRead().root) == model, "seed 14, call \(ordinal), round \(round)")
            }
        }
    }

    @Test func afterAFailedWriteOrSyncEveryCallThrowsTheFirstError() throws {
        for operations in [DiskOperations.write, .syncData, .preallocate] {
            let disk = FaultyDisk()
            try disk.createDirectory("/data", permissions: 0o700)
            let file = try PageFile.open(disk: disk, path: CrashTests.path, options: CrashTests.options(writesFreeList: false))
            let transaction = try file.beginWrite()
            try transaction.createBucketIfMissing([1]).put([2], [UInt8](repeating: 3, count: 20_000))
            disk.inject(DiskFault(operations, code: 28))
            let first = #expect(throws: PageFileError.self) { try transaction.commit() }
            guard let first, case .disk(let reason) = first.reason else {
                Issue.record("\(operations): the commit succeeded")
                continue
            }
            #expect(reason.code == 28)
            #expect(throws: first) { try file.beginWrite() }
            #expect(throws: first) { try file.beginRead() }
        }
    }
}

/// A bucket's content as a model.
func content(_ bucket: Bucket) throws -> ModelBucket {
    var model = ModelBucket(sequence: bucket.sequence)
    var cursor = bucket.cursor()
    var stands = try cursor.first()
    while stands {
        if cursor.isBucket {
            model.buckets[Array(cursor.key)] = try content(try bucket.bucket(at: cursor))
        } else {
            model.keys[Array(cursor.key)] = Array(cursor.value)
        }
        stands = try cursor.next()
    }
    return model
}
