import Host
import LinuxHost
import Simulation
import Testing

@testable import PageStore

/// Random operations against a model, with reopening and readers held across commits, through both ways to the pages.
@Suite struct ModelTests {
    struct Setting: CustomStringConvertible {
        var seed: UInt64
        var mapped: Bool
        var pageSize: Int
        var writesFreeList = false
        var mapCapacity = 10 << 30
        var description: String { "seed \(seed), \(mapped ? "mapped" : "read"), pages of \(pageSize), list \(writesFreeList)" }
    }

    static let settings = [
        Setting(seed: 1, mapped: true, pageSize: 4096),
        Setting(seed: 2, mapped: false, pageSize: 4096),
        Setting(seed: 3, mapped: true, pageSize: 1024),
        Setting(seed: 4, mapped: false, pageSize: 1024),
        Setting(seed: 5, mapped: true, pageSize: 1024, writesFreeList: true),
        // So small a reservation that the file outgrows it again and again.
        Setting(seed: 6, mapped: true, pageSize: 1024, mapCapacity: 96 << 10),
        Setting(seed: 7, mapped: false, pageSize: 16384, writesFreeList: true),
    ]

    @Test(arguments: settings)
    func randomOperations(_ setting: Setting) throws {
        let directory = TemporaryDirectory()
        let path = setting.mapped ? directory.file("db") : "/db"
        let disk: any Disk = setting.mapped ? LinuxDisk() : FaultyDisk()
        var options = PageFileOptions()
        options.access = setting.mapped ? .mapped : .read
        options.pageSize = setting.pageSize
        options.growthStep = 64 << 10
        options.mapCapacity = setting.mapCapacity
        options.writesFreeList = setting.writesFreeList
        var file = try PageFile.open(disk: disk, path: path, options: options)
        var changes = RandomChanges(seed: setting.seed)
        var model = ModelBucket()
        var readers: [(ReadTransaction, ModelBucket)] = []
        for round in 0..<60 {
            let note = "\(setting), round \(round)"
            try write(file, &changes, &model, round)
            if changes.below(3) == 0 { readers.append((try file.beginRead(), model)) }
            if readers.count > 4 || (changes.below(4) == 0 && !readers.isEmpty) {
                let (reader, held) = readers.remove(at: changes.below(readers.count))
                try expectEqual(reader.root, held, note + ", held reader")
            }
            if round % 4 == 0 {
                try file.expectFreeSpaceAgrees(note)
                let report = try file.beginRead().check()
                #expect(report.isSound, "\(note): \(report)")
            }
            if round % 13 == 12 {
                for (reader, held) in readers { try expectEqual(reader.root, held, note + ", before reopening") }
                readers = []
                file.close()
                file = try PageFile.open(disk: disk, path: path, options: options)
                try expectEqual(try file.beginRead().root, model, note + ", reopened")
            }
        }
        try expectEqual(try file.beginRead().root, model, "\(setting), at the end")
    }

    /// One transaction, committed or given up.
    private func write(_ file: PageFile, _ changes: inout RandomChanges, _ model: inout ModelBucket, _ round: Int) throws {
        let transaction = try file.beginWrite()
        var next = model
        for _ in 0..<changes.below(round % 7 == 0 ? 600 : 60) { try changes.change(transaction, &next) }
        if round % 11 == 5 { _ = try transaction.relocateTail(maximumPages: 20) }
        if changes.below(8) == 0 {
            transaction.rollback()
        } else {
            try transaction.commit()
            model = next
        }
    }

    @Test func aWriteTransactionSeesItsOwnChanges() throws {
        for seed in 20..<24 as Range<UInt64> {
            var changes = RandomChanges(seed: seed)
            changes.longValues = false
            let file = try PageFile.open(disk: FaultyDisk(), path: "/db")
            var model = ModelBucket()
            for round in 0..<6 {
                let transaction = try file.beginWrite()
                let bucket = try transaction.createBucketIfMissing([1])
                for _ in 0..<changes.below(400) { try changes.change(bucket, &model) }
                var cursor = bucket.cursor()
                var found: [[UInt8]] = []
                var stands = try cursor.first()
                while stands {
                    found.append(Array(cursor.key))
                    if !cursor.value.elementsEqual(model.keys[found.last!] ?? [1, 2, 3]) {
                        Issue.record("value of \(found.last!)")
                    }
                    stands = try cursor.next()
                }
                #expect(found == model.names, "seed \(seed), round \(round)")
                stands = try cursor.last()
                found = []
                while stands {
                    found.append(Array(cursor.key))
                    stands = try cursor.previous()
                }
                #expect(found == model.names.reversed(), "seed \(seed), round \(round)")
                try transaction.commit()
            }
        }
    }
}
