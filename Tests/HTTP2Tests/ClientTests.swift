import Bytes
import HTTPTestKit
import NIOCore
import Testing

@testable import HTTP2

@Suite struct ClientTests {
    /// ":status: 200" from HPACK's static table.
    private static let ok: [UInt8] = [0x88]
    private static func number(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
    private static func settings(maximumStreams: UInt32) -> [UInt8] {
        frame(FrameType.settings, [0, 3] + number(maximumStreams))
    }
    private static func goAway(last: UInt32, code: UInt32 = 0) -> [UInt8] { frame(7, number(last) + number(code)) }

    @Test func aRequestIsAnswered() throws {
        let sink = ScriptedSink.answering([1, 2, 3])
        var seen: [String] = []
        sink.began = {
            $0.head.forEach { seen.append(String(decoding: $0, as: UTF8.self) + "=" + String(decoding: $1, as: UTF8.self)) }
        }
        let link = try ClientLink(sink)
        let receiver = RecordingReceiver()
        #expect(link.get(receiver) != nil)
        link.exchange()
        #expect(seen == [":method=GET", ":scheme=http", ":path=/a", ":authority=here"])
        #expect(receiver.headers == [":status: 200", "content-type: text/plain"])
        #expect(receiver.body == [1, 2, 3])
        #expect(receiver.trailers == ["result: fine"])
        #expect(receiver.ended == 1)
        #expect(receiver.closed == [.finished])
        #expect(link.delegate.ready == 1)
        #expect(link.connection.openStreams == 0)
    }

    @Test(arguments: [0, 1, 16_384, 16_385, 300_000])
    func bodiesPassBothWays(length: Int) throws {
        let body = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 13) }
        let sink = ScriptedSink()
        var received: [UInt8] = []
        sink.body = { stream, bytes in
            received += Array(bytes)
            stream.credit(bytes.count)
        }
        sink.ended = { $0.answer(received) }
        let link = try ClientLink(sink)
        let receiver = RecordingReceiver()
        let stream = try #require(link.get(receiver, ends: false))
        body.withUnsafeBytes { stream.write($0) }
        link.exchange()
        stream.end()
        link.exchange()
        #expect(received == body)
        #expect(receiver.body == body)
        #expect(receiver.closed == [.finished])
        #expect(receiver.drains == (length > 128 << 10 ? 1 : 0))
    }

    /// grpc-go's server does not take the end of a call from its header fields, and would wait for ever.
    @Test func aRequestWithoutBodyEndsWithAFrameOfItsOwn() throws {
        let link = try ClientLink(nil)
        _ = link.get(RecordingReceiver())
        var rest = link.takeOutput()[...]
        rest = rest.dropFirst(24)
        var ofTheStream: [[UInt8]] = []
        while rest.count >= 9 {
            let head = Array(rest.prefix(9))
            rest = rest.dropFirst(9 + (Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])))
            if head[8] == 1 { ofTheStream.append(head) }
        }
        // HEADERS with END_HEADERS alone, DATA with END_STREAM and nothing in it.
        #expect(ofTheStream.map { Array($0[3...4]) } == [[1, 4], [0, 1]])
        #expect(ofTheStream.last?.prefix(3) == [0, 0, 0])
    }

    @Test func aBurstOfRequestsIsOneWrite() throws {
        let link = try ClientLink(nil)
        _ = link.takeOutput()
        let receivers = (0..<50).map { _ in RecordingReceiver() }
        for receiver in receivers { #expect(link.get(receiver) != nil) }
        link.channel.embeddedEventLoop.run()
        #expect(try link.channel.readOutbound(as: ByteBuffer.self) != nil)
        #expect(try link.channel.readOutbound(as: ByteBuffer.self) == nil)
    }

    /// A receiver that takes nothing stops the server at the stream's window, and no other stream.
    @Test func aStreamThatIsNotCreditedStopsAlone() throws {
        let sink = ScriptedSink.answering([UInt8](repeating: 7, count: 400_000))
        let link = try ClientLink(sink) { client, _ in client.streamWindow = 100_000 }
        let (slow, fast) = (RecordingReceiver(), RecordingReceiver())
        slow.credits = false
        let stream = try #require(link.get(slow))
        _ = link.get(fast)
        link.exchange()
        #expect(slow.body.count == 100_000)
        #expect(fast.closed == [.finished])
        stream.credit(50_000)
        link.exchange()
        #expect(slow.body.count == 150_000)
        #expect(slow.closed.isEmpty)
    }

    @Test func theServersLimitOfStreamsIsKept() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        let link = try ClientLink(sink) { client, server in
            server.http2.maximumConcurrentStreams = 2
            client.maximumWaitingStreams = 3
        }
        link.exchange()
        let receivers = (0..<6).map { _ in RecordingReceiver() }
        let opened = receivers.map { link.get($0) != nil }
        #expect(opened == [true, true, true, true, true, false])
        link.exchange()
        #expect(sink.streams.count == 2)
        sink.streams[1]?.answer([1])
        link.exchange()
        #expect(receivers[0].closed == [.finished])
        #expect(sink.streams.count == 3)
        #expect(link.connection.canOpen)
        #expect(receivers.dropFirst().allSatisfy { $0.closed.isEmpty })
    }

    @Test func aWaitingRequestThatIsGivenUpIsNeverSent() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        let link = try ClientLink(sink) { _, server in server.http2.maximumConcurrentStreams = 1 }
        link.exchange()
        let receivers = (0..<3).map { _ in RecordingReceiver() }
        let streams = receivers.map { link.get($0) }
        streams[1]?.reset(HTTP2ErrorCode.cancel)
        #expect(receivers[1].closed == [.neverProcessed])
        link.exchange()
        sink.streams[1]?.answer([1])
        link.exchange()
        #expect(sink.streams.count == 2)
        sink.streams[3]?.answer([3])
        link.exchange()
        #expect(receivers[2].body == [3])
    }

    // MARK: Ends

    @Test func aResetTellsItsCode() throws {
        let sink = ScriptedSink()
        sink.ended = { $0.reset(HTTP2ErrorCode.internalError) }
        let link = try ClientLink(sink)
        let receiver = RecordingReceiver()
        _ = link.get(receiver)
        link.exchange()
        #expect(receiver.closed == [.reset(code: 2)])
        #expect(receiver.ended == 0)
    }

    @Test func aRefusedStreamWasNeverProcessed() throws {
        let link = try ClientLink(nil)
        let receiver = RecordingReceiver()
        _ = link.get(receiver)
        _ = link.takeOutput()
        link.send(frame(FrameType.settings) + frame(FrameType.reset, stream: 1, Self.number(7)))
        #expect(receiver.closed == [.neverProcessed])
        #expect(link.connection.canOpen)
    }

    @Test func streamsAboveAGoAwayWereNeverProcessedAndTheOthersGoOn() throws {
        let link = try ClientLink(nil)
        let receivers = (0..<3).map { _ in RecordingReceiver() }
        for receiver in receivers { _ = link.get(receiver) }
        _ = link.takeOutput()
        link.send(frame(FrameType.settings) + Self.goAway(last: 3))
        #expect(receivers.map(\.closed) == [[], [], [.neverProcessed]])
        #expect(link.delegate.draining == 1)
        #expect(!link.connection.canOpen)
        #expect(link.get(RecordingReceiver()) == nil)
        link.send(frame(FrameType.headers, flags: 5, stream: 1, Self.ok))
        #expect(receivers[0].closed == [.finished])
        #expect(link.channel.isActive)
        link.send(frame(FrameType.headers, flags: 5, stream: 3, Self.ok))
        #expect(receivers[1].closed == [.finished])
        link.channel.embeddedEventLoop.run()
        #expect(!link.channel.isActive)
        #expect(link.delegate.ends.map(\.kind) == [.goneAway])
    }

    @Test func requestsThatWaitWhenAGoAwayComesWereNeverProcessed() throws {
        let link = try ClientLink(nil)
        let receivers = (0..<3).map { _ in RecordingReceiver() }
        link.send(Self.settings(maximumStreams: 1))
        for receiver in receivers { _ = link.get(receiver) }
        _ = link.takeOutput()
        link.send(Self.goAway(last: 1))
        #expect(receivers.map(\.closed) == [[], [.neverProcessed], [.neverProcessed]])
    }

    @Test func aLostConnectionTellsWhatWasSentFromWhatWasNot() throws {
        let link = try ClientLink(nil)
        let (sent, unsent) = (RecordingReceiver(), RecordingReceiver())
        _ = link.get(sent)
        _ = link.takeOutput()
        _ = link.get(unsent)
        link.lose()
        #expect(sent.closed == [.connectionLost])
        #expect(unsent.closed == [.neverProcessed])
        #expect(link.delegate.ends.count == 1)
    }

    @Test func halfAReplyEndsAsLost() throws {
        let link = try ClientLink(nil)
        let receiver = RecordingReceiver()
        _ = link.get(receiver)
        _ = link.takeOutput()
        link.send(frame(FrameType.settings) + frame(FrameType.headers, flags: 4, stream: 1, Self.ok))
        link.send(frame(FrameType.data, stream: 1, [1, 2]))
        link.lose()
        #expect(receiver.body == [1, 2])
        #expect(receiver.ended == 0)
        #expect(receiver.closed == [.connectionLost])
    }

    @Test func anAnswerBeforeTheEndOfTheRequestFinishes() throws {
        let sink = ScriptedSink()
        sink.began = { $0.answer([4]) }
        let link = try ClientLink(sink)
        let receiver = RecordingReceiver()
        _ = link.get(receiver, ends: false)
        link.exchange()
        #expect(receiver.body == [4])
        #expect(receiver.closed == [.finished])
        #expect(link.connection.openStreams == 0)
    }

    @Test func interimResponsesArePassedOver() throws {
        let link = try ClientLink(nil)
        let receiver = RecordingReceiver()
        _ = link.get(receiver)
        _ = link.takeOutput()
        // ":status: 103" as a literal with the name of index 8.
        link.send(frame(FrameType.settings) + frame(FrameType.headers, flags: 4, stream: 1, [0x08, 3] + Array("103".utf8)))
        #expect(receiver.headers.isEmpty)
        link.send(frame(FrameType.headers, flags: 5, stream: 1, Self.ok))
        #expect(receiver.headers == [":status: 200"])
        #expect(receiver.closed == [.finished])
    }

    @Test func anAbandonedStreamIsNotHeardOfAgain() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        let link = try ClientLink(sink)
        let receiver = RecordingReceiver()
        let stream = link.get(receiver)
        link.exchange()
        stream?.abandon()
        link.exchange()
        #expect(receiver.closed.isEmpty)
        #expect(sink.closed.map(\.end) == [.reset(code: 8)])
        #expect(link.connection.openStreams == 0)
    }

    @Test func garbageEndsTheConnection() throws {
        let link = try ClientLink(nil)
        let receiver = RecordingReceiver()
        _ = link.get(receiver)
        _ = link.takeOutput()
        link.send(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
        link.channel.embeddedEventLoop.run()
        #expect(receiver.closed == [.connectionLost])
        #expect(link.delegate.ends.map(\.kind) == [.protocolError])
    }

    @Test func headersBeyondTheLimitResetTheStream() throws {
        let sink = ScriptedSink()
        sink.ended = { stream in
            stream.begin([HTTPField(":status", "200"), HTTPField("x", String(repeating: "y", count: 5_000))])
            stream.end()
        }
        let link = try ClientLink(sink) { client, _ in client.maximumHeaderListBytes = 4_096 }
        let receiver = RecordingReceiver()
        _ = link.get(receiver)
        link.exchange()
        #expect(receiver.headers.isEmpty)
        #expect(receiver.closed == [.reset(code: HTTP2ErrorCode.enhanceYourCalm)])
    }

    // MARK: Keeping alive

    @Test func aServerThatHangsIsGivenUp() throws {
        let link = try ClientLink(nil)
        let receiver = RecordingReceiver()
        link.send(frame(FrameType.settings))
        _ = link.get(receiver)
        _ = link.takeOutput()
        link.channel.embeddedEventLoop.advanceTime(by: .seconds(25))
        #expect(receiver.closed == [.connectionLost])
        #expect(link.delegate.ends.map(\.kind) == [.pingTimedOut])
    }

    @Test func anIdleConnectionIsNotPinged() throws {
        let link = try ClientLink(nil)
        link.send(frame(FrameType.settings))
        _ = link.takeOutput()
        link.channel.embeddedEventLoop.advanceTime(by: .seconds(3_600))
        #expect(link.takeOutput().isEmpty)
        #expect(link.channel.isActive)
    }

    @Test func drainingClosesAfterTheLastStream() throws {
        let sink = ScriptedSink()
        sink.keepsStreams = true
        let link = try ClientLink(sink)
        let receiver = RecordingReceiver()
        _ = link.get(receiver)
        link.exchange()
        link.connection.drain()
        #expect(link.get(RecordingReceiver()) == nil)
        #expect(link.channel.isActive)
        sink.streams[1]?.answer([1])
        link.exchange()
        #expect(receiver.closed == [.finished])
        #expect(link.delegate.ends.map(\.kind) == [.notNeeded])
    }
}
