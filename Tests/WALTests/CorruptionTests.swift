import Bytes
import Host
import Raft
import Records
import Simulation
import Testing

@testable import WAL

/// Damage to a small log: each truncation and each flipped bit gives an error that names the place, or a prefix of the log.
@Suite struct CorruptionTests {
    /// Segments that hold a bit of everything, the last one with space set aside behind its records.
    struct Sample {
        var segments: [(name: String, bytes: [UInt8])] = []
        /// Where the last segment's records end.
        var end = 0
        /// What the log holds after each of its records.
        var contents: [Content] = []

        init() throws {
            let disk = try emptyDisk()
            var log = try WriteAheadLog.create(disk, logPath, metadata: metadata, options: .init(segmentSize: 340))
            var content = Content()
            contents = [content]
            func append(_ state: HardState?, _ added: [Entry], cut: Bool = false) throws {
                for entry in added {
                    content.append(entry)
                    contents.append(content)
                }
                if let state {
                    content.hardState = state
                    contents.append(content)
                }
                try log.append(state, added, sync: true)
            }
            let addition = Entry(term: 1, index: 1, kind: .configurationChange, data: [1, 2, 3])
            try append(HardState(term: 1, vote: 0, commit: 1), [addition])
            try append(HardState(term: 2, vote: 77, commit: 2), [Entry(term: 2, index: 2)])
            try append(HardState(term: 2, vote: 77, commit: 3), entries(3...6, term: 2))
            try append(HardState(term: 4, vote: 0, commit: 4), entries(5...7, term: 4))
            try log.saveSnapshotMarker(SnapshotMarker(index: 4, term: 2, confState: ConfState(voters: [77])))
            try append(
                HardState(term: 4, vote: 78, commit: 7), [Entry(term: 4, index: 8, data: [UInt8](repeating: 9, count: 100))])
            try append(nil, entries(9...10, term: 4))
            try append(HardState(term: 4, vote: 78, commit: 9), [])
            try log.close()
            segments = try disk.list(logPath).map { ($0, disk.contents("\(logPath)/\($0)")!) }
            end = (segments[2].bytes.lastIndex { $0 != 0 }! + 8) / 8 * 8
            // Space that was never written reaches into the next sector.
            segments[2].bytes += [UInt8](repeating: 0, count: 600 - segments[2].bytes.count)
        }

        func disk(replacing segment: Int, by bytes: [UInt8]) throws -> FaultyDisk {
            let disk = FaultyDisk()
            try disk.createDirectory(logPath, permissions: 0o700)
            for (index, file) in segments.enumerated() {
                disk.setContents("\(logPath)/\(file.name)", index == segment ? bytes : file.bytes)
            }
            return disk
        }
    }

    @Test func theSampleIsWhole() throws {
        let sample = try Sample()
        #expect(sample.segments.count == 3)
        #expect(Content(try replay(try sample.disk(replacing: 0, by: sample.segments[0].bytes))) == sample.contents.last)
    }

    @Test func everyTruncation() throws {
        let sample = try Sample()
        for (segment, file) in sample.segments.enumerated() {
            for length in 0..<file.bytes.count {
                let disk = try sample.disk(replacing: segment, by: Array(file.bytes[..<length]))
                readOnly(disk)
                let outcome = try examine(disk, sample)
                let isLast = segment + 1 == sample.segments.count
                #expect(isLast || outcome == .refused, "segment \(segment) cut to \(length) bytes")
            }
        }
    }

    /// A last write that was cut off anywhere: the segment is opened without it where etcd does so too, which is where nothing of the
    /// record itself was written, or nothing in one of its sectors. With a part of it in a sector it cannot be told from damage.
    @Test func everyCutOfTheLastWrite() throws {
        for size in [1, 20, 200, 300, 700, 1_500] {
            let disk = try emptyDisk()
            var log = try WriteAheadLog.create(disk, logPath, metadata: metadata, options: .init(segmentSize: 16_000))
            try log.append(HardState(term: 1, vote: 1, commit: 1), entries(1...3, term: 1), sync: true)
            let before = disk.contents(firstSegment)!
            try log.append(nil, entries(4...4, term: 1, size: size), sync: true)
            let after = disk.contents(firstSegment)!
            try log.close()
            let start = zip(before, after).enumerated().first { $1.0 != $1.1 }!.offset / 8 * 8
            let end = after.lastIndex { $0 != 0 }! + 1
            var repaired = 0
            for cut in start..<end {
                let torn = FaultyDisk()
                try torn.createDirectory(logPath, permissions: 0o700)
                torn.setContents(firstSegment, Array(after[..<cut]) + [UInt8](repeating: 0, count: after.count - cut))
                let nextSector = (cut + 511) / 512 * 512
                let mustOpen = cut <= start + 8 || nextSector < end
                do throws(WALError) {
                    let found = try replay(torn)
                    #expect(found.entries.count == 3, "size \(size), cut \(cut)")
                    repaired += 1
                    #expect(cut == start || torn.contents(firstSegment + ".broken") != nil, "size \(size), cut \(cut)")
                } catch {
                    #expect(!mustOpen, "size \(size), cut at \(cut - start) of \(end - start): \(error)")
                }
            }
            #expect(repaired >= 9, "size \(size)")
        }
    }

    @Test func everyFlippedBit() throws {
        let sample = try Sample()
        var refused = 0
        var shortened = 0
        for (segment, file) in sample.segments.enumerated() {
            for bit in 0..<file.bytes.count * 8 {
                var bytes = file.bytes
                bytes[bit / 8] ^= 1 << UInt8(bit % 8)
                let disk = try sample.disk(replacing: segment, by: bytes)
                if bit % 16 == 0 { readOnly(disk) }
                switch try examine(disk, sample) {
                case .refused: refused += 1
                case .shortened(let records):
                    shortened += 1
                    // Only space that was never written may be damaged without notice.
                    let isUnwritten = segment == 2 && bit / 8 >= sample.end
                    #expect(isUnwritten && records == sample.contents.count, "bit \(bit) of segment \(segment)")
                }
            }
        }
        #expect(refused > 5_000 && shortened > 100, "refused \(refused), shortened \(shortened)")
    }

    @Test func missingSegments() throws {
        let sample = try Sample()
        for missing in 0..<3 {
            let disk = try sample.disk(replacing: 0, by: sample.segments[0].bytes)
            try disk.remove("\(logPath)/\(sample.segments[missing].name)")
            switch missing {
            case 0: #expect(throws: WALError.segmentMissing(directory: logPath, index: 0)) { try replay(disk) }
            case 1:
                let error = WALError.sequenceGap(file: "\(logPath)/\(sample.segments[2].name)", expected: 1)
                #expect(throws: error) { try replay(disk) }
                #expect(throws: error) { try WriteAheadLog.snapshotMarkers(disk, logPath) }
            default:
                // Nothing says that there was one more; what it held had been synced, but so it is with etcd.
                #expect(sample.contents.contains(Content(try replay(disk))))
            }
        }
    }

    @Test func segmentsOfAnotherLog() throws {
        let sample = try Sample()
        let other = try emptyDisk()
        var log = try WriteAheadLog.create(other, logPath, metadata: LogMetadata(member: 1, cluster: 1).encoded())
        try log.close()
        let foreign = Array(other.contents(firstSegment)![..<200])
        let error = #expect(throws: WALError.self) { try replay(try sample.disk(replacing: 1, by: foreign)) }
        guard case .corrupt(let file, 0, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(file.hasSuffix(sample.segments[1].name))
    }

    typealias Append = (state: HardState?, entries: [Entry])

    /// Well-formed records in an order that no Raft member writes: something else wrote them, or a type was damaged.
    static let impossible: [(String, [Append])] = [
        ("and 5 was committed", [(HardState(term: 1, vote: 1, commit: 5), entries(1...3, term: 1))]),
        ("goes back", [(HardState(term: 2, vote: 1, commit: 0), []), (HardState(term: 1, vote: 1, commit: 0), [])]),
        ("goes back", [(HardState(term: 1, commit: 2), entries(1...3, term: 1)), (HardState(term: 1, commit: 1), [])]),
        ("after an entry of term 3", [(HardState(term: 2), entries(1...1, term: 3))]),
        ("replaces a committed one", [(HardState(term: 1, commit: 2), entries(1...3, term: 1)), (nil, entries(2...2, term: 2))]),
        ("after one of term 2", [(nil, entries(1...1, term: 2)), (nil, entries(2...2, term: 1))]),
        ("where 2 should follow", [(nil, entries(1...1, term: 1)), (nil, entries(3...3, term: 1))]),
        ("at index 0", [(nil, [Entry(term: 1, index: 0)])]),
        ("of term 0", [(nil, [Entry(term: 0, index: 1)])]),
        ("without data", [(nil, [Entry(term: 1, index: 1, kind: .configurationChange)])]),
    ]

    @Test(arguments: impossible.indices) func impossibleHistories(_ number: Int) throws {
        let (reason, appends) = Self.impossible[number]
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        for append in appends { try log.append(append.state, append.entries, sync: true) }
        try log.close()
        let error = #expect(throws: WALError.self) { try replay(disk) }
        #expect(String(describing: error).contains(reason), "\(String(describing: error))")
    }

    /// The same entry may come twice, as after a restart, and below the commit index too.
    @Test func repeatedEntries() throws {
        let disk = try emptyDisk()
        var log = try WriteAheadLog.create(disk, logPath, metadata: metadata)
        try log.append(HardState(term: 1, commit: 3), entries(1...3, term: 1), sync: true)
        try log.append(nil, entries(2...3, term: 1), sync: true)
        try log.close()
        #expect(try replay(disk).entries == entries(1...3, term: 1))
    }

    enum Outcome: Equatable {
        case refused
        /// What was found is what the log held after this many records.
        case shortened(Int)
    }

    /// Those who only read never crash either, and change nothing.
    private func readOnly(_ disk: FaultyDisk) {
        let before = try? disk.list(logPath).map { disk.contents("\(logPath)/\($0)") }
        _ = try? WriteAheadLog.read(disk, logPath, from: SnapshotMarker())
        _ = try? WriteAheadLog.snapshotMarkers(disk, logPath)
        #expect(try! disk.list(logPath).map { disk.contents("\(logPath)/\($0)") } == before)
    }

    private func examine(_ disk: FaultyDisk, _ sample: Sample) throws -> Outcome {
        let content: Content
        do {
            content = Content(try replay(disk))
        } catch {
            guard case .corrupt(let file, _, _) = error, file.hasPrefix(logPath) else { throw error }
            return .refused
        }
        guard let position = sample.contents.lastIndex(of: content) else { throw NotAPrefix(content: content) }
        // Repaired once, the log stays as it is.
        #expect(Content(try replay(disk)) == content)
        return .shortened(position + 1)
    }

    struct NotAPrefix: Error {
        var content: Content
    }
}
