import Bytes
import Host
import Raft
import Records
import Testing

@testable import PeerTransport

@Suite struct StreamCodecTests {
    static let leader: MemberID = 0x510a_b5a9_4574_8929
    static let follower: MemberID = 0x3016_7845_879b_00c6

    // MARK: Real bytes

    /// What etcd wrote, decoded frame by frame and written again, gives the same bytes.
    @Test(arguments: [
        ("append-stream.http", StreamKind.append, leader, follower), ("message-stream.http", .message, follower, leader),
        ("message-stream-of-leader.http", .message, leader, follower),
    ])
    func rewritesWhatEtcdWrote(_ name: String, _ kind: StreamKind, _ from: MemberID, _ to: MemberID) throws {
        let body = Fixture.body(name)
        var decoder = StreamDecoder(kind, local: Self.follower, remote: Self.leader)
        var encoder = StreamEncoder(kind)
        var writer = ByteWriter()
        var position = 0
        var messages: [Message] = []
        while position < body.count {
            let (frame, used) = try oneFrame(&decoder, body[position...])
            for message in frame { encoder.encode(message, to: &writer) }
            if frame.isEmpty { encoder.encodeLinkHeartbeat(to: &writer) }
            messages += frame
            position += used
        }
        #expect(writer.array() == body)
        #expect(!messages.isEmpty)
        #expect(messages.filter { !$0.entries.isEmpty }.allSatisfy { $0.from == from && $0.to == to })
        if kind == .append {
            #expect(messages.allSatisfy { $0.kind == .append })
            let entries = messages.flatMap(\.entries)
            #expect(zip(entries, entries.dropFirst()).allSatisfy { $0.index + 1 == $1.index })
            #expect(messages.last?.commit == entries.last?.index)
        }
    }

    /// The fewest bytes that are a frame.
    private func oneFrame(_ decoder: inout StreamDecoder, _ bytes: ArraySlice<UInt8>) throws -> ([Message], Int) {
        for count in 1...bytes.count {
            var copy = decoder
            let (messages, used) = try copy.decode(Array(bytes.prefix(count)))
            guard used > 0 else { continue }
            decoder = copy
            return (messages, used)
        }
        throw StreamError.malformed(.invalid("the capture ends within a frame"))
    }

    @Test func etcdsStreamRequestIsTaken() throws {
        let request = String(decoding: Fixture.read("stream-request.http"), as: UTF8.self)
        #expect(request.hasPrefix("GET /raft/stream/\(StreamKind.append.pathComponent)/510ab5a945748929 HTTP/1.1\r\n"))
        // What we send has the same fields.
        let settings = PeerSettings(
            localID: Self.leader, clusterID: 0x69c7_b582_e2db_c6fa, advertisedURLs: ["http://127.0.0.1:23203"],
            serverVersion: ClusterVersion(3, 5, 30))
        let theirs = request.lowercased().split(separator: "\r\n")
        for field in settings.requestFields { #expect(theirs.contains("\(field.name.lowercased()): \(field.value)")) }
    }

    // MARK: Round trips

    static func append(_ index: LogIndex, term: Term = 3, logTerm: Term = 3, _ sizes: [Int], commit: LogIndex = 1) -> Message {
        let entries = sizes.enumerated().map { offset, size in
            Entry(term: term, index: index + UInt64(offset) + 1, data: [UInt8](repeating: UInt8(offset), count: size))
        }
        return Message(
            kind: .append, to: 2, from: 1, term: term, logTerm: logTerm, index: index, entries: entries, commit: commit)
    }

    static let conversation = [
        append(10, logTerm: 2, [4, 0]), append(12, [300], commit: 11), append(13, [], commit: 13),
        append(13, [1, 2, 3], commit: 13),
        // A step back, another term, and on from there.
        append(12, [7], commit: 13), append(13, [70_000], commit: 13), append(14, term: 4, logTerm: 3, [2], commit: 14),
        append(15, term: 4, logTerm: 4, [2], commit: 15),
    ]

    private func encoded(_ kind: StreamKind, _ messages: [Message], heartbeats: Bool = false) -> [UInt8] {
        var encoder = StreamEncoder(kind)
        var writer = ByteWriter()
        for message in messages {
            encoder.encode(message, to: &writer)
            if heartbeats { encoder.encodeLinkHeartbeat(to: &writer) }
        }
        return writer.array()
    }

    @Test(arguments: StreamKind.allCases) func conversationsArriveInPieces(_ kind: StreamKind) throws {
        let bytes = encoded(kind, Self.conversation, heartbeats: true)
        for size in [1, 2, 7, 100, 4_096, bytes.count] {
            var decoder = StreamDecoder(kind, local: 2, remote: 1)
            var messages: [Message] = []
            var kept: [UInt8] = []
            var position = 0
            while position < bytes.count {
                // Small pieces of a long entry tell nothing new.
                let piece = size < 100 && kept.count > 200 && bytes.count - position > 70_000 ? 60_000 : size
                kept += bytes[position..<min(position + piece, bytes.count)]
                position += piece
                let (more, used) = try decoder.decode(kept)
                messages += more
                kept.removeFirst(used)
            }
            #expect(kept.isEmpty)
            #expect(messages == Self.conversation, "pieces of \(size)")
        }
    }

    @Test func regularAppendsAreShort() throws {
        let first = encoded(.append, [Self.append(5, [10])])
        let both = encoded(.append, [Self.append(5, [10]), Self.append(6, [10], commit: 9)])
        #expect(first.first == 2)
        #expect(both[first.count] == 1)
        #expect(both.count - first.count == 1 + 8 + 8 + Self.append(6, [10]).entries[0].encodedLength + 8)
    }

    // MARK: Damage

    @Test(arguments: StreamKind.allCases) func everyTruncationWaits(_ kind: StreamKind) throws {
        let messages = [Self.append(1, logTerm: 2, [3, 5]), Self.append(3, [2])]
        let bytes = encoded(kind, messages)
        let boundary = encoded(kind, [messages[0]]).count
        for count in 0..<bytes.count {
            var decoder = StreamDecoder(kind, local: 2, remote: 1)
            let (taken, used) = try decoder.decode(Array(bytes[..<count]))
            #expect(used == (count < boundary ? 0 : boundary))
            #expect(taken == (count < boundary ? [] : [messages[0]]))
        }
    }

    @Test(arguments: StreamKind.allCases) func anyBytesGiveMessagesOrAnError(_ kind: StreamKind) {
        let seed: UInt64 = 20_261_121
        print("seed \(seed)")
        var random = SeededRandom(seed: seed)
        let good = encoded(kind, [Self.append(1, logTerm: 2, [3, 5]), Self.append(3, [2])], heartbeats: true)
        for _ in 0..<4_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            var decoder = StreamDecoder(kind, local: 2, remote: 1, limit: 1 << 20)
            if let (_, used) = try? decoder.decode(bytes) { #expect(used <= bytes.count) }
        }
    }

    @Test func whatIsTooLongIsRefusedBeforeItArrives() {
        let length: [UInt8] = [0, 0, 0, 1, 0, 0, 0, 0]
        var message = StreamDecoder(.message, local: 2, remote: 1)
        #expect(throws: StreamError.tooLong(1 << 32)) { try message.decode(length) }
        var append = StreamDecoder(.append, local: 2, remote: 1)
        #expect(throws: StreamError.tooLong(1 << 32)) { try append.decode([2] + length) }
        var entry = StreamDecoder(.append, local: 2, remote: 1)
        #expect(throws: StreamError.tooLong(1 << 32)) { try entry.decode([1] + [0, 0, 0, 0, 0, 0, 0, 1] + length) }
        var many = StreamDecoder(.append, local: 2, remote: 1, limit: 1_000)
        #expect(throws: StreamError.self) {
            try many.decode([1] + [UInt8](repeating: 255, count: 8) + [UInt8](repeating: 0, count: 4_000))
        }
        var unknown = StreamDecoder(.append, local: 2, remote: 1)
        #expect(throws: StreamError.unknownFrame(9)) { try unknown.decode([9]) }
    }
}
