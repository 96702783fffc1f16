import Host
import Simulation
import Testing

@testable import PageStore

/// Snapshots, defragmentation, and compaction in place.
@Suite struct CopyTests {
    private func options(_ pageSize: Int = 1024) -> PageFileOptions {
        var options = PageFileOptions()
        options.pageSize = pageSize
        options.growthStep = 16 << 10
        return options
    }

    private func filled(_ disk: FaultyDisk, seed: UInt64) throws -> (PageFile, ModelBucket) {
        let file = try PageFile.open(disk: disk, path: "/db", options: options())
        var changes = RandomChanges(seed: seed)
        var model = ModelBucket()
        for _ in 0..<6 {
            let transaction = try file.beginWrite()
            for _ in 0..<200 { try changes.change(transaction, &model) }
            try transaction.commit()
        }
        return (file, model)
    }

    private func snapshot(_ transaction: ReadTransaction, _ chunkSize: Int) throws -> [UInt8] {
        var stream = SnapshotStream(transaction, chunkSize: chunkSize)
        var bytes: [UInt8] = []
        while let chunk = try stream.next() {
            #expect(chunk.count <= max(chunkSize, 64 << 10))
            bytes += chunk
            #expect(stream.bytesRead == bytes.count)
        }
        #expect(bytes.count == stream.totalSize)
        return bytes
    }

    @Test func snapshotsAreOfTheirTransaction() throws {
        let disk = FaultyDisk()
        let (file, model) = try filled(disk, seed: 41)
        let reader = try file.beginRead()
        for round in 0..<3 as Range<UInt8> {
            let transaction = try file.beginWrite()
            try transaction.createBucketIfMissing([round]).put([1], [UInt8](repeating: 1, count: 3000))
            try transaction.commit()
        }
        for (index, chunkSize) in [1, 100_000, 10 << 20].enumerated() {
            let bytes = try snapshot(reader, chunkSize)
            let path = "/snapshot\(index)"
            disk.setContents(path, bytes)
            let copy = try PageFile.open(disk: disk, path: path, options: options())
            try expectEqual(try copy.beginRead().root, model, "chunks of \(chunkSize)")
            #expect(try copy.beginRead().check().isSound)
            #expect(try copy.beginRead().number == reader.number)
            // Whichever meta page is newer, going on must not overwrite it first.
            let transaction = try copy.beginWrite()
            #expect(transaction.number % 2 == 1)
            try transaction.createBucketIfMissing([9]).put([9], [9])
            try transaction.commit()
            #expect(try copy.beginRead().check().isSound)
        }
    }

    @Test func defragmentation() throws {
        for seed in [51, 52, 53] as [UInt64] {
            let disk = FaultyDisk()
            let (file, model) = try filled(disk, seed: seed)
            let size = try file.beginRead().defragment(into: "/copy", disk: disk)
            #expect(size < file.space.size && disk.contents("/copy")?.count == size)
            let copy = try PageFile.open(disk: disk, path: "/copy", options: options())
            #expect(copy.space.freePages == 0 && copy.space.size == size)
            let reader = try copy.beginRead()
            try expectEqual(reader.root, model, "seed \(seed)")
            let report = try reader.check()
            #expect(report.isSound && report.freePages == 0, "seed \(seed): \(report)")
            #expect(throws: PageFileError.self) { try reader.defragment(into: "/db", disk: disk) }
        }
    }

    @Test func defragmentedPagesAreFull() throws {
        let disk = FaultyDisk()
        let file = try PageFile.open(disk: disk, path: "/db", options: options(4096))
        let transaction = try file.beginWrite()
        let bucket = try transaction.createBucketIfMissing([1])
        for number in 0..<5000 { try bucket.put(revisionKey(UInt64(number)), [UInt8](repeating: 1, count: 100)) }
        try transaction.commit()
        _ = try file.beginRead().defragment(into: "/copy", disk: disk)
        let figures = try PageFile.open(disk: disk, path: "/copy").beginRead().statistics()[1]
        #expect(figures.keys == 5000 && figures.leafBytes > figures.leafPages * 4096 * 85 / 100, "\(figures)")
    }

    @Test func aFailedDefragmentationLeavesNothing() throws {
        var ordinal = 1
        while true {
            let disk = FaultyDisk()
            let (file, _) = try filled(disk, seed: 54)
            disk.inject(DiskFault([.write, .syncData], pathSuffix: "/copy", ordinal: ordinal))
            do {
                _ = try file.beginRead().defragment(into: "/copy", disk: disk)
                #expect(ordinal > 4)
                return
            } catch {
                #expect(error.path == "/copy")
                #expect(try !disk.exists("/copy"), "failure \(ordinal)")
            }
            ordinal += 1
        }
    }

    @Test func theTailMovesIntoTheHoles() throws {
        let disk = FaultyDisk()
        let file = try PageFile.open(disk: disk, path: "/db", options: options())
        var model = ModelBucket()
        var transaction = try file.beginWrite()
        for name in 0..<4 as Range<UInt8> {
            let bucket = try transaction.createBucketIfMissing([name])
            model.buckets[[name]] = ModelBucket()
            for number in 0..<300 as Range<UInt64> {
                let value = [UInt8](repeating: name, count: number % 40 == 0 ? 4000 : 60)
                try bucket.put(revisionKey(number), value)
                model.buckets[[name]]!.keys[revisionKey(number)] = value
            }
        }
        try transaction.commit()
        transaction = try file.beginWrite()
        for name in 0..<2 as Range<UInt8> {
            try transaction.deleteBucket([name])
            model.buckets[[name]] = nil
        }
        try transaction.commit()
        let before = file.space
        for round in 0..<40 as Range<UInt8> {
            let transaction = try file.beginWrite()
            let moved = try transaction.relocateTail(maximumPages: 30)
            #expect(moved <= 30)
            // Something else is written besides, as in service.
            try transaction.createBucketIfMissing([9]).put([1], [round])
            try transaction.commit()
        }
        model.buckets[[9]] = ModelBucket(keys: [[1]: [39]])
        let after = file.space
        #expect(after.size < before.size * 6 / 10, "from \(before) to \(after)")
        #expect(after.fileSize < before.fileSize)
        let reader = try file.beginRead()
        #expect(try reader.check().isSound)
        try expectEqual(reader.root, model, "after moving")
        try file.expectFreeSpaceAgrees("after moving")
    }
}
