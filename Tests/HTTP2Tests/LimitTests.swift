import CNGHTTP2
import HTTPTestKit
import NIOCore
import Testing

@testable import HTTP2

@Suite struct LimitTests {
    private func connect(
        _ sink: ScriptedSink, client: HTTP2TestClient = HTTP2TestClient(),
        _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> TestConnection {
        var configuration = ServerConfiguration()
        change(&configuration)
        return try TestConnection(configuration, client: client) { _ in ServerApplication(http2: sink, http1: nil) }
    }

    /// The client is told to go, and the connection is closed once it had time to read that.
    private func expectCalmDown(_ connection: TestConnection, _ text: String, _ counter: ServerCounter) {
        _ = connection.takeOutput()
        let sent = goAway(in: connection.rawOutput)
        #expect(sent?.code == HTTP2ErrorCode.enhanceYourCalm)
        #expect(sent?.debugText == text)
        #expect(connection.count(counter) == 1)
        connection.advance(by: .seconds(2))
        #expect(!connection.isOpen)
    }

    // MARK: Streams and headers

    @Test func limitsAreAnnounced() throws {
        let connection = try connect(ScriptedSink()) {
            $0.http2.maximumConcurrentStreams = 77
            $0.http2.maximumHeaderListBytes = 5_000
            $0.http2.streamWindow = 123_456
        }
        connection.exchange()
        #expect(connection.client.serverSettings[Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue)] == 77)
        #expect(connection.client.serverSettings[Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue)] == 5_000)
        #expect(connection.client.serverSettings[Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue)] == 123_456)
    }

    @Test func streamsPastTheLimitAreRefused() throws {
        let sink = ScriptedSink()
        let connection = try connect(sink) { $0.http2.maximumConcurrentStreams = 3 }
        // The client has not seen the limit yet.
        let ids = (0..<5).map { _ in connection.client.request("GET", "/") }
        connection.exchange()
        #expect(ids.map { connection.client.responses[$0]?.closeCode } == [nil, nil, nil, 7, 7])
        #expect(connection.isOpen)
        #expect(connection.count(.streamsOpened) == 3)
    }

    @Test func aHeaderListPastTheLimitResetsItsStreamOnly() throws {
        let sink = ScriptedSink.answering([1])
        var began = 0
        sink.began = { _ in began += 1 }
        let connection = try connect(sink) { $0.http2.maximumHeaderListBytes = 4_096 }
        let large = connection.client.request("GET", "/", (0..<60).map { ("x-field-\($0)", String(repeating: "v", count: 40)) })
        let small = connection.client.request("GET", "/")
        connection.exchange()
        #expect(connection.client.responses[large]?.closeCode == HTTP2ErrorCode.frameSizeError)
        #expect(connection.client.responses[small]?.body == [1])
        #expect(began == 1)
        #expect(connection.count(.headerListsTooLarge) == 1)
    }

    @Test func aHeaderBombEndsTheConnection() throws {
        let connection = try connect(ScriptedSink())
        // CONTINUATION frames without end.
        connection.send(clientPreface + frame(FrameType.headers, stream: 1, getHeaderBlock))
        for _ in 0..<64 where connection.isOpen {
            connection.send(frame(FrameType.continuation, stream: 1, [UInt8](repeating: 0x84, count: 1_000)))
        }
        connection.advance(by: .seconds(2))
        #expect(!connection.isOpen)
        #expect(connection.count(.streamsOpen) == 0)
    }

    @Test func anOversizedFrameEndsTheConnection() throws {
        let connection = try connect(ScriptedSink())
        connection.send(clientPreface + frame(FrameType.data, stream: 1, [UInt8](repeating: 0, count: 20_000)))
        connection.client.receive(connection.takeOutput())
        #expect(connection.client.goAways.first?.code == HTTP2ErrorCode.frameSizeError)
        connection.advance(by: .seconds(2))
        #expect(!connection.isOpen)
    }

    // MARK: Floods

    @Test func rapidResetEndsTheConnection() throws {
        let connection = try connect(ScriptedSink()) {
            $0.http2.resetBurst = 20
            $0.http2.resetsPerSecond = 10
        }
        connection.exchange()
        for index in 0..<21 {
            #expect(connection.client.goAways.isEmpty, "ended after \(index) resets")
            let id = connection.client.request("GET", "/")
            connection.send(connection.client.output())
            connection.client.reset(id)
            connection.send(connection.client.output())
            connection.client.receive(connection.takeOutput())
        }
        expectCalmDown(connection, "too many stream resets", .rapidResets)
    }

    @Test func resetsWithinTheRateAreFine() throws {
        let connection = try connect(ScriptedSink()) {
            $0.http2.resetBurst = 5
            $0.http2.resetsPerSecond = 10
        }
        for _ in 0..<50 {
            let id = connection.client.request("GET", "/")
            connection.exchange()
            connection.client.reset(id)
            connection.exchange()
            connection.advance(by: .milliseconds(100))
        }
        #expect(connection.isOpen)
        #expect(connection.client.goAways.isEmpty)
    }

    /// The client never resets; it makes the server do it.
    @Test func resetsProvokedFromTheServerCountToo() throws {
        let connection = try connect(ScriptedSink()) {
            $0.http2.resetBurst = 10
            $0.http2.resetsPerSecond = 1
        }
        connection.send(clientPreface)
        for index in 0..<12 {
            let id = UInt32(2 * index + 1)
            // A window past 2^31 - 1 is a stream error.
            connection.send(
                frame(FrameType.headers, flags: 4, stream: id, getHeaderBlock)
                    + frame(FrameType.windowUpdate, stream: id, [0x7f, 0xff, 0xff, 0xff]))
        }
        expectCalmDown(connection, "too many stream resets", .rapidResets)
    }

    /// Refused streams leave nothing behind but the resets that wait to be sent, which a client that does not read could pile up.
    @Test func refusedStreamsCountAsTheyArrive() throws {
        let connection = try connect(ScriptedSink()) {
            $0.http2.maximumConcurrentStreams = 1
            $0.http2.resetBurst = 30
            $0.http2.resetsPerSecond = 1
        }
        connection.send(clientPreface)
        connection.channel.isWritable = false
        for index in 0..<40 {
            connection.send(frame(FrameType.headers, flags: 4, stream: UInt32(2 * index + 1), getHeaderBlock))
        }
        #expect(connection.count(.rapidResets) == 1)
        connection.advance(by: .seconds(2))
        #expect(!connection.isOpen)
    }

    /// A client that does not read, and opens and resets streams as fast as it may, does not make the server keep them.
    @Test(arguments: [false, true])
    func closedStreamsAreNotKept(answered: Bool) throws {
        let sink = ScriptedSink()
        final class Weak { weak var stream: HTTP2Stream? }
        var seen: [Weak] = []
        sink.ended = { stream in
            let reference = Weak()
            reference.stream = stream
            seen.append(reference)
            if answered { stream.answer([1]) } else { stream.holdInput() }
        }
        let connection = try connect(sink) { $0.http2.resetBurst = 100_000 }
        connection.send(clientPreface)
        connection.channel.isWritable = false
        for index in 0..<5_000 {
            let id = UInt32(2 * index + 1)
            connection.send(
                frame(FrameType.headers, flags: 5, stream: id, getHeaderBlock)
                    + frame(FrameType.reset, stream: id, [0, 0, 0, 8]))
        }
        #expect(sink.closed.count == 5_000)
        #expect(Set(seen.compactMap { $0.stream.map { ObjectIdentifier($0) } }).count <= 300)
    }

    @Test func settingsFloodEndsTheConnection() throws {
        let connection = try connect(ScriptedSink()) { $0.http2.controlFrameBurst = 50 }
        connection.exchange()
        for _ in 0..<60 { connection.send(frame(FrameType.settings)) }
        expectCalmDown(connection, "too many control frames", .controlFloods)
    }

    @Test func emptyDataFramesEndTheConnection() throws {
        let connection = try connect(ScriptedSink()) { $0.http2.controlFrameBurst = 50 }
        _ = connection.client.request("POST", "/", body: [], ends: false)
        connection.exchange()
        for _ in 0..<60 { connection.send(frame(FrameType.data, stream: 1)) }
        expectCalmDown(connection, "too many control frames", .controlFloods)
    }

    // MARK: Pings

    @Test func tooManyPingsEndTheConnection() throws {
        let connection = try connect(ScriptedSink())
        _ = connection.client.request("GET", "/")
        connection.exchange()
        for index in 0..<4 {
            #expect(connection.client.goAways.isEmpty, "ended at ping \(index)")
            connection.client.ping()
            connection.send(connection.client.output())
            connection.client.receive(connection.takeOutput())
            connection.advance(by: .seconds(1))
        }
        #expect(connection.client.goAways.first?.debugText == "too_many_pings")
        #expect(connection.client.goAways.first?.code == HTTP2ErrorCode.enhanceYourCalm)
        #expect(connection.count(.tooManyPings) == 1)
        connection.advance(by: .seconds(2))
        #expect(!connection.isOpen)
    }

    @Test func pingsBetweenAnswersAreForgiven() throws {
        let connection = try connect(ScriptedSink.answering([1]))
        for _ in 0..<10 {
            _ = connection.client.request("GET", "/")
            connection.exchange()
            connection.client.ping()
            connection.exchange()
        }
        #expect(connection.client.pingsAnswered == 10)
        #expect(connection.client.goAways.isEmpty)
    }

    @Test func pingsAtTheAllowedPaceAreAnswered() throws {
        let connection = try connect(ScriptedSink())
        _ = connection.client.request("GET", "/")
        connection.exchange()
        for _ in 0..<10 {
            connection.client.ping()
            connection.exchange()
            connection.advance(by: .seconds(5))
        }
        #expect(connection.client.pingsAnswered == 10)
        #expect(connection.client.goAways.isEmpty)
    }

    // MARK: Keepalive

    @Test func aSilentConnectionIsPingedAndThenGivenUp() throws {
        let connection = try connect(ScriptedSink()) {
            $0.http2.keepalive.pingAfterIdle = .seconds(60)
            $0.http2.keepalive.pingTimeout = .seconds(20)
        }
        connection.exchange()
        connection.advance(by: .seconds(61))
        connection.exchange()
        #expect(connection.client.pingsReceived == 1)
        // That ping was answered; the next one is not.
        connection.advance(by: .seconds(85))
        connection.client.receive(connection.takeOutput())
        #expect(connection.client.pingsReceived == 2)
        #expect(!connection.isOpen)
        #expect(connection.count(.keepaliveTimeouts) == 1)
    }

    // MARK: Half-open connections

    @Test func aConnectionThatSendsNothingIsClosed() throws {
        let connection = try connect(ScriptedSink()) { $0.prefaceTimeout = .seconds(10) }
        connection.advance(by: .seconds(9))
        #expect(connection.isOpen)
        connection.advance(by: .seconds(1))
        #expect(!connection.isOpen)
        #expect(connection.count(.prefaceTimeouts) == 1)
    }

    @Test func aPrefaceWithoutSettingsIsClosed() throws {
        let connection = try connect(ScriptedSink())
        connection.send(Array(clientPreface.prefix(24)))
        connection.advance(by: .seconds(11))
        #expect(!connection.isOpen)
        #expect(connection.count(.prefaceTimeouts) == 1)
    }

    @Test func aHeaderBlockThatNeverEndsIsClosed() throws {
        let connection = try connect(ScriptedSink()) { $0.headerTimeout = .seconds(3) }
        connection.send(clientPreface + frame(FrameType.headers, stream: 1, Array(getHeaderBlock.prefix(2))))
        connection.advance(by: .seconds(2))
        connection.send(frame(FrameType.continuation, stream: 1, [getHeaderBlock[2]]))
        #expect(connection.isOpen)
        connection.advance(by: .seconds(1))
        #expect(!connection.isOpen)
        #expect(connection.count(.headerTimeouts) == 1)
    }

    @Test func aHeaderBlockThatEndsInTimeIsNot() throws {
        let connection = try connect(ScriptedSink.answering([1])) { $0.headerTimeout = .seconds(3) }
        connection.send(clientPreface + frame(FrameType.headers, flags: 1, stream: 1, Array(getHeaderBlock.prefix(2))))
        connection.advance(by: .seconds(2))
        connection.send(frame(FrameType.continuation, flags: 4, stream: 1, Array(getHeaderBlock.suffix(4))))
        connection.advance(by: .seconds(30))
        #expect(connection.isOpen)
        #expect(connection.count(.streamsOpened) == 1)
    }

    /// A second `:scheme` ends the stream, not the block.
    @Test(arguments: [false, true])
    func aHeaderBlockIsTimedBeyondTheEndOfItsStream(endsInTime: Bool) throws {
        let connection = try connect(ScriptedSink()) { $0.headerTimeout = .seconds(3) }
        connection.send(clientPreface + frame(FrameType.headers, stream: 1, [0x82, 0x86, 0x86]))
        connection.advance(by: .seconds(2))
        #expect(connection.count(.streamsReset) == 1)
        connection.send(frame(FrameType.continuation, flags: endsInTime ? 4 : 0, stream: 1, [0x86]))
        if endsInTime { connection.send(frame(FrameType.ping, [UInt8](repeating: 0, count: 8))) }
        #expect(connection.isOpen)
        connection.advance(by: .seconds(2))
        #expect(connection.isOpen == endsInTime)
        #expect(connection.count(.headerTimeouts) == (endsInTime ? 0 : 1))
    }

    // MARK: Garbage

    @Test func garbageIsClosedAndCounted() throws {
        for bytes: [UInt8] in [[0x16, 0x03, 0x01, 0x02], [0], Array("get / HTTP/1.1".utf8)] {
            let connection = try connect(ScriptedSink())
            connection.send(bytes)
            #expect(!connection.isOpen)
            #expect(connection.count(.garbageConnections) == 1)
        }
    }

    @Test func aRequestThatIsMalformedResetsItsStream() throws {
        let sink = ScriptedSink.answering([1])
        let connection = try connect(sink)
        // No :path, which RFC 9113, section 8.3.1 demands.
        connection.send(clientPreface + frame(FrameType.headers, flags: 5, stream: 1, [0x82, 0x86]))
        #expect(connection.isOpen)
        #expect(sink.closed.isEmpty)
        #expect(connection.count(.streamsOpen) == 0)
    }

    /// Whatever arrives after the preface, nothing crashes and nothing is left behind.
    @Test(arguments: 0..<60)
    func anyBytesAreSurvived(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let sink = ScriptedSink.answering([UInt8](repeating: 1, count: 3_000))
        let connection = try connect(sink)
        var began = 0
        sink.began = { _ in began += 1 }
        connection.send(clientPreface)
        for _ in 0..<200 where connection.isOpen {
            let type = UInt8(random.next() % 11)
            let stream = UInt32(random.next() % 40)
            let length = Int(random.next() % 40)
            var payload = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            if type == FrameType.headers, random.next() % 2 == 0 { payload = getHeaderBlock }
            var bytes = frame(type, flags: UInt8(truncatingIfNeeded: random.next()), stream: stream, payload)
            if random.next() % 50 == 0 { bytes[Int(random.next() % 9)] ^= UInt8(truncatingIfNeeded: random.next()) }
            connection.send(bytes)
        }
        _ = connection.takeOutput()
        connection.lose()
        #expect(connection.count(.streamsOpen) == 0, "seed \(seed)")
        #expect(sink.closed.count == began, "seed \(seed)")
        #expect(connection.loop.openConnections == 0, "seed \(seed)")
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): small, and the same everywhere.
struct SplitMix {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
