import Host
import LinuxHost
import Simulation
import Testing

@testable import PageStore

/// Flipped bits, overwritten bytes and truncation: a typed error that names the file, or an answer, but never a crash or a hang.
@Suite struct DamageTests {
    private static let path = "/db"

    private static var options: PageFileOptions {
        var options = PageFileOptions()
        options.pageSize = 1024
        options.growthStep = 8 << 10
        options.access = .read
        return options
    }

    /// A file with several levels, overflow pages, free pages, buckets inside buckets and inline ones.
    private static func image(writesFreeList: Bool) throws -> [UInt8] {
        let disk = FaultyDisk()
        var options = options
        options.writesFreeList = writesFreeList
        let file = try PageFile.open(disk: disk, path: path, options: options)
        var changes = RandomChanges(seed: 31)
        var model = ModelBucket()
        for _ in 0..<5 {
            let transaction = try file.beginWrite()
            for _ in 0..<150 { try changes.change(transaction, &model) }
            let revisions = try transaction.createBucketIfMissing(Array("key".utf8))
            for _ in 0..<60 { try revisions.appendPut(revisionKey(UInt64(1 + revisionCount(&model))), [1, 2, 3]) }
            try transaction.commit()
        }
        return disk.contents(path)!
    }

    private static func revisionCount(_ model: inout ModelBucket) -> Int {
        model.sequence += 1
        return Int(model.sequence)
    }

    /// Everything a program does with a file, on one that may be damaged.
    private func useEverything(_ disk: any Disk, _ path: String, _ options: PageFileOptions, _ note: String) {
        attempt(path, note) {
            let file = try PageFile.open(disk: disk, path: path, options: options)
            attempt(path, note) { try read(file.beginRead(), note) }
            attempt(path, note) { _ = try file.beginRead().check(problemLimit: 5) }
            attempt(path, note) { _ = try file.beginRead().statistics() }
            attempt(path, note) {
                let reader = try file.beginRead()
                for page in 0..<reader.meta.highWater { _ = try reader.dump(page: page).description }
                var list = try PageList(reader)
                while let page = try list.nextPage() { _ = page.description }
            }
            attempt(path, note) {
                var stream = SnapshotStream(try file.beginRead(), chunkSize: 64 << 10)
                while try stream.next() != nil {}
            }
            if !options.isReadOnly { attempt(path, note) { try write(file) } }
            file.close()
        }
    }

    private func attempt(_ path: String, _ note: String, _ body: () throws -> Void) {
        do {
            try body()
        } catch let error as PageFileError {
            #expect(error.path == path, "\(note): \(error)")
        } catch {
            Issue.record("\(note): \(error)")
        }
    }

    private func read(_ reader: ReadTransaction, _ note: String) throws {
        attempt(reader.file.path, note) { _ = try content(reader.root) }
        guard let bucket = try reader.bucket(Array("key".utf8)) else { return }
        var cursor = bucket.cursor()
        for revision in [3, 290, 77, 78, 79, 5000, 0] as [UInt64] {
            attempt(reader.file.path, note) { _ = try cursor.findRevision(main: revision, sub: 0) }
            attempt(reader.file.path, note) { _ = try cursor.seek(revisionKey(revision)) }
        }
        attempt(reader.file.path, note) {
            var stands = try cursor.last()
            while stands { stands = try cursor.previous() }
        }
    }

    private func write(_ file: PageFile) throws {
        var changes = RandomChanges(seed: 8)
        changes.verifies = false
        let transaction = try file.beginWrite()
        var model = ModelBucket()
        for _ in 0..<60 { try changes.change(transaction, &model) }
        _ = try transaction.relocateTail(maximumPages: 10)
        var cursor = try transaction.createBucketIfMissing(Array("key".utf8)).cursor()
        var stands = try cursor.first()
        while stands { stands = try cursor.next() }
        try transaction.deleteBucket(Array("bucket1".utf8))
        try transaction.commit()
    }

    @Test(arguments: [false, true])
    func flippedBits(_ writesFreeList: Bool) throws {
        let image = try DamageTests.image(writesFreeList: writesFreeList)
        var random = SeededRandom(seed: 123)
        for round in 0..<220 {
            var bytes = image
            // Headers and element tables matter most: half of the flips fall near the start of a page.
            for _ in 0...(round % 3) {
                var at = Int(random.next() % UInt64(bytes.count))
                if random.next() % 2 == 0 { at = at / 1024 * 1024 + at % 80 }
                bytes[at] ^= 1 << UInt8(random.next() % 8)
            }
            let disk = FaultyDisk()
            disk.setContents(DamageTests.path, bytes)
            var options = DamageTests.options
            options.isReadOnly = round % 4 == 0
            useEverything(disk, DamageTests.path, options, "seed 123, round \(round)")
        }
    }

    @Test func swappedAndRepeatedPages() throws {
        let image = try DamageTests.image(writesFreeList: false)
        var random = SeededRandom(seed: 321)
        for round in 0..<80 {
            var bytes = image
            let pages = bytes.count / 1024
            let (from, to) = (2 + Int(random.next() % UInt64(pages - 2)), 2 + Int(random.next() % UInt64(pages - 2)))
            bytes.replaceSubrange(to * 1024..<to * 1024 + 1024, with: image[from * 1024..<from * 1024 + 1024])
            // Half of them claim to be the page they stand in for.
            if round % 2 == 0 { for index in 0..<8 { bytes[to * 1024 + index] = UInt8(truncatingIfNeeded: to >> (8 * index)) } }
            let disk = FaultyDisk()
            disk.setContents(DamageTests.path, bytes)
            useEverything(disk, DamageTests.path, DamageTests.options, "seed 321, round \(round)")
        }
    }

    @Test func damageUnderAMapping() throws {
        let image = try DamageTests.image(writesFreeList: false)
        var random = SeededRandom(seed: 55)
        let directory = TemporaryDirectory()
        let path = directory.file("db")
        let disk = LinuxDisk()
        for round in 0..<60 {
            var bytes = image
            for _ in 0..<2 {
                let at = Int(random.next() % UInt64(bytes.count))
                bytes[at / 1024 * 1024 + at % 60] ^= 1 << UInt8(random.next() % 8)
            }
            let file = try disk.open(path, .readWriteCreating(permissions: 0o600))
            try file.setSize(0)
            try bytes.withUnsafeBytes { try file.write($0, at: 0) }
            file.close()
            var options = DamageTests.options
            options.access = .mapped
            useEverything(disk, path, options, "seed 55, round \(round)")
        }
    }

    @Test func truncation() throws {
        let image = try DamageTests.image(writesFreeList: false)
        let disk = FaultyDisk()
        // A few zero bytes at most are what an interrupted creation leaves, and are made a new file.
        for size in stride(from: 64, to: image.count, by: 509) {
            disk.setContents(DamageTests.path, Array(image[..<size]))
            do {
                let file = try PageFile.open(disk: disk, path: DamageTests.path, options: DamageTests.options)
                // Only room grown in advance was cut off.
                #expect(file.space.size <= size)
                #expect(try file.beginRead().check().isSound)
            } catch {
                #expect(error.path == DamageTests.path)
            }
        }
    }

    @Test func aTreeThatLeadsBackToItselfEnds() throws {
        let disk = FaultyDisk()
        let file = try PageFile.open(disk: disk, path: DamageTests.path, options: DamageTests.options)
        let transaction = try file.beginWrite()
        let bucket = try transaction.createBucketIfMissing([7])
        for number in 0..<400 { try bucket.put(revisionKey(UInt64(number)), [UInt8](repeating: 1, count: 100)) }
        try transaction.commit()
        let reader = try file.beginRead()
        let root = try #require(try reader.bucket([7])).header.root
        var bytes = try #require(disk.contents(DamageTests.path))
        // Every child of the root becomes the root.
        let count = Int(bytes[Int(root) * 1024 + 10])
        for element in 0..<count {
            for index in 0..<8 {
                bytes[Int(root) * 1024 + 16 + element * 16 + 8 + index] = UInt8(truncatingIfNeeded: root >> UInt64(8 * index))
            }
        }
        let damaged = FaultyDisk()
        damaged.setContents(DamageTests.path, bytes)
        var options = DamageTests.options
        options.isReadOnly = true
        let opened = try PageFile.open(disk: damaged, path: DamageTests.path, options: options).beginRead()
        let loop = try #require(try opened.bucket([7]))
        var cursor = loop.cursor()
        let expected = PageFileError(path: DamageTests.path, page: root, reason: .corrupt(.treeTooDeep))
        #expect(throws: expected) { try cursor.first() }
        #expect(throws: expected) { try cursor.findRevision(main: 5, sub: 0) }
        #expect(try opened.check().problems.contains(CheckProblem(page: root, kind: .corrupt(.referencedTwice))))
        #expect(throws: PageFileError(path: DamageTests.path, page: root, reason: .corrupt(.referencedTwice))) {
            try PageFile.open(disk: damaged.copy(), path: DamageTests.path, options: DamageTests.options)
        }
    }
}

/// The key of a revision in etcd's `key` bucket.
func revisionKey(_ main: UInt64, sub: UInt64 = 0) -> [UInt8] {
    withUnsafeBytes(of: main.bigEndian, Array.init) + [UInt8(ascii: "_")] + withUnsafeBytes(of: sub.bigEndian, Array.init)
}
