import Bytes
import Glibc
import Host
import Raft
import Records
import Simulation
import Testing

@testable import WAL

/// What a crash at any moment leaves: everything synced, some of the rest in order, nothing else.
@Suite struct CrashTests {
    /// A member's writes at random, with what the log must and may hold.
    struct Workload {
        var random: SeededRandom
        var content = Content()
        var contents = [Content()]
        /// How many of `contents` a crash may go back to at most.
        var durable = 0

        init(seed: UInt64) { random = SeededRandom(seed: seed) }

        /// One append, or a snapshot's record.
        mutating func step(_ log: inout WriteAheadLog) throws(WALError) {
            if content.hardState.commit > 0, Int.random(in: 0..<8, using: &random) == 0 {
                let confState = ConfState(voters: [1])
                try log.saveSnapshotMarker(SnapshotMarker(index: content.hardState.commit, term: 1, confState: confState))
                durable = contents.count - 1
                return
            }
            let (state, added) = draw()
            let sync = Int.random(in: 0..<3, using: &random) > 0
            for entry in added {
                content.append(entry)
                contents.append(content)
            }
            content.hardState = state
            contents.append(content)
            if try log.append(state, added, sync: sync).didSync { durable = contents.count - 1 }
        }

        private mutating func draw() -> (HardState, [Entry]) {
            var state = content.hardState
            let last = content.entries.last?.index ?? 0
            var first = last + 1
            if state.term == 0 || Int.random(in: 0..<6, using: &random) == 0 {
                state.term += 1
                state.vote = UInt64.random(in: 1...9, using: &random)
                first = LogIndex.random(in: state.commit + 1...first, using: &random)
            }
            let count = Int.random(in: 0...4, using: &random)
            let added = (0..<count).map { offset in
                let size = [0, 5, 100, 600, 1_500][Int.random(in: 0..<5, using: &random)]
                return Entry(term: state.term, index: first + LogIndex(offset), data: [UInt8](repeating: 0xa5, count: size))
            }
            let newLast = added.last?.index ?? last
            state.commit = LogIndex.random(in: state.commit...max(state.commit, newLast), using: &random)
            return (state, added)
        }
    }

    static let options = WriteAheadLog.Options(segmentSize: 6_000)

    @Test(arguments: UnsyncedWrites.allCases) func crashImages(_ unsynced: UnsyncedWrites) throws {
        for seed in UInt64(1)...UInt64(40) {
            let disk = try emptyDisk()
            var workload = Workload(seed: seed)
            var log = try WriteAheadLog.create(disk, logPath, metadata: metadata, options: Self.options)
            for _ in 0..<Int.random(in: 1...60, using: &workload.random) {
                try workload.step(&log)
                if Int.random(in: 0..<4, using: &workload.random) == 0 { try log.prepareNextSegment() }
            }
            for image in 0..<4 {
                let crashed = disk.copy()
                var random = SeededRandom(seed: seed &* 100 &+ UInt64(image))
                crashed.crash(unsynced, choosing: &random)
                try check(crashed, workload, "seed \(seed), image \(image), \(unsynced)")
            }
            try log.close()
        }
    }

    /// Found by the simulator: of two removals a loss of power undid the first, and the log that was left had a gap.
    @Test(arguments: UInt64(1)...UInt64(6)) func aCrashAmidPurgingLeavesNoGap(seed: UInt64) throws {
        var ordinal = 1
        var hasFailed = true
        while hasFailed {
            let disk = try emptyDisk()
            var log = try WriteAheadLog.create(disk, logPath, metadata: metadata, options: Self.options)
            for index in LogIndex(1)...LogIndex(16) {
                try log.append(nil, entries(index...index, term: 1, size: 5_000), sync: true)
            }
            let marker = SnapshotMarker(index: 13, term: 1, confState: ConfState(voters: [7]))
            try log.append(HardState(term: 1, vote: 7, commit: 16), [], sync: true)
            try log.saveSnapshotMarker(marker)
            try log.releaseLocks(to: 13)
            #expect(try disk.list(logPath).count > 5)
            disk.inject(DiskFault(.changing, ordinal: ordinal, isLasting: true))
            _ = try? log.purgeSegments(keeping: 1)
            try? log.close()
            hasFailed = disk.injectedFailures > 0
            disk.clearFaults()
            var random = SeededRandom(seed: seed &* 1_000 &+ UInt64(ordinal))
            disk.crash(.subset, choosing: &random)
            #expect(try WriteAheadLog.snapshotMarkers(disk, logPath).contains { $0.index == 13 }, "operation \(ordinal)")
            #expect(try replay(disk, from: marker).entries.last?.index == 16, "operation \(ordinal)")
            ordinal += 1
        }
        #expect(ordinal > 5)
    }

    /// Crashes inside the calls that make, cut and repair segments: at every disk operation of a run.
    @Test func crashesAtEveryOperation() throws {
        for seed in UInt64(1)...UInt64(4) {
            var ordinal = 1
            while try runUntilFailure(seed: seed, ordinal: ordinal) { ordinal += 1 }
            #expect(ordinal > 40, "seed \(seed)")
        }
    }

    /// Fails the nth changing operation for good, then crashes. False once the run is shorter than that.
    private func runUntilFailure(seed: UInt64, ordinal: Int) throws -> Bool {
        let disk = try emptyDisk()
        disk.inject(DiskFault(.changing, ordinal: ordinal, isLasting: true))
        var workload = Workload(seed: seed)
        var isCreated = false
        do {
            var log = try WriteAheadLog.create(disk, logPath, metadata: metadata, options: Self.options)
            isCreated = true
            for _ in 0..<25 { try workload.step(&log) }
            try log.close()
        } catch {
            guard case .disk = error else { throw error }
        }
        let failed = disk.injectedFailures > 0
        disk.clearFaults()
        var random = SeededRandom(seed: seed &* 1_000 &+ UInt64(ordinal))
        disk.crash(.mixed, choosing: &random)
        // A log that was not created may be there all the same, whole and empty.
        if try isCreated || WriteAheadLog.exists(disk, logPath) {
            try check(disk, workload, "seed \(seed), operation \(ordinal)")
        } else {
            var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
            try log.close()
        }
        return failed
    }

    /// The log opens, holds at least what was synced, and goes on.
    private func check(_ disk: FaultyDisk, _ workload: Workload, _ place: String) throws {
        var log: WriteAheadLog
        do {
            log = try WriteAheadLog.open(disk, logPath, from: SnapshotMarker(), options: Self.options)
        } catch {
            Issue.record("\(place): \(error)")
            return
        }
        let found = log.takeReplay()!
        let position = workload.contents.lastIndex(of: Content(found))
        #expect(
            position ?? -1 >= workload.durable, "\(place): found \(String(describing: position)), durable \(workload.durable)")
        #expect(found.metadata == metadata)
        let next = (found.entries.last?.index ?? 0) + 1
        let term = found.hardState.term + 9
        try log.append(
            HardState(term: term, vote: 1, commit: found.hardState.commit), entries(next...next, term: term), sync: true)
        try log.close()
        let after = try replay(disk)
        #expect(after.entries == found.entries + entries(next...next, term: term), "\(place)")
        #expect(after.tornTail == nil)
    }

    @Test func theFirstFailureStays() throws {
        for operations in [DiskOperations.write, .syncData] {
            let disk = try emptyDisk()
            var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
            try log.append(nil, entries(1...1, term: 1), sync: true)
            disk.inject(DiskFault(operations, code: EIO))
            var errors: [WALError] = []
            for call in 0..<4 {
                do throws(WALError) {
                    switch call {
                    case 0, 1: try log.append(nil, entries(2...2, term: 1), sync: true)
                    case 2: try log.saveSnapshotMarker(SnapshotMarker(index: 1, term: 1, confState: ConfState()))
                    default: try log.close()
                    }
                } catch {
                    errors.append(error)
                }
            }
            #expect(errors.count == 4)
            guard case .disk(let first)? = errors.first else {
                Issue.record("no failure")
                return
            }
            #expect(first.code == EIO && first.path == firstSegment)
            #expect(errors.allSatisfy { $0 == errors[0] })
            #expect(disk.injectedFailures == 1)
            let found = try replay(disk)
            #expect(found.entries.starts(with: entries(1...1, term: 1)))
        }
    }

    @Test func failedOpeningChangesNothing() throws {
        for version in Fixtures.versions {
            var ordinal = 1
            while true {
                let disk = try Fixtures.disk(version)
                // A torn tail, so that opening has something to repair.
                let whole = disk.contents(firstSegment)!
                disk.setContents(firstSegment, whole + [0x20, 0, 0, 0, 0, 0, 0, 0, 8, 2])
                disk.inject(DiskFault(.all, ordinal: ordinal))
                let result = Result { try replay(disk) }
                disk.clearFaults()
                guard disk.injectedFailures > 0 else {
                    let replay = try result.get()
                    #expect(replay.tornTail?.offset == whole.count)
                    #expect(disk.contents(firstSegment + ".broken")?.count == whole.count + 10)
                    break
                }
                // Whatever failed, the next attempt finds everything.
                #expect(try replay(disk).entries.count > 159)
                ordinal += 1
            }
            #expect(ordinal > 10)
        }
    }
}
