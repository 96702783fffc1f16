import Host
import LinuxHost
import Simulation
import Testing

@testable import PageStore

/// Opening, locking, growing, shrinking, and what refuses what.
@Suite struct PageFileTests {
    private func littleEndian(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) }
    }

    private func smallSteps(_ access: PageFileOptions.Access = .read) -> PageFileOptions {
        var options = PageFileOptions()
        options.pageSize = 1024
        options.growthStep = 32 << 10
        options.access = access
        return options
    }

    /// The checksums are those of a file that bbolt 1.3.6 created.
    @Test func aNewFileIsTheOneBboltCreates() throws {
        let disk = FaultyDisk()
        let file = try PageFile.open(disk: disk, path: "/db")
        let bytes = try #require(disk.contents("/db"))
        #expect(bytes.count == 4 * 4096 && file.space.size == 4 * 4096)
        for (slot, checksum) in [UInt64(0x0751_6e11_4689_fdee), 0x264c_351a_5179_480f].enumerated() {
            let start = slot * 4096
            #expect(littleEndian(bytes, start, 8) == UInt64(slot) && littleEndian(bytes, start + 8, 8) == 4)
            #expect(littleEndian(bytes, start + 16, 4) == 0xed0c_daed && littleEndian(bytes, start + 20, 4) == 2)
            #expect(littleEndian(bytes, start + 24, 4) == 4096 && littleEndian(bytes, start + 32, 8) == 3)
            #expect(littleEndian(bytes, start + 48, 8) == 2 && littleEndian(bytes, start + 56, 8) == 4)
            #expect(littleEndian(bytes, start + 64, 8) == UInt64(slot) && littleEndian(bytes, start + 72, 8) == checksum)
        }
        #expect(littleEndian(bytes, 2 * 4096 + 8, 2) == 0x10 && littleEndian(bytes, 3 * 4096 + 8, 2) == 2)
    }

    @Test func commitsLeaveNoFreeListUnlessAsked() throws {
        for writesFreeList in [false, true] {
            let disk = FaultyDisk()
            var options = PageFileOptions()
            options.writesFreeList = writesFreeList
            let file = try PageFile.open(disk: disk, path: "/db", options: options)
            let transaction = try file.beginWrite()
            try transaction.createBucketIfMissing([1]).put([2], [3])
            #expect(transaction.number == 2)
            try transaction.commit()
            let meta = try #require(disk.contents("/db"))[..<4096]
            let freeList = littleEndian(Array(meta), 48, 8)
            #expect(writesFreeList ? freeList < 10 : freeList == UInt64.max)
            #expect(try file.beginRead().check().isSound)
        }
    }

    @Test func locks() throws {
        let disk = FaultyDisk()
        var readOnly = PageFileOptions()
        readOnly.isReadOnly = true
        let locked = PageFileError(path: "/db", reason: .lockedByAnotherProcess)
        let writer = try PageFile.open(disk: disk, path: "/db")
        #expect(throws: locked) { try PageFile.open(disk: disk, path: "/db") }
        #expect(throws: locked) { try PageFile.open(disk: disk, path: "/db", options: readOnly) }
        writer.close()
        let first = try PageFile.open(disk: disk, path: "/db", options: readOnly)
        let second = try PageFile.open(disk: disk, path: "/db", options: readOnly)
        #expect(throws: locked) { try PageFile.open(disk: disk, path: "/db") }
        #expect(throws: PageFileError(path: "/db", reason: .readOnly)) { try first.beginWrite() }
        first.close()
        second.close()
        _ = try PageFile.open(disk: disk, path: "/db")
    }

    @Test func aMappedFileCanBeOpenedAgainOnceItIsClosed() throws {
        let directory = TemporaryDirectory()
        let path = directory.file("db")
        let file = try PageFile.open(disk: LinuxDisk(), path: path)
        let reader = try file.beginRead()
        file.close()
        #expect(throws: PageFileError(path: path, reason: .closed)) { try file.beginRead() }
        #expect(throws: PageFileError(path: path, reason: .closed)) { try file.beginWrite() }
        // The open reader keeps the lock.
        #expect(throws: PageFileError(path: path, reason: .lockedByAnotherProcess)) {
            try PageFile.open(disk: LinuxDisk(), path: path)
        }
        #expect(try reader.bucket([1]) == nil)
    }

    @Test func missingAndForeignFiles() throws {
        let disk = FaultyDisk()
        var options = PageFileOptions()
        options.isReadOnly = true
        let missing = #expect(throws: PageFileError.self) { try PageFile.open(disk: disk, path: "/none", options: options) }
        guard case .disk(let reason)? = missing?.reason else {
            Issue.record("\(String(describing: missing))")
            return
        }
        #expect(reason.operation == "open" && reason.code == 2)
        disk.setContents("/text", Array("not a page file\n".utf8) + [UInt8](repeating: 0x41, count: 20_000))
        let problem = MetaProblem.wrongMagic(0x4141_4141)
        let foreign = PageFileError(path: "/text", reason: .notAPageFile(meta0: problem, meta1: problem))
        #expect(throws: foreign) { try PageFile.open(disk: disk, path: "/text") }
        options.isReadOnly = false
        options.createsNew = true
        #expect(throws: PageFileError.self) { try PageFile.open(disk: disk, path: "/text", options: options) }
        options.pageSize = 5000
        #expect(throws: PageFileError(path: "/new", reason: .unsupportedPageSize(5000))) {
            try PageFile.open(disk: disk, path: "/new", options: options)
        }
    }

    @Test func thePageSizeIsFoundWithoutTheFirstMetaPage() throws {
        for pageSize in [1024, 4096, 65536] {
            let disk = FaultyDisk()
            var options = PageFileOptions()
            options.pageSize = pageSize
            options.growthStep = pageSize
            let file = try PageFile.open(disk: disk, path: "/db", options: options)
            for number in 0..<2 as Range<UInt8> {
                let transaction = try file.beginWrite()
                try transaction.createBucketIfMissing([1]).put([number], [number])
                try transaction.commit()
            }
            file.close()
            var bytes = try #require(disk.contents("/db"))
            for index in 0..<100 { bytes[index] = 0xee }
            disk.setContents("/db", bytes)
            let opened = try PageFile.open(disk: disk, path: "/db")
            let reader = try opened.beginRead()
            #expect(opened.pageSize == pageSize)
            #expect(try reader.bucket([1])?.value([1])?.elementsEqual([1]) == true)
        }
    }

    @Test func refusedKeysAndNames() throws {
        let file = try PageFile.open(disk: FaultyDisk(), path: "/db")
        let transaction = try file.beginWrite()
        func refuses(_ reason: PageFileError.Reason, _ body: () throws -> Void) {
            #expect(throws: PageFileError(path: "/db", reason: reason)) { try body() }
        }
        refuses(.writeTransactionOpen) { _ = try file.beginWrite() }
        let bucket = try transaction.createBucketIfMissing([1])
        refuses(.emptyKey) { try bucket.put([], [1]) }
        refuses(.emptyKey) { _ = try transaction.createBucketIfMissing([]) }
        refuses(.keyTooLong(32_769)) { try bucket.appendPut([UInt8](repeating: 1, count: 32_769), []) }
        try bucket.put([UInt8](repeating: 1, count: 32_768), [])
        try bucket.put([5], [])
        _ = try bucket.createBucketIfMissing([6])
        refuses(.notABucket) { _ = try bucket.createBucketIfMissing([5]) }
        refuses(.notABucket) { try bucket.deleteBucket([5]) }
        refuses(.bucketMissing) { try bucket.deleteBucket([7]) }
        refuses(.isABucket) { try bucket.put([6], [1]) }
        refuses(.isABucket) { try bucket.delete([6]) }
        #expect(try bucket.bucket([5]) == nil && bucket.value([6] as [UInt8]) == nil)
        try transaction.commit()
        let report = try file.beginRead().check()
        #expect(report.isSound && report.keys == 2 && report.buckets == 2, "\(report)")
    }

    @Test func aTransactionWithoutChangesWritesNothing() throws {
        let disk = FaultyDisk()
        let file = try PageFile.open(disk: disk, path: "/db")
        let before = disk.operationCount
        let transaction = try file.beginWrite()
        _ = try transaction.bucket([1])
        try transaction.commit()
        #expect(disk.operationCount == before + disk.trace.dropFirst(before).filter { $0.operation == "read" }.count)
        #expect(try file.beginRead().number == 1)
    }

    @Test func theFileShrinksInUse() throws {
        let disk = FaultyDisk()
        let file = try PageFile.open(disk: disk, path: "/db", options: smallSteps())
        func write(_ body: (WritableBucket) throws -> Void) throws {
            let transaction = try file.beginWrite()
            // Pages written while others were still pending stand at the end until they are moved.
            _ = try transaction.relocateTail(maximumPages: 8)
            try body(try transaction.createBucketIfMissing([1]))
            try transaction.commit()
        }
        try write { bucket in
            for number in 0..<2000 { try bucket.appendPut(revisionKey(UInt64(number)), [UInt8](repeating: 1, count: 90)) }
        }
        let grown = file.space
        #expect(grown.size > 200 << 10)
        try write { bucket in for number in 20..<2000 { try bucket.delete(revisionKey(UInt64(number))) } }
        for round in 0..<8 as Range<UInt8> { try write { try $0.put([0], [round]) } }
        #expect(file.space.size < grown.size / 10, "\(file.space)")
        #expect(file.space.fileSize <= 64 << 10 && disk.contents("/db")?.count == file.space.fileSize)
        let report = try file.beginRead().check()
        #expect(report.isSound && report.keys == 21, "\(report)")
    }

    @Test func pagesLeftTooSmallAreMerged() throws {
        let file = try PageFile.open(disk: FaultyDisk(), path: "/db", options: smallSteps())
        func write(_ body: (WritableBucket) throws -> Void) throws -> BucketStatistics {
            let transaction = try file.beginWrite()
            try body(try transaction.createBucketIfMissing([1]))
            try transaction.commit()
            return try file.beginRead().statistics()[1]
        }
        let before = try write { bucket in
            for number in 0..<2000 { try bucket.appendPut(revisionKey(UInt64(number)), [UInt8](repeating: 1, count: 60)) }
        }
        let after = try write { bucket in
            for number in 0..<2000 where number % 10 != 0 { try bucket.delete(revisionKey(UInt64(number))) }
        }
        #expect(after.keys == 200 && after.leafPages < before.leafPages / 4, "\(before)\n\(after)")
        let emptied = try write { bucket in for number in 0..<200 { try bucket.delete(revisionKey(UInt64(number) * 10)) } }
        #expect(emptied.isInline && emptied.keys == 0)
    }

    @Test func aLongReaderHoldsBackOnlyWhatItCanReach() throws {
        let file = try PageFile.open(disk: FaultyDisk(), path: "/db", options: smallSteps())
        func write(_ number: UInt8) throws {
            let transaction = try file.beginWrite()
            let bucket = try transaction.createBucketIfMissing([1])
            for key in 0..<200 as Range<UInt8> { try bucket.put([key], [UInt8](repeating: number, count: 100)) }
            try transaction.commit()
        }
        try write(0)
        let reader = try file.beginRead()
        for number in 1..<10 as Range<UInt8> { try write(number) }
        let size = file.space.size
        for number in 10..<60 as Range<UInt8> { try write(number) }
        #expect(file.space.size == size, "the file grows while a reader is open")
        var cursor = try #require(try reader.bucket([1])).cursor()
        var stands = try cursor.first()
        while stands {
            #expect(cursor.value.allSatisfy { $0 == 0 })
            stands = try cursor.next()
        }
        #expect(file.openReaders == 1)
        withExtendedLifetime(reader) {}
    }

    @Test func readersMayEndOnOtherThreads() async throws {
        let directory = TemporaryDirectory()
        let file = try PageFile.open(disk: LinuxDisk(), path: directory.file("db"), options: smallSteps(.mapped))
        for round in 0..<20 as Range<UInt8> {
            let transaction = try file.beginWrite()
            let bucket = try transaction.createBucketIfMissing([1])
            for key in 0..<100 as Range<UInt8> { try bucket.put([key], [UInt8](repeating: round, count: 50)) }
            try transaction.commit()
            let reader = try file.beginRead()
            await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        guard let bucket = try? reader.bucket([1]) else { return false }
                        return (try? bucket.value([77])?.allSatisfy { $0 == round }) == true
                    }
                }
                for await isRight in group { #expect(isRight) }
            }
        }
        #expect(file.openReaders <= 1)
    }

    @Test func valuesRewrittenInOneTransactionDoNotUseUpMemory() throws {
        let file = try PageFile.open(disk: FaultyDisk(), path: "/db")
        let transaction = try file.beginWrite()
        let bucket = try transaction.createBucketIfMissing([1])
        for number in 0..<100_000 { try bucket.put([2], withUnsafeBytes(of: number, Array.init)) }
        #expect(transaction.pendingBytes <= 256 << 10)
        #expect(try bucket.value([2])?.elementsEqual(withUnsafeBytes(of: 99_999, Array.init)) == true)
    }
}
