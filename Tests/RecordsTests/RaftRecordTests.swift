import Bytes
import Host
import Raft
import Records
import Testing

/// Bytes here follow from the field numbers in raft.proto and gogo-protobuf's rule that non-nullable scalars are always written.
@Suite struct RaftRecordTests {
    @Test func entry() throws {
        try expect(Entry(term: 2, index: 300), [0x08, 0, 0x10, 2, 0x18, 0xac, 0x02])
        let change = Entry(term: 1, index: 1, kind: .configurationChange, data: [9, 8])
        try expect(change, [0x08, 1, 0x10, 1, 0x18, 1, 0x22, 2, 9, 8])
        for entry in [change, Entry(term: .max, index: .max, data: [UInt8](repeating: 1, count: 300))] {
            #expect(entry.encodedLength == entry.encoded().count)
        }
        #expect(throws: DecodeError.invalid("entry kind 3")) { try Entry(decoding: [0x08, 3]) }
    }

    @Test func hardState() throws {
        try expect(HardState(term: 1, vote: 0, commit: 1), [0x08, 1, 0x10, 0, 0x18, 1])
        try expect(HardState(), [0x08, 0, 0x10, 0, 0x18, 0])
    }

    @Test func confState() throws {
        try expect(ConfState(), [0x28, 0])
        let joint = ConfState(voters: [1, 2], learners: [3], votersOutgoing: [4, 5], learnersNext: [6], autoLeave: true)
        try expect(joint, [0x08, 1, 0x08, 2, 0x10, 3, 0x18, 4, 0x18, 5, 0x20, 6, 0x28, 1])
        #expect(try ConfState(decoding: [0x0a, 2, 1, 2]) == ConfState(voters: [1, 2]))
    }

    @Test func snapshot() throws {
        try expect(Snapshot(), [0x12, 8, 0x0a, 2, 0x28, 0, 0x10, 0, 0x18, 0])
        let snapshot = Snapshot(index: 5, term: 2, confState: ConfState(voters: [7]), data: [1, 2, 3])
        try expect(snapshot, [0x0a, 3, 1, 2, 3, 0x12, 10, 0x0a, 4, 0x08, 7, 0x28, 0, 0x10, 5, 0x18, 2])
    }

    @Test func message() throws {
        let message = Message(
            kind: .append, to: 1, from: 2, term: 3, logTerm: 3, index: 4, entries: [Entry(term: 3, index: 5, data: [6])],
            commit: 4)
        let head: [UInt8] = [0x08, 3, 0x10, 1, 0x18, 2, 0x20, 3, 0x28, 3, 0x30, 4]
        let entry: [UInt8] = [0x3a, 9, 0x08, 0, 0x10, 3, 0x18, 5, 0x22, 1, 6]
        let noSnapshot: [UInt8] = [0x4a, 10, 0x12, 8, 0x0a, 2, 0x28, 0, 0x10, 0, 0x18, 0]
        try expect(message, head + entry + [0x40, 4] + noSnapshot + [0x50, 0, 0x58, 0])
        let refusal = Message(kind: .appendResponse, to: 2, from: 1, term: 3, index: 4, reject: true, rejectHint: 1, context: [7])
        try roundTrip(refusal)
        try roundTrip(Message(kind: .snapshot, to: 2, snapshot: Snapshot(index: 9, term: 1, data: [1])))
        try roundTrip(Message(kind: .snapshot, snapshot: Snapshot()))
    }

    @Test func messageOfRaftThreeSix() throws {
        // No snapshot, a vote (13) and responses (14).
        let bytes: [UInt8] = [0x08, 8, 0x10, 1, 0x18, 2, 0x20, 3, 0x40, 4, 0x50, 0, 0x58, 0, 0x68, 5, 0x72, 2, 0x08, 0]
        #expect(try Message(decoding: bytes) == Message(kind: .heartbeat, to: 1, from: 2, term: 3, commit: 4))
    }

    @Test(arguments: [0, 1, 12, 19, -1]) func messagesThatNeverTravel(_ kind: Int) {
        var writer = ByteWriter()
        writer.required(1, UInt64(bitPattern: Int64(kind)))
        let bytes = writer.array()
        #expect(throws: DecodeError.invalid("message kind \(kind)")) { try Message(decoding: bytes) }
    }

    @Test func logRecords() throws {
        try expect(SnapshotMarker(), [0x08, 0, 0x10, 0])
        try expect(SnapshotMarker(index: 5, term: 2, confState: ConfState(voters: [1])), [8, 5, 16, 2, 0x1a, 4, 8, 1, 0x28, 0])
        try expect(LogMetadata(member: 1, cluster: 300), [0x08, 1, 0x10, 0xac, 2])
        try expect(SnapshotEnvelope(checksum: 300, data: [1]), [0x08, 0xac, 2, 0x12, 1, 1])
    }

    @Test func logRecordTakesOneShapeOnly() throws {
        let record: [UInt8] = [0x08, 2, 0x10, 0xac, 0x02, 0x1a, 2, 7, 8]
        try record.withUnsafeBytes { bytes in
            let decoded = try LogRecord(decoding: bytes)
            #expect(decoded.kind == .entry && decoded.checksum == 300 && [UInt8](decoded.data) == [7, 8] && decoded.length == 9)
        }
        let others: [[UInt8]] = [
            [0x10, 1, 0x08, 2, 0x1a, 0], [0x08, 6, 0x10, 1, 0x1a, 0], [0x08, 0x82, 0x00, 0x10, 1, 0x1a, 0],
            [0x08, 2, 0x10, 0x80, 0x80, 0x80, 0x80, 0x10, 0x1a, 0], [0x08, 2, 0x10, 1], [0x08, 2, 0x10, 1, 0x22, 0],
        ]
        for bytes in others {
            #expect(throws: DecodeError.self) { try bytes.withUnsafeBytes { _ = try LogRecord(decoding: $0) } }
        }
        // Cut short, the record still says how long it would be.
        let extent = try Array(record[..<7]).withUnsafeBytes { try LogRecord.extent(startingWith: $0) }
        #expect(extent == (9, 7))
    }

    @Test func requestsOfTheSecondAPI() throws {
        let request = V2Request(id: 1, method: "PUT", path: "/0/version", value: Array("3.5.0".utf8))
        let head: [UInt8] = [0x08, 1, 0x12, 3] + Array("PUT".utf8) + [0x1a, 10] + Array("/0/version".utf8)
        let tail: [UInt8] = [
            0x28, 0, 0x32, 0, 0x38, 0, 0x48, 0, 0x50, 0, 0x58, 0, 0x60, 0, 0x68, 0, 0x70, 0, 0x78, 0, 0x80, 1, 0,
        ]
        try expect(request, head + [0x22, 5] + Array("3.5.0".utf8) + tail)
        #expect(try V2Request(decoding: head + [0x40, 0]).isConditional)
        #expect(try V2Request(decoding: head + [0x38, 4]).isConditional)
        #expect(try V2Request(decoding: head + [0x32, 1, 0x61]).isConditional)
    }

    @Test func decodersAreTotal() {
        let seed: UInt64 = 20_251_121
        var random = SeededRandom(seed: seed)
        let samples: [[UInt8]] = [
            Entry(term: 1, index: 2, data: [1, 2, 3]).encoded(),
            Message(kind: .snapshot, entries: [Entry(term: 1, index: 2)], snapshot: Snapshot(index: 1), context: [1]).encoded(),
            SnapshotMarker(index: 1, term: 1, confState: ConfState(voters: [1])).encoded(),
            V2Request(id: 1, method: "PUT", path: "/", value: [1]).encoded(),
        ]
        var decoded = 0
        for round in 0..<20_000 {
            var bytes = samples[round % samples.count]
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            bytes.removeLast(Int.random(in: 0...2, using: &random))
            decoded += decodeAll(bytes)
        }
        #expect(decoded > 0, "seed \(seed)")
    }

    /// How many decoders took the bytes; that none crashes is the point.
    private func decodeAll(_ bytes: [UInt8]) -> Int {
        let attempts: [Bool] = [
            (try? Entry(decoding: bytes)) != nil, (try? HardState(decoding: bytes)) != nil,
            (try? ConfState(decoding: bytes)) != nil, (try? Snapshot(decoding: bytes)) != nil,
            (try? Message(decoding: bytes)) != nil, (try? SnapshotMarker(decoding: bytes)) != nil,
            (try? LogMetadata(decoding: bytes)) != nil, (try? SnapshotEnvelope(decoding: bytes)) != nil,
            (try? V2Request(decoding: bytes)) != nil,
            (try? bytes.withUnsafeBytes { try LogRecord(decoding: $0).length }) != nil,
        ]
        return attempts.count { $0 }
    }

    private func expect<Record: WireRecord & Equatable>(_ record: Record, _ bytes: [UInt8]) throws {
        #expect(record.encoded() == bytes)
        #expect(try Record(decoding: bytes) == record)
        for length in 0..<bytes.count { _ = try? Record(decoding: Array(bytes[..<length])) }
        // Fields from a later version are passed over: a varint, a fixed64, bytes and a fixed32.
        let unknown: [UInt8] = [0xf8, 0x3f, 1, 0xf9, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8, 0xfa, 0x3f, 1, 1, 0xfd, 0x3f, 1, 2, 3, 4]
        #expect(try Record(decoding: bytes + unknown) == record)
    }

    private func roundTrip<Record: WireRecord & Equatable>(_ record: Record) throws {
        #expect(try Record(decoding: record.encoded()) == record)
    }
}
