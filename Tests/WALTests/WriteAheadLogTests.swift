import Bytes
import Glibc
import Host
import Raft
import Records
import Simulation
import Testing

@testable import WAL

@Suite struct WriteAheadLogTests {
    static let small = WriteAheadLog.Options(segmentSize: 2_048)

    @Test func createsEtcdsLayout() throws {
        let disk = try emptyDisk()
        #expect(try !WriteAheadLog.exists(disk, logPath))
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        #expect(try WriteAheadLog.exists(disk, logPath))
        #expect(try disk.list("/m") == ["wal"])
        #expect(try disk.list(logPath) == ["0000000000000000-0000000000000000.wal"])
        try log.close()
        let file = try disk.open(firstSegment, .readOnly)
        #expect(try file.size() == 64_000_000)
        var head = [UInt8](repeating: 0, count: 24)
        _ = try head.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
        // The checksum record of zero, then the metadata record.
        #expect(Array(head[..<16]) == [4, 0, 0, 0, 0, 0, 0, 0x84, 0x08, 4, 0x10, 0, 0, 0, 0, 0])
        #expect(throws: WALError.exists(directory: logPath)) { try create(disk) }
    }

    @Test func findsWhatWasAppended() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        let nothing = log.takeReplay()
        #expect(nothing == nil)
        let first = try log.append(HardState(term: 1, vote: 7, commit: 0), entries(1...3, term: 1), sync: true)
        #expect(first.didSync && !first.didCut && first.bytes % 8 == 0 && first.bytes > 60)
        try log.append(HardState(term: 1, vote: 7, commit: 3), [], sync: false)
        try log.append(nil, [Entry(term: 1, index: 4)], sync: false)
        #expect(log.lastIndex == 4)
        try log.close()
        let found = try replay(disk)
        #expect(found.metadata == metadata && found.tornTail == nil)
        #expect(found.hardState == HardState(term: 1, vote: 7, commit: 3))
        #expect(found.entries == entries(1...3, term: 1) + [Entry(term: 1, index: 4)])
    }

    /// A leader's snapshot replaces a log that ends behind it in another history.
    @Test func forgetsWhatALeadersSnapshotReplaced() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        try log.append(HardState(term: 2, commit: 3), entries(1...8, term: 2), sync: true)
        let marker = SnapshotMarker(index: 6, term: 3, confState: ConfState(voters: [1]))
        try log.saveSnapshotMarker(marker)
        try log.append(HardState(term: 3, commit: 6), [], sync: true)
        let after = try replay(disk.copy(), from: marker)
        #expect(after.entries.isEmpty && after.hardState.commit == 6)
        try log.append(nil, entries(7...7, term: 3), sync: true)
        try log.close()
        #expect(try replay(disk, from: marker).entries == entries(7...7, term: 3))
    }

    /// As `etcdutl backup` writes it: entries from the one behind the snapshot on, and then the snapshot's marker.
    @Test func aCopyThatBeginsBehindItsSnapshotIsWhole() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        try log.append(HardState(term: 2, commit: 14), entries(12...15, term: 2), sync: true)
        let marker = SnapshotMarker(index: 11, term: 2, confState: ConfState(voters: [1]))
        try log.saveSnapshotMarker(marker)
        try log.close()
        #expect(try replay(disk, from: marker).entries == entries(12...15, term: 2))
    }

    @Test func syncsOnlyWhenAsked() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        let calls = disk.operationCount
        #expect(try log.append(nil, [], sync: true) == WriteAheadLog.Appended())
        try log.append(HardState(term: 1), entries(1...3, term: 1), sync: false)
        #expect(disk.operationCount == calls)
        try log.append(nil, entries(4...4, term: 1), sync: true)
        #expect(disk.operationCount == calls + 2)
        try log.sync()
        #expect(disk.operationCount == calls + 2)
        try log.close()
    }

    @Test func unsyncedRecordsAreWrittenAtPageBoundaries() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        for index in LogIndex(1)...LogIndex(10) {
            try log.append(nil, entries(index...index, term: 1, size: 50_000), sync: false)
        }
        let writes = disk.trace.filter { $0.operation.contains("write") && $0.offset != 0 }
        #expect(writes.count >= 2)
        #expect(writes.dropFirst().allSatisfy { $0.offset! % WriteAheadLog.pageSize == 0 })
        try log.close()
        #expect(try replay(disk).entries.count == 10)
    }

    @Test func withoutSyncsNothingIsSynced() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata, options: .init(syncs: false))
        let calls = disk.operationCount
        try log.append(nil, entries(1...1, term: 1), sync: true)
        #expect(disk.operationCount == calls + 1)
        try log.close()
    }

    @Test func replacedEntriesAreGone() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        try log.append(HardState(term: 1, vote: 1, commit: 2), entries(1...6, term: 1), sync: true)
        try log.append(HardState(term: 3, vote: 2, commit: 2), entries(4...5, term: 3), sync: true)
        #expect(log.lastIndex == 5)
        try log.close()
        #expect(try replay(disk).entries == entries(1...3, term: 1) + entries(4...5, term: 3))
    }

    /// A new leader replaced entries up to where the snapshot was made, and what it wrote behind that is torn off.
    @Test func whatFollowedReplacedEntriesBeforeTheStartIsGone() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        try log.append(HardState(term: 1, vote: 1, commit: 2), entries(1...6, term: 1), sync: true)
        try log.append(HardState(term: 3, vote: 2, commit: 5), entries(4...5, term: 3), sync: true)
        let marker = SnapshotMarker(index: 5, term: 3, confState: ConfState(voters: [1]))
        try log.saveSnapshotMarker(marker)
        try log.close()
        #expect(try replay(disk.copy(), from: marker).entries.isEmpty)
        #expect(try replay(disk, from: SnapshotMarker()).entries == entries(1...3, term: 1) + entries(4...5, term: 3))
    }

    @Test func cutsSegmentsAndChainsThem() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata, options: Self.small)
        var cuts = 0
        for index in LogIndex(1)...LogIndex(100) {
            let state = HardState(term: 1, vote: 7, commit: index - 1)
            if try log.append(state, entries(index...index, term: 1, size: 40), sync: true).didCut { cuts += 1 }
            if index % 10 == 0 { try log.prepareNextSegment() }
        }
        try log.close()
        let names = try disk.list(logPath)
        #expect(cuts > 3 && names.count == cuts + 1)
        #expect(names.allSatisfy { SegmentName($0) != nil })
        let found = try replay(disk)
        #expect(found.entries == entries(1...100, term: 1, size: 40))
        #expect(found.hardState.commit == 99)
        var seen: [ReplayProgress] = []
        _ = try WriteAheadLog.read(disk, logPath, from: SnapshotMarker(), progress: { seen.append($0) })
        #expect(seen.last?.segment == names.count && seen.last?.segments == names.count)
    }

    @Test func preparationRunsApartFromTheLog() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata, options: Self.small)
        let preparation = log.segmentPreparation()!
        let isUnderWay = log.segmentPreparation() == nil
        #expect(isUnderWay)
        // The log fills its segment before the preparation is done, and makes one for itself.
        try log.append(nil, entries(1...1, term: 1, size: 2_048), sync: true)
        log.adopt(try preparation.run())
        #expect(try disk.list(logPath).filter { $0.hasSuffix(".tmp") }.count == 1)
        let isReady = log.segmentPreparation() == nil
        #expect(isReady)
        try log.append(nil, entries(2...2, term: 1, size: 2_048), sync: true)
        #expect(try disk.list(logPath).filter { $0.hasSuffix(".tmp") }.isEmpty)
        let isReadyStill = log.segmentPreparation() == nil
        #expect(!isReadyStill)
        log.preparationFailed()
        try log.prepareNextSegment()
        try log.close()
        #expect(try disk.list(logPath).count == 3)
        #expect(try replay(disk).entries.count == 2)
    }

    @Test func failedPreparationDoesNotFailTheLog() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata, options: Self.small)
        disk.inject(DiskFault(.preallocate, code: ENOSPC))
        var failed = false
        do { try log.prepareNextSegment() } catch { failed = true }
        #expect(failed)
        #expect(try disk.list(logPath).count == 1)
        try log.prepareNextSegment()
        try log.append(nil, entries(1...1, term: 1, size: 2_048), sync: true)
        try log.close()
    }

    @Test func snapshotMarkersCountOnceCommitted() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        let early = SnapshotMarker(index: 2, term: 1, confState: ConfState(voters: [7], learners: [8]))
        let late = SnapshotMarker(index: 50, term: 2, confState: ConfState(voters: [7]))
        try log.append(HardState(term: 1, vote: 7, commit: 3), entries(1...3, term: 1), sync: true)
        try log.saveSnapshotMarker(early)
        try log.saveSnapshotMarker(late)
        #expect(log.lastIndex == 50)
        #expect(try WriteAheadLog.snapshotMarkers(disk, logPath) == [SnapshotMarker(), early])
        try log.append(HardState(term: 2, vote: 7, commit: 50), entries(51...52, term: 2), sync: true)
        #expect(try WriteAheadLog.snapshotMarkers(disk, logPath) == [SnapshotMarker(), early, late])
        try log.close()
        #expect(try replay(disk, from: late).entries == entries(51...52, term: 2))
        // Between the two snapshots nothing connects the entries.
        #expect(throws: WALError.self) { try replay(disk, from: early) }
        #expect(throws: WALError.snapshotNotFound(directory: logPath, index: 51, term: 2)) {
            try replay(disk, from: SnapshotMarker(index: 51, term: 2))
        }
        #expect(throws: WALError.self) { try replay(disk, from: SnapshotMarker(index: 50, term: 1)) }
    }

    @Test func locksExcludeOtherWriters() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        #expect(throws: WALError.locked(file: firstSegment)) { try replay(disk) }
        // Reading needs no lock.
        _ = try WriteAheadLog.read(disk, logPath, from: SnapshotMarker())
        try log.close()
        _ = try replay(disk)
    }

    @Test func releasesLocksAndPurges() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata, options: Self.small)
        for index in LogIndex(1)...LogIndex(8) { try log.append(nil, entries(index...index, term: 1, size: 2_048), sync: true) }
        let marker = SnapshotMarker(index: 5, term: 1, confState: ConfState(voters: [7]))
        try log.append(HardState(term: 1, vote: 7, commit: 8), [], sync: false)
        try log.saveSnapshotMarker(marker)
        // Segments start at 0, 2, 3, ..., 9.
        let names = try disk.list(logPath)
        #expect(names.count == 9)
        #expect(try log.purgeSegments(keeping: 2).isEmpty)
        try log.releaseLocks(to: 5)
        // The newest one that starts before 5 starts at 4; it and those after it stay locked.
        #expect(try log.purgeSegments(keeping: 8) == [names[0]])
        #expect(try log.purgeSegments(keeping: 1) == [names[1], names[2]])
        #expect(try log.purgeSegments(keeping: 1).isEmpty)
        try log.releaseLocks(to: 1_000)
        #expect(try log.purgeSegments(keeping: 3).count == 3)
        try log.close()
        #expect(throws: WALError.segmentMissing(directory: logPath, index: 0)) { try replay(disk) }
        // The record of the snapshot at 5 is in the last segment, and what precedes it is gone: entry 6 does not connect.
        #expect(throws: WALError.segmentMissing(directory: logPath, index: 5)) { try replay(disk, from: marker) }
    }

    @Test func startsFromASnapshotWhoseRecordStandsInALaterSegment() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata, options: Self.small)
        for index in LogIndex(1)...LogIndex(6) { try log.append(nil, entries(index...index, term: 1, size: 2_048), sync: true) }
        let marker = SnapshotMarker(index: 4, term: 1, confState: ConfState(voters: [7]))
        try log.append(HardState(term: 1, vote: 7, commit: 6), [], sync: false)
        try log.saveSnapshotMarker(marker)
        try log.releaseLocks(to: 4)
        try log.close()
        #expect(try replay(disk, from: marker).entries.map(\.index) == [5, 6])
    }

    /// etcd forgets after a restart that a received snapshot was ahead of its entries, and names the next segment too low.
    @Test func findsASnapshotBeforeAMisnamedSegment() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata, options: Self.small)
        let marker = SnapshotMarker(index: 500, term: 2, confState: ConfState(voters: [7]))
        try log.append(nil, entries(1...3, term: 1), sync: true)
        try log.saveSnapshotMarker(marker)
        log.lastIndex = 3
        try log.append(HardState(term: 2, vote: 7, commit: 500), [], sync: true)
        try log.cut()
        try log.append(nil, entries(501...502, term: 2), sync: true)
        try log.close()
        #expect(try disk.list(logPath).last == "0000000000000001-0000000000000004.wal")
        #expect(try replay(disk, from: marker).entries == entries(501...502, term: 2))
    }

    @Test func leftoversAreTolerated() throws {
        let disk = try emptyDisk()
        try disk.createDirectory(logPath + ".tmp", permissions: 0o700)
        disk.setContents(logPath + ".tmp/junk", [1])
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        try log.append(nil, entries(1...1, term: 1), sync: true)
        try log.close()
        disk.setContents(logPath + "/0.tmp", [])
        disk.setContents(logPath + "/1.tmp", [UInt8](repeating: 7, count: 100))
        disk.setContents(logPath + "/notes", [1])
        #expect(try replay(disk).entries.count == 1)
        #expect(try disk.list(logPath) == ["0000000000000000-0000000000000000.wal", "notes"])
    }

    @Test func namesSegments() {
        let name = SegmentName(sequence: 0x1f, firstIndex: .max)
        #expect(name.description == "000000000000001f-ffffffffffffffff.wal")
        #expect(SegmentName(name.description) == name)
        for other in ["", "0.tmp", "000000000000001f-fffffffffffffffg.wal", "000000000000001F-ffffffffffffffff.wal"] {
            #expect(SegmentName(other) == nil)
        }
        #expect(SegmentName(name.description + ".broken") == nil)
    }

    private func create(_ disk: FaultyDisk) throws {
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        try log.close()
    }
}
