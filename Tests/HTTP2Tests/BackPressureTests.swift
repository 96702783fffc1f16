import HTTPTestKit
import NIOCore
import Testing

@testable import HTTP2

@Suite struct BackPressureTests {
    private func connect(
        _ sink: ScriptedSink, client: HTTP2TestClient = HTTP2TestClient(),
        _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> TestConnection {
        var configuration = ServerConfiguration()
        change(&configuration)
        return try TestConnection(configuration, client: client) { _ in ServerApplication(http2: sink, http1: nil) }
    }

    @Test func outputWaitsForTheClientsWindow() throws {
        let sink = ScriptedSink.answering([UInt8](repeating: 3, count: 50_000))
        sink.keepsStreams = true
        let connection = try connect(sink, client: HTTP2TestClient(window: 10_000, readsFreely: false))
        let id = connection.client.request("GET", "/")
        connection.exchange()
        #expect(connection.client.responses[id]?.body.count == 10_000)
        #expect(sink.streams[id]?.queuedBytes == 40_000)
        for round in 2...5 {
            connection.client.consume(10_000, on: id)
            connection.exchange()
            #expect(connection.client.responses[id]?.body.count == round * 10_000)
        }
        #expect(connection.client.responses[id]?.trailer("result") == "fine")
        #expect(sink.closed.map(\.end) == [.finished])
    }

    @Test func aWriterIsToldWhenThereIsRoomAgain() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        sink.began = { $0.begin(ScriptedSink.head) }
        var drained = 0
        sink.drained = { _ in drained += 1 }
        let connection = try connect(sink, client: HTTP2TestClient(window: 1_000, readsFreely: false)) {
            $0.http2.streamOutputHigh = 5_000
            $0.http2.streamOutputLow = 2_000
        }
        let id = connection.client.request("GET", "/")
        connection.exchange()
        let stream = try #require(sink.streams[id])
        stream.write { $0.append(repeating: 1, count: 4_999) }
        #expect(stream.isWritable)
        stream.write { $0.append(1) }
        #expect(!stream.isWritable)
        // What is written all the same is kept.
        stream.write { $0.append(repeating: 2, count: 1_000) }
        connection.exchange()
        #expect(stream.queuedBytes == 5_000)
        for _ in 0..<3 {
            #expect(drained == 0)
            connection.client.consume(1_000, on: id)
            connection.exchange()
        }
        #expect(stream.queuedBytes == 2_000)
        #expect(drained == 1)
        #expect(stream.isWritable)
    }

    @Test func aWriterMayGoOnFromWithinTheCall() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        var pieces = 0
        func fill(_ stream: HTTP2Stream) {
            while stream.isWritable, pieces < 100 {
                stream.write { $0.append(repeating: UInt8(pieces), count: 3_000) }
                pieces += 1
            }
            if pieces == 100 { stream.end(trailers: ScriptedSink.trailers) }
        }
        sink.began = { stream in
            stream.begin(ScriptedSink.head)
            fill(stream)
        }
        sink.drained = fill
        let connection = try connect(sink) {
            $0.http2.streamOutputHigh = 10_000
            $0.http2.streamOutputLow = 4_000
        }
        let id = connection.client.request("GET", "/")
        connection.exchange()
        let body = try #require(connection.client.responses[id]?.body)
        #expect(body == (0..<100).flatMap { [UInt8](repeating: UInt8($0), count: 3_000) })
        #expect(connection.client.responses[id]?.closeCode == 0)
    }

    @Test func requestsWaitWhileTooMuchOutputDoes() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        var taken: [Int32] = []
        func take(_ stream: HTTP2Stream) {
            guard stream.mayTakeInput else { return stream.holdInput() }
            taken.append(stream.id)
            stream.answer([UInt8](repeating: 1, count: 1_000))
        }
        sink.ended = take
        sink.released = take
        let connection = try connect(sink, client: HTTP2TestClient(window: 0, readsFreely: true)) {
            $0.http2.connectionOutputHold = 3_000
        }
        let ids = (0..<10).map { _ in connection.client.request("GET", "/") }
        connection.exchange()
        // The client's windows are shut: three answers are more than may wait.
        #expect(taken == Array(ids.prefix(3)))
        connection.client.submitSettings([(4, 65_535)])
        connection.exchange()
        #expect(taken == ids)
        #expect(ids.allSatisfy { connection.client.responses[$0]?.body.count == 1_000 })
    }

    @Test func nothingIsWrittenWhileTheSocketIsFull() throws {
        let sink = ScriptedSink.answering([UInt8](repeating: 1, count: 1_000))
        let connection = try connect(sink)
        connection.exchange()
        connection.channel.isWritable = false
        let id = connection.client.request("GET", "/")
        connection.exchange()
        #expect(connection.client.responses[id] == nil)
        connection.channel.isWritable = true
        connection.channel.pipeline.fireChannelWritabilityChanged()
        connection.exchange()
        #expect(connection.client.responses[id]?.body.count == 1_000)
    }

    /// A long answer does not hold up the ones after it.
    @Test func longResponsesTakeTurns() throws {
        let sink = ScriptedSink()
        sink.ended = { $0.answer([UInt8](repeating: 1, count: 200_000)) }
        let connection = try connect(sink, client: HTTP2TestClient(window: 1 << 20))
        connection.client.submitSettings([])
        let first = connection.client.request("GET", "/")
        let second = connection.client.request("GET", "/")
        connection.send(connection.client.output())
        // The connection's window lets 65,535 bytes through before the client gives more.
        connection.client.receive(connection.takeOutput())
        let (a, b) = (connection.client.responses[first]?.body.count ?? 0, connection.client.responses[second]?.body.count ?? 0)
        #expect(a + b == 65_535)
        #expect(abs(a - b) <= 16_384)
        connection.exchange()
        #expect(connection.client.responses[first]?.body.count == 200_000)
        #expect(connection.client.responses[second]?.body.count == 200_000)
    }

    /// A flush that is asked for from within a flush waits for the end of the turn, and then sends for other connections too.
    @Test func flushingFromWithinAFlushIsHarmless() throws {
        let sink = ScriptedSink()
        let connection = try connect(sink)
        let otherSink = ScriptedSink()
        otherSink.keepsStreams = true
        let other = try TestConnection(sharing: connection, ServerApplication(http2: otherSink, http1: nil))
        let waiting = other.client.request("POST", "/", body: [], ends: false)
        other.exchange()
        var flushes = 0
        sink.ended = { stream in
            stream.begin(ScriptedSink.head)
            stream.write { $0.append(repeating: 1, count: 200_000) }
        }
        sink.drained = { [loop = connection.loop] stream in
            flushes += 1
            otherSink.streams[waiting]?.answer([2])
            loop.flushPending()
            stream.end()
        }
        let long = connection.client.request("GET", "/")
        connection.exchange()
        other.exchange()
        #expect(flushes == 1)
        #expect(other.client.responses[waiting]?.body == [2])
        #expect(connection.client.responses[long]?.body.count == 200_000)
        #expect(connection.client.responses[long]?.ended == true)
    }

    // MARK: Draining

    @Test func drainingLetsOpenStreamsFinish() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        let connection = try connect(sink)
        let id = connection.client.request("GET", "/")
        connection.exchange()
        var drained = false
        connection.loop.drain(deadline: .seconds(30)).assumeIsolated().whenSuccess { drained = true }
        connection.exchange()
        // The notice that new streams will not be taken for long, then the last stream that is.
        #expect(connection.client.goAways.map(\.lastStream) == [.max, id])
        #expect(connection.client.goAways.map(\.code) == [0, 0])
        #expect(connection.isOpen)
        sink.streams[id]?.answer([1])
        connection.exchange()
        #expect(connection.client.responses[id]?.body == [1])
        connection.advance(by: .seconds(1))
        #expect(!connection.isOpen)
        #expect(drained)
    }

    @Test func drainingAnIdleConnectionClosesIt() throws {
        let connection = try connect(ScriptedSink())
        connection.exchange()
        var drained = false
        connection.loop.drain(deadline: .seconds(30)).assumeIsolated().whenSuccess { drained = true }
        connection.exchange()
        connection.advance(by: .seconds(1))
        #expect(!connection.isOpen)
        #expect(drained)
    }

    @Test func drainingEndsAtItsDeadline() throws {
        let sink = ScriptedSink()
        let connection = try connect(sink)
        _ = connection.client.request("GET", "/")
        connection.exchange()
        var drained = false
        connection.loop.drain(deadline: .seconds(30)).assumeIsolated().whenSuccess { drained = true }
        connection.exchange()
        connection.advance(by: .seconds(29))
        #expect(connection.isOpen)
        connection.advance(by: .seconds(1))
        #expect(!connection.isOpen)
        #expect(drained)
        #expect(sink.closed.map(\.end) == [.connectionLost])
    }

    @Test func drainingDoesNotWaitForAClientThatDoesNotAnswer() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        let connection = try connect(sink)
        let id = connection.client.request("GET", "/")
        connection.exchange()
        _ = connection.loop.drain(deadline: .seconds(30))
        connection.advance(by: .seconds(1))
        sink.streams[id]?.answer([1])
        connection.channel.embeddedEventLoop.run()
        connection.client.receive(connection.takeOutput())
        #expect(connection.client.goAways.map(\.lastStream) == [.max, id])
        connection.advance(by: .seconds(1))
        #expect(!connection.isOpen)
    }
}
