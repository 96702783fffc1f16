import Bytes
import HTTPTestKit
import NIOCore
import Testing

@testable import HTTP2

@Suite struct SessionTests {
    private func connect(
        _ sink: ScriptedSink, client: HTTP2TestClient = HTTP2TestClient(),
        _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> TestConnection {
        var configuration = ServerConfiguration()
        change(&configuration)
        return try TestConnection(configuration, client: client) { _ in ServerApplication(http2: sink, http1: nil) }
    }

    @Test func answersARequest() throws {
        let sink = ScriptedSink()
        var seen: [String] = []
        sink.ended = { stream in
            stream.head.forEach { name, value in
                seen.append("\(String(decoding: name, as: UTF8.self)): \(String(decoding: value, as: UTF8.self))")
            }
            stream.answer([1, 2, 3])
        }
        let connection = try connect(sink)
        let id = connection.client.request("GET", "/a", [("x-one", "1"), ("x-two", "")])
        connection.exchange()
        let response = try #require(connection.client.responses[id])
        #expect(response.status == "200")
        #expect(response.header("content-type") == "text/plain")
        #expect(response.body == [1, 2, 3])
        #expect(response.trailer("result") == "fine")
        #expect(response.closeCode == 0)
        #expect(seen == [":method: GET", ":scheme: http", ":authority: localhost", ":path: /a", "x-one: 1", "x-two: "])
        #expect(sink.closed.map(\.end) == [.finished])
    }

    /// Around the payload of one frame, the end of the body and the end of a frame fall together.
    @Test(arguments: [0, 1, 16_383, 16_384, 16_385, 32_768, 40_000], [false, true])
    func bodiesOfAnyLengthArriveWhole(length: Int, withTrailers: Bool) throws {
        let body = (0..<length).map { UInt8(truncatingIfNeeded: $0 * 7) }
        let sink = ScriptedSink()
        sink.ended = { stream in
            stream.begin(ScriptedSink.head)
            stream.write { $0.append(body) }
            if withTrailers { stream.end(trailers: [HTTPField("result", "fine")]) } else { stream.end() }
        }
        let connection = try connect(sink)
        let id = connection.client.request("GET", "/")
        connection.exchange()
        let response = try #require(connection.client.responses[id])
        #expect(response.body == body)
        #expect(response.ended)
        #expect(response.closeCode == 0)
        #expect(response.trailer("result") == (withTrailers ? "fine" : nil))
    }

    @Test func aResponseWithoutBodyIsOneFrame() throws {
        let sink = ScriptedSink()
        sink.ended = { stream in
            stream.begin([HTTPField(":status", "204"), HTTPField("x-note", "a\r\nb")])
            stream.end()
        }
        let connection = try connect(sink)
        let id = connection.client.request("GET", "/")
        connection.exchange()
        let response = try #require(connection.client.responses[id])
        #expect(response.status == "204")
        #expect(response.header("x-note") == "a  b")
        #expect(response.dataFrames == 0)
        #expect(response.ended)
    }

    @Test func aBodyInPiecesContinuesAfterEachFlush() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        sink.began = { $0.begin(ScriptedSink.head) }
        let connection = try connect(sink)
        let id = connection.client.request("GET", "/")
        connection.exchange()
        let stream = try #require(sink.streams[id])
        #expect(connection.client.responses[id]?.status == "200")
        for piece in 0..<3 {
            stream.write { $0.append(UInt8(piece)) }
            connection.exchange()
            #expect(connection.client.responses[id]?.body.count == piece + 1)
        }
        stream.end(trailers: ScriptedSink.trailers)
        connection.exchange()
        let response = try #require(connection.client.responses[id])
        #expect(response.body == [0, 1, 2])
        #expect(response.dataFrames == 3)
        #expect(response.trailer("result") == "fine")
        #expect(response.closeCode == 0)
    }

    @Test func aRequestBodyArrivesInOrder() throws {
        let sink = ScriptedSink()
        var received: [UInt8] = []
        sink.body = { stream, bytes in
            received += Array(bytes)
            stream.credit(bytes.count)
        }
        sink.ended = { $0.answer([]) }
        let connection = try connect(sink)
        let sent = (0..<(2 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        let id = connection.client.request("POST", "/", body: sent)
        connection.exchange()
        #expect(received == sent)
        #expect(connection.client.responses[id]?.closeCode == 0)
    }

    @Test func inputThatIsNotCreditedStopsTheClientAtTheWindow() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        sink.body = { _, _ in }
        let connection = try connect(sink) { $0.http2.streamWindow = 100_000 }
        connection.exchange()
        let id = connection.client.request("POST", "/", body: [UInt8](repeating: 1, count: 250_000))
        connection.exchange()
        #expect(connection.client.unsent(on: id) == 150_000)
        sink.streams[id]?.credit(100_000)
        connection.exchange()
        #expect(connection.client.unsent(on: id) == 50_000)
    }

    @Test func oneBurstOfRequestsIsAnsweredInOneWrite() throws {
        let sink = ScriptedSink.answering([1])
        var bursts = 0
        sink.readsCompleted = { bursts += 1 }
        let connection = try connect(sink)
        connection.exchange()
        let writesBefore = connection.count(.writes)
        bursts = 0
        let ids = (0..<200).map { _ in connection.client.request("GET", "/") }
        connection.send(connection.client.output())
        #expect(connection.count(.writes) - writesBefore == 1)
        #expect(bursts == 1)
        connection.exchange()
        #expect(ids.allSatisfy { connection.client.responses[$0]?.closeCode == 0 })
    }

    @Test func answersFromReadCompletedGoOutWithTheBurst() throws {
        let sink = ScriptedSink()
        var waiting: [HTTP2Stream] = []
        sink.ended = { waiting.append($0) }
        sink.readsCompleted = {
            for stream in waiting { stream.answer([9]) }
            waiting = []
        }
        let connection = try connect(sink)
        connection.exchange()
        let writesBefore = connection.count(.writes)
        let id = connection.client.request("GET", "/")
        connection.send(connection.client.output())
        #expect(connection.count(.writes) - writesBefore == 1)
        connection.client.receive(connection.takeOutput())
        #expect(connection.client.responses[id]?.body == [9])
    }

    @Test func laterAnswersGoOutOncePerTurnOfTheLoop() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        let connection = try connect(sink)
        let ids = (0..<10).map { _ in connection.client.request("GET", "/") }
        connection.exchange()
        let writesBefore = connection.count(.writes)
        for id in ids { sink.streams[id]?.answer([7]) }
        #expect(connection.count(.writes) == writesBefore)
        connection.channel.embeddedEventLoop.run()
        #expect(connection.count(.writes) == writesBefore + 1)
        connection.exchange()
        #expect(ids.allSatisfy { connection.client.responses[$0]?.body == [7] })
    }

    @Test func aThousandAnswersOnAHundredConnectionsAreAHundredWrites() throws {
        let sink = ScriptedSink()
        var waiting: [HTTP2Stream] = []
        sink.ended = { waiting.append($0) }
        let first = try connect(sink)
        let connections =
            try [first] + (1..<100).map { _ in try TestConnection(sharing: first, ServerApplication(http2: sink, http1: nil)) }
        let ids = connections.map { connection in (0..<10).map { _ in connection.client.request("GET", "/") } }
        for connection in connections { connection.exchange() }
        #expect(waiting.count == 1_000)
        let writes = first.count(.writes)
        for stream in waiting { stream.answer([7]) }
        first.channel.embeddedEventLoop.run()
        #expect(first.count(.writes) == writes + 100)
        for (connection, ids) in zip(connections, ids) {
            connection.exchange()
            #expect(ids.allSatisfy { connection.client.responses[$0]?.body == [7] })
        }
    }

    @Test func pendingAnswersCanBeFlushedAtOnce() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        let connection = try connect(sink)
        let id = connection.client.request("GET", "/")
        connection.exchange()
        let writesBefore = connection.count(.writes)
        sink.streams[id]?.answer([7])
        connection.loop.flushPending()
        #expect(connection.count(.writes) == writesBefore + 1)
        connection.channel.embeddedEventLoop.run()
        #expect(connection.count(.writes) == writesBefore + 1)
    }

    @Test func streamObjectsAreUsedAgain() throws {
        let sink = ScriptedSink.answering([1])
        let connection = try connect(sink)
        for _ in 0..<50 {
            _ = connection.client.request("GET", "/")
            connection.exchange()
        }
        #expect(sink.closed.count == 50)
        #expect(connection.count(.streamObjectsMade) == 1)
        #expect(connection.count(.streamsOpen) == 0)
    }

    @Test func aStreamThatSomebodyHoldsIsNotUsedAgain() throws {
        let sink = ScriptedSink.answering([1])
        sink.keepsStreams = true
        let connection = try connect(sink)
        let first = connection.client.request("GET", "/")
        connection.exchange()
        sink.ended = { _ in }
        let second = connection.client.request("GET", "/")
        connection.exchange()
        let stale = try #require(sink.streams[first])
        #expect(stale !== sink.streams[second])
        // A late answer to the first request must not reach the second.
        #expect(!stale.isOpen)
        stale.answer([6, 6, 6])
        stale.reset(2)
        connection.exchange()
        #expect(connection.client.responses[second]?.headers.isEmpty ?? true)
        #expect(sink.streams[second]?.isOpen == true)
    }

    // MARK: Ends

    @Test func theClientsResetClosesTheStreamOnce() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        let connection = try connect(sink)
        let id = connection.client.request("GET", "/")
        connection.exchange()
        connection.client.reset(id, HTTP2ErrorCode.cancel)
        connection.exchange()
        #expect(sink.closed.map(\.end) == [.reset(code: 8)])
        sink.streams[id]?.answer([1])
        connection.exchange()
        connection.lose()
        #expect(sink.closed.count == 1)
        #expect(connection.count(.streamsOpen) == 0)
    }

    @Test func aLostConnectionClosesItsStreamsOnce() throws {
        let sink = ScriptedSink()
        let connection = try connect(sink)
        for _ in 0..<5 { _ = connection.client.request("GET", "/") }
        connection.exchange()
        #expect(connection.count(.streamsOpen) == 5)
        connection.lose()
        #expect(sink.closed.map(\.end) == Array(repeating: .connectionLost, count: 5))
        #expect(Set(sink.closed.map(\.id)).count == 5)
        #expect(connection.loop.openConnections == 0)
    }

    @Test func theServersResetReachesTheClient() throws {
        let sink = ScriptedSink()
        sink.ended = { stream in
            stream.begin(ScriptedSink.head)
            stream.write { $0.append([1, 2]) }
            stream.reset(HTTP2ErrorCode.internalError)
            stream.answer([3])
        }
        let connection = try connect(sink)
        let id = connection.client.request("GET", "/")
        connection.exchange()
        #expect(connection.client.responses[id]?.closeCode == 2)
        #expect(connection.client.responses[id]?.body.isEmpty ?? true)
        #expect(sink.closed.map(\.end) == [.reset(code: 2)])
        #expect(connection.isOpen)
    }

    @Test func anAnswerBeforeTheEndOfTheRequestStopsTheRequest() throws {
        let sink = ScriptedSink()
        sink.began = { $0.answer([4]) }
        let connection = try connect(sink)
        let id = connection.client.request("POST", "/", body: [1], ends: false)
        connection.exchange()
        let response = try #require(connection.client.responses[id])
        #expect(response.body == [4])
        #expect(response.trailer("result") == "fine")
        #expect(response.closeCode == 0)
        #expect(sink.closed.map(\.end) == [.finished])
    }

    @Test func answeringTwiceIsWithoutEffect() throws {
        let sink = ScriptedSink()
        sink.ended = { stream in
            stream.answer([1])
            stream.answer([2])
        }
        let connection = try connect(sink)
        let id = connection.client.request("GET", "/")
        connection.exchange()
        #expect(connection.client.responses[id]?.body == [1])
        #expect(connection.client.responses[id]?.headers.count == 2)
    }

    @Test func requestTrailersEndTheRequest() throws {
        let sink = ScriptedSink.answering([5])
        let connection = try connect(sink)
        connection.exchange()
        let id = connection.client.request("POST", "/", body: [1], ends: false)
        connection.exchange()
        // HEADERS with END_STREAM and END_HEADERS: one literal field "a: b".
        let block: [UInt8] = [0x00, 0x01, 0x61, 0x01, 0x62]
        connection.send([0, 0, UInt8(block.count), 0x1, 0x5, 0, 0, 0, UInt8(id)] + block)
        connection.exchange()
        #expect(connection.client.responses[id]?.body == [5])
    }
}
