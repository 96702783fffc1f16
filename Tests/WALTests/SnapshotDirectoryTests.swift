import Bytes
import Glibc
import Host
import Raft
import Records
import Simulation
import Testing

@testable import WAL

@Suite struct SnapshotDirectoryTests {
    static let path = "/m/snap"

    static func snapshot(_ index: LogIndex, term: Term = 2) -> Snapshot {
        Snapshot(index: index, term: term, confState: ConfState(voters: [1, 2, 3]), data: Array("membership \(index)".utf8))
    }

    static func marker(_ index: LogIndex, term: Term = 2) -> SnapshotMarker { SnapshotMarker(index: index, term: term) }

    static func make() throws -> (FaultyDisk, SnapshotDirectory) {
        let disk = FaultyDisk()
        try disk.createDirectory(path, permissions: 0o700)
        return (disk, SnapshotDirectory(disk, path: path))
    }

    @Test func loadsTheNewestThatTheLogKnows() throws {
        let (disk, directory) = try Self.make()
        let markers = [Self.marker(0, term: 0), Self.marker(5), Self.marker(9, term: 3)]
        #expect(try directory.loadNewest(matching: markers) == SnapshotDirectory.Loaded())
        try directory.save(Self.snapshot(5))
        try directory.save(Self.snapshot(9, term: 3))
        try directory.save(Self.snapshot(12, term: 3))
        #expect(try disk.list(Self.path)[0] == "0000000000000002-0000000000000005.snap")
        #expect(try directory.loadNewest(matching: markers).snapshot == Self.snapshot(9, term: 3))
        #expect(try directory.loadNewest(matching: [Self.marker(5)]).snapshot == Self.snapshot(5))
        #expect(try directory.loadNewest(matching: [Self.marker(5, term: 1)]).snapshot == nil)
        let file = "\(Self.path)/0000000000000002-0000000000000005.snap"
        #expect(try SnapshotDirectory.read(disk, file: file) == Self.snapshot(5))
    }

    @Test func setsDamagedFilesAside() throws {
        let (disk, directory) = try Self.make()
        let markers = [Self.marker(5), Self.marker(9)]
        let newest = "\(Self.path)/0000000000000002-0000000000000009.snap"
        let whole = SnapshotFile.encode(Self.snapshot(9))
        var damaged = (0..<whole.count).map { Array(whole[..<$0]) }
        for bit in 0..<whole.count * 8 {
            var bytes = whole
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            damaged.append(bytes)
        }
        damaged.append(SnapshotFile.encode(Self.snapshot(8)))
        try directory.save(Self.snapshot(5))
        for bytes in damaged {
            disk.setContents(newest, bytes)
            #expect(throws: SnapshotError.self) { try SnapshotDirectory.read(disk, file: newest + "x") }
            let loaded = try directory.loadNewest(matching: markers)
            #expect(loaded.snapshot == Self.snapshot(5))
            #expect(loaded.broken.map(\.file) == ["0000000000000002-0000000000000009.snap"])
            #expect(disk.contents(newest) == nil && disk.contents(newest + ".broken") == bytes)
        }
    }

    @Test func savingFailsWholeOrNot() throws {
        for unsynced in UnsyncedWrites.allCases {
            var ordinal = 1
            while true {
                let (disk, directory) = try Self.make()
                try directory.save(Self.snapshot(5))
                disk.inject(DiskFault(.changing, ordinal: ordinal, code: ENOSPC, isLasting: true))
                let result = Result { try directory.save(Self.snapshot(9)) }
                let failures = disk.injectedFailures
                disk.clearFaults()
                var random = SeededRandom(seed: UInt64(ordinal))
                disk.crash(unsynced, choosing: &random)
                let loaded = try directory.loadNewest(matching: [Self.marker(5), Self.marker(9)])
                if failures == 0 {
                    try result.get()
                    #expect(loaded.snapshot == Self.snapshot(9) && loaded.broken.isEmpty)
                    break
                }
                #expect(throws: SnapshotError.self) { try result.get() }
                #expect(loaded.snapshot == Self.snapshot(5) || loaded.snapshot == Self.snapshot(9))
                // The file that a crash left half written does not hinder the next attempt.
                try directory.save(Self.snapshot(9))
                #expect(try directory.loadNewest(matching: [Self.marker(9)]).snapshot == Self.snapshot(9))
                ordinal += 1
            }
            #expect(ordinal > 4)
        }
    }

    @Test func purges() throws {
        let (disk, directory) = try Self.make()
        for index in LogIndex(1)...LogIndex(5) {
            try directory.save(Self.snapshot(index, term: 6 - index / 3))
            disk.setContents("\(Self.path)/000000000000000\(index).snap.db", [1])
        }
        disk.setContents("\(Self.path)/db", [1])
        #expect(try directory.removeDatabases(below: 2) == ["0000000000000001.snap.db"])
        let purged = try directory.purge(keeping: 2)
        #expect(purged.filter { $0.hasSuffix(".snap") }.count == 3 && purged.filter { $0.hasSuffix(".snap.db") }.count == 2)
        // By term first: index 1 and 2 are of the highest term here.
        let names = try disk.list(Self.path)
        #expect(
            names == [
                "0000000000000004.snap.db", "0000000000000005.snap.db", "0000000000000006-0000000000000001.snap",
                "0000000000000006-0000000000000002.snap", "db",
            ])
        #expect(try directory.purge(keeping: 2).isEmpty)
    }

    @Test func removesLeftovers() throws {
        let (disk, directory) = try Self.make()
        for name in ["tmp123", "db.tmp.77", "db", "0000000000000004.snap.db"] { disk.setContents("\(Self.path)/\(name)", [1]) }
        #expect(try directory.removeLeftovers() == ["db.tmp.77", "tmp123"])
        #expect(try disk.list(Self.path) == ["0000000000000004.snap.db", "db"])
    }

    @Test func receivesDatabases() throws {
        let (disk, directory) = try Self.make()
        let target = "\(Self.path)/00000000000000ff.snap.db"
        #expect(try directory.database(at: 255) == nil)
        var received = try directory.receiveDatabase(at: 255, number: 1)
        try [1, 2, 3].withUnsafeBytes { try received.append($0) }
        try [4].withUnsafeBytes { try received.append($0) }
        #expect(received.size == 4 * MemoryLayout<Int>.size)
        #expect(try directory.database(at: 255) == nil)
        #expect(try received.finish() == target)
        #expect(try directory.database(at: 255) == target)
        var random = SeededRandom(seed: 1)
        disk.crash(.lost, choosing: &random)
        #expect(disk.contents(target)?.count == 32)
        try abandon(directory)
        #expect(try disk.list(Self.path) == ["00000000000000ff.snap.db"])
        let second = try directory.receiveDatabase(at: 255, number: 3)
        #expect(try second.finish() == target)
        #expect(disk.contents(target)?.count == 32)
        #expect(try disk.list(Self.path) == ["00000000000000ff.snap.db"])
    }

    private func abandon(_ directory: SnapshotDirectory) throws {
        var received = try directory.receiveDatabase(at: 9, number: 2)
        try [UInt8](repeating: 1, count: 10).withUnsafeBytes { try received.append($0) }
    }
}
