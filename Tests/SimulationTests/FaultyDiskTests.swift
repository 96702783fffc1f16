import Glibc
import Host
import Simulation
import Testing

private func write(_ text: String, to file: any DiskFile, at offset: Int) throws {
    try Array(text.utf8).withUnsafeBytes { try file.write($0, at: offset) }
}

private func text(_ disk: FaultyDisk, _ path: String) -> String? {
    disk.contents(path).map { String(decoding: $0, as: UTF8.self) }
}

@Suite struct FaultyDiskTests {
    private let disk = FaultyDisk()

    private func create(_ path: String) throws -> any DiskFile {
        try disk.open(path, .readWriteCreating(permissions: 0o600))
    }

    /// Every outcome of a crash that many seeds lead to, as texts ("-" for a missing file).
    private func outcomes(_ path: String, _ unsynced: UnsyncedWrites, seeds: UInt64 = 300) -> Set<String> {
        Set(
            (0..<seeds).map { seed in
                let copy = disk.copy()
                var random = SeededRandom(seed: seed)
                copy.crash(unsynced, choosing: &random)
                return text(copy, path) ?? "-"
            })
    }

    @Test func readsWhatWasWrittenAcrossChunksAndHoles() throws {
        let file = try create("f")
        let long = [UInt8]((0..<50_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
        try long.withUnsafeBytes { try file.write($0, at: 10_000) }
        #expect(try file.size() == 60_000)
        var buffer = [UInt8](repeating: 1, count: 60_100)
        let count = try buffer.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
        #expect(count == 60_000)
        #expect(Array(buffer[..<10_000]) == [UInt8](repeating: 0, count: 10_000))
        #expect(Array(buffer[10_000..<60_000]) == long)
        try file.setSize(10_001)
        try file.setSize(20_000)
        #expect(disk.contents("f") == [UInt8](repeating: 0, count: 10_000) + [long[0]] + [UInt8](repeating: 0, count: 9_999))
        try file.preallocate(10)
        #expect(try file.size() == 20_000)
        try file.preallocate(64_000_000)
        #expect(try file.size() == 64_000_000)
    }

    @Test func namesBehaveAsOnLinux() throws {
        func code(_ body: () throws -> Void) -> Int32? {
            do { try body() } catch { return (error as? DiskError)?.code }
            return nil
        }
        #expect(code { _ = try disk.open("f", .readOnly) } == ENOENT)
        #expect(code { _ = try disk.open("d/f", .createNew(permissions: 0)) } == ENOENT)
        _ = try create("f")
        #expect(code { _ = try disk.open("f", .createNew(permissions: 0)) } == EEXIST)
        #expect(code { try write("x", to: try disk.open("f", .readOnly), at: 0) } == EBADF)
        #expect(code { try disk.createDirectory("f", permissions: 0) } == ENOTDIR)
        try disk.createDirectory("/d/./e/", permissions: 0o700)
        try disk.createDirectory("d/e", permissions: 0o700)
        #expect(code { _ = try disk.open("d/e", .readOnly) } == EISDIR)
        #expect(code { try disk.rename("d", to: "d/e/d") } == EINVAL)
        #expect(code { try disk.rename("f", to: "d") } == EISDIR)
        #expect(code { try disk.rename("d/e", to: "f") } == ENOTDIR)
        #expect(code { try disk.remove("d") } == ENOTEMPTY)
        try disk.rename("f", to: "d/e/../e/g")
        #expect(try disk.list("d/e") == ["g"])
        #expect(try disk.list("/") == ["d"])
        #expect(code { _ = try disk.list("d/e/g") } == ENOTDIR)
        #expect(code { try disk.syncDirectory("nowhere") } == ENOENT)
        try disk.removeTree("nowhere")
        try disk.removeTree("d")
        #expect(try !disk.exists("d"))
    }

    @Test func unsyncedBytesAndNamesAreLost() throws {
        let file = try create("f")
        try write("one", to: file, at: 0)
        #expect(outcomes("f", .lost) == ["-"])
        try disk.syncDirectory("/")
        #expect(outcomes("f", .lost) == [""])
        try file.syncData()
        #expect(outcomes("f", .lost) == ["one"])
        try write("TWO", to: file, at: 1)
        try file.setSize(2)
        #expect(outcomes("f", .lost) == ["one"])
        #expect(outcomes("f", .kept) == ["oT"])
        #expect(outcomes("f", .prefix) == ["one", "oTWO", "oT"])
        #expect(outcomes("f", .subset) == ["one", "oTWO", "on", "oT"])
        #expect(outcomes("f", .mixed).isSuperset(of: ["one", "oTWO", "on", "oT"]))
    }

    @Test func tornWritesEndAtSectors() throws {
        let file = try create("f")
        try disk.syncDirectory("/")
        try [UInt8](repeating: UInt8(ascii: "a"), count: 1200).withUnsafeBytes { try file.write($0, at: 0) }
        try file.sync()
        try [UInt8](repeating: UInt8(ascii: "b"), count: 1000).withUnsafeBytes { try file.write($0, at: 300) }
        let found = outcomes("f", .torn, seeds: 500)
        // Three sectors and whether the file grew: with the last sector it always has.
        #expect(found.count == 12)
        for content in found {
            let bytes = Array(content.utf8)
            #expect(bytes[..<300].allSatisfy { $0 == UInt8(ascii: "a") })
            for part in [300..<512, 512..<1024, 1024..<1200] { #expect(Set(bytes[part]).count == 1) }
            let rest = Set(bytes[1200...])
            #expect(bytes.count == 1200 || bytes.count == 1300 && rest.count == 1)
            #expect(rest.isSubset(of: [0, bytes[1199]]) && !rest.contains(UInt8(ascii: "a")))
        }
    }

    @Test func aSyncThatFailedLeavesItsWritesUncertainForGood() throws {
        let file = try create("f")
        try disk.syncDirectory("/")
        try write("a", to: file, at: 0)
        disk.inject(DiskFault(.syncing))
        #expect(throws: DiskError.self) { try file.syncData() }
        try write("b", to: file, at: 1)
        try file.syncData()
        #expect(outcomes("f", .lost) == ["\0b"])
        #expect(outcomes("f", .subset) == ["\0b", "ab"])
        #expect(outcomes("f", .kept) == ["ab"])
    }

    @Test func renamesAreAtomicAndNeedTheirDirectoriesSync() throws {
        for (path, content) in [("old", "old"), ("new", "new")] {
            let file = try create(path)
            try write(content, to: file, at: 0)
            try file.sync()
        }
        try disk.syncDirectory("/")
        try disk.rename("new", to: "old")
        #expect(outcomes("old", .lost) == ["old"])
        #expect(outcomes("new", .lost) == ["new"])
        for seed: UInt64 in 0..<50 {
            let copy = disk.copy()
            var random = SeededRandom(seed: seed)
            copy.crash(choosing: &random)
            let names = try copy.list("/")
            #expect(text(copy, "old") == (names == ["old"] ? "new" : "old"), "seed \(seed)")
        }
        try disk.syncDirectory("/")
        #expect(outcomes("old", .lost) == ["new"])
        #expect(outcomes("new", .kept) == ["-"])
    }

    @Test func renamesBetweenDirectoriesNeverLoseOrDoubleTheFile() throws {
        try disk.createDirectory("a", permissions: 0)
        try disk.createDirectory("b", permissions: 0)
        _ = try create("a/f")
        try disk.syncDirectory("a")
        try disk.rename("a/f", to: "a/g")
        try disk.rename("a/g", to: "b/f")
        let synced = disk.copy()
        try synced.syncDirectory("b")
        for seed: UInt64 in 0..<100 {
            var random = SeededRandom(seed: seed)
            let copy = disk.copy()
            copy.crash(choosing: &random)
            #expect(try copy.list("a").count + copy.list("b").count == 1, "seed \(seed)")
            let syncedCopy = synced.copy()
            syncedCopy.crash(choosing: &random)
            #expect(try syncedCopy.list("a").isEmpty && syncedCopy.list("b") == ["f"], "seed \(seed)")
        }
    }

    @Test func removedFilesComeBackWithoutSyncAndLiveOnWhileOpen() throws {
        let file = try create("f")
        try write("kept", to: file, at: 0)
        try file.sync()
        try disk.syncDirectory("/")
        try disk.remove("f")
        #expect(outcomes("f", .subset) == ["-", "kept"])
        try disk.syncDirectory("/")
        try write("K", to: file, at: 0)
        #expect(try file.size() == 4)
        #expect(outcomes("f", .kept) == ["-"])
    }

    @Test func crashesKillHandlesAndFreeLocks() throws {
        let file = try create("f")
        #expect(try file.tryLock(.flockExclusive))
        try disk.syncDirectory("/")
        var random = SeededRandom(seed: 1)
        disk.crash(choosing: &random)
        #expect { try file.size() } throws: { ($0 as? DiskError)?.code == EIO }
        let again = try disk.open("f", .readWrite)
        #expect(try again.tryLock(.flockExclusive))
        file.close()
        #expect(try !disk.open("f", .readWrite).tryLock(.flockShared))
    }

    @Test func locksOfTheTwoFamiliesAreIndependent() throws {
        let first = try create("f")
        let second = try create("f")
        #expect(try first.tryLock(.flockShared))
        #expect(try second.tryLock(.flockShared))
        #expect(try !first.tryLock(.flockExclusive))
        #expect(try first.tryLock(.openFileDescription))
        #expect(try !second.tryLock(.openFileDescription))
        second.close()
        #expect(try first.tryLock(.flockExclusive))
        let readOnly = try disk.open("f", .readOnly)
        #expect(try !readOnly.tryLock(.flockShared))
        #expect { try readOnly.tryLock(.openFileDescription) } throws: { ($0 as? DiskError)?.code == EBADF }
        first.close()
        #expect(try readOnly.tryLock(.flockExclusive))
    }
}

@Suite struct DiskFaultTests {
    private let disk = FaultyDisk()

    @Test func theNthMatchingCallFails() throws {
        let wal = try disk.open("0.wal", .createNew(permissions: 0))
        let page = try disk.open("db", .createNew(permissions: 0))
        disk.inject(DiskFault(.write, pathSuffix: ".wal", ordinal: 2, code: ENOSPC, storedBytes: 2))
        try write("aaaa", to: wal, at: 0)
        try write("bbbb", to: page, at: 0)
        let failure = #expect(throws: DiskError.self) { try write("cccc", to: wal, at: 4) }
        #expect(failure?.description == "write 0.wal at offset 4: No space left on device")
        #expect(text(disk, "0.wal") == "aaaacc")
        try write("dddd", to: wal, at: 4)
        #expect(text(disk, "0.wal") == "aaaadddd")
        #expect(disk.injectedFailures == 1)
        #expect(disk.operationCount == 6)
        #expect(disk.trace.map(\.description)[4] == "#5 write 0.wal at 4 count 4 FAILED: No space left on device")
    }

    @Test func lastingFaultsEndWhenCleared() throws {
        disk.inject(DiskFault(.allocating, ordinal: 2, code: ENOSPC, isLasting: true))
        let file = try disk.open("f", .createNew(permissions: 0))
        for _ in 0..<3 { #expect(throws: DiskError.self) { try write("x", to: file, at: 0) } }
        #expect(throws: DiskError.self) { try disk.open("g", .createNew(permissions: 0)) }
        #expect(try !disk.exists("g"))
        #expect(disk.injectedFailures == 4)
        disk.clearFaults()
        try write("x", to: file, at: 0)
    }

    /// The usual way to replace a file, with a failure at every call and a crash after it: always the old or the new text.
    @Test func failTheNthCallLoopFindsAnEnd() throws {
        var ordinal = 1
        var seen: Set<String> = []
        while true {
            let disk = FaultyDisk()
            disk.setContents("f", Array("old".utf8))
            disk.inject(DiskFault(.changing, ordinal: ordinal, isLasting: true))
            try? replaceAtomically(disk, with: "new")
            let failures = disk.injectedFailures
            for seed: UInt64 in 0..<40 {
                let copy = disk.copy()
                var random = SeededRandom(seed: seed)
                copy.crash(choosing: &random)
                let found = try #require(text(copy, "f"))
                #expect(found == "new" || failures > 0 && found == "old", "call \(ordinal), seed \(seed)")
                seen.insert(found)
            }
            if failures == 0 { break }
            ordinal += 1
        }
        #expect(ordinal == 6)
        #expect(seen == ["old", "new"])
    }

    private func replaceAtomically(_ disk: FaultyDisk, with text: String) throws {
        let file = try disk.open("f.tmp", .createNew(permissions: 0))
        try write(text, to: file, at: 0)
        try file.sync()
        try disk.rename("f.tmp", to: "f")
        try disk.syncDirectory("/")
    }

    @Test func oneSeedIsOneStory() throws {
        func story(_ seed: UInt64) throws -> [[UInt8]?] {
            var random = SeededRandom(seed: seed)
            let disk = FaultyDisk()
            let names = (0..<20).map { "file\($0)" }
            for name in names {
                let file = try disk.open(name, .createNew(permissions: 0))
                for _ in 0..<5 { try write("some text", to: file, at: Int.random(in: 0..<2000, using: &random)) }
            }
            disk.crash(choosing: &random)
            return names.map { disk.contents($0) }
        }
        #expect(try story(7) == story(7))
        #expect(try story(7) != story(8))
    }
}
