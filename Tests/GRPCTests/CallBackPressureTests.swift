import HTTP2
import HTTPTestKit
import Testing

@testable import GRPC

@Suite struct CallBackPressureTests {
    private let path = "/test.Echo/Call"

    private func slowClient(_ service: ScriptedService, _ change: (inout ServerConfiguration) -> Void = { _ in }) throws
        -> GRPCTestConnection
    {
        try GRPCTestConnection(service, client: HTTP2TestClient(window: 1_000, readsFreely: false)) {
            $0.http2.streamOutputHigh = 5_000
            $0.http2.streamOutputLow = 2_000
            change(&$0)
        }
    }

    /// A client that sends requests and does not read the answers has to wait, first here, then at its window.
    @Test func requestsWaitWhileAnswersDo() throws {
        let service = ScriptedService.bidirectional()
        let test = try slowClient(service) { $0.http2.streamWindow = 20_000 }
        // The client has to see the window first.
        test.exchange()
        let message = [UInt8](repeating: 1, count: 1_000)
        let id = test.client.call(path, Array(repeating: message, count: 100))
        test.exchange()
        // Five answers of 1,005 bytes are past the mark; 1,000 bytes went out, so there was no room for more.
        #expect(service.messages.count == 5)
        #expect(service.streams[0].queuedBytes == 4_025)
        #expect(test.client.unsent(on: id) > 70_000)
        #expect(service.halfCloses == 0)
        var rounds = 0
        while !test.response(id).ended, rounds < 300 {
            test.client.consume(1_000, on: id)
            test.exchange()
            rounds += 1
        }
        #expect(service.messages.count == 100)
        #expect(service.halfCloses == 1)
        #expect(test.response(id).messages == Array(repeating: message, count: 100))
        #expect(test.response(id).grpcStatus == 0)
        #expect(service.ends == [.finished])
    }

    @Test func aHandlerIsToldWhenThereIsRoom() throws {
        let service = ScriptedService()
        var sent = 0
        func fill(_ stream: GRPCStream) {
            while stream.isWritable, sent < 40 {
                stream.send { $0.append(repeating: UInt8(sent), count: 995) }
                sent += 1
            }
            if sent == 40 { stream.finish() }
        }
        service.message = { stream, _ in fill(stream) }
        service.drain = fill
        let test = try slowClient(service)
        let id = test.client.call(path, [[1]])
        test.exchange()
        #expect(sent == 5)
        #expect(!service.streams[0].isWritable)
        var rounds = 0
        while !test.response(id).ended, rounds < 100 {
            test.client.consume(1_000, on: id)
            test.exchange()
            #expect(service.streams[0].queuedBytes <= 6_000)
            rounds += 1
        }
        #expect(test.response(id).messages == (0..<40).map { [UInt8](repeating: UInt8($0), count: 995) })
    }

    @Test func aLongMessageMayBeSentInPieces() throws {
        let service = ScriptedService()
        let test = try slowClient(service)
        var left = 20_000
        func fill(_ stream: GRPCStream) {
            while stream.isWritable, left > 0 {
                stream.continueMessage { $0.append(repeating: 9, count: 500) }
                left -= 500
            }
            if left == 0 { stream.finish() }
        }
        service.message = { stream, _ in
            stream.beginMessage(length: 20_000)
            fill(stream)
        }
        service.drain = fill
        let id = test.client.call(path, [[1]])
        test.exchange()
        #expect(left > 14_000)
        var rounds = 0
        while !test.response(id).ended, rounds < 100 {
            test.client.consume(1_000, on: id)
            test.exchange()
            rounds += 1
        }
        #expect(test.response(id).messages == [[UInt8](repeating: 9, count: 20_000)])
        #expect(test.response(id).grpcStatus == 0)
    }

    @Test func aMessageThatIsBrokenOffResetsTheCall() throws {
        let service = ScriptedService()
        service.message = { stream, _ in
            stream.beginMessage(length: 100)
            stream.continueMessage { $0.append(repeating: 9, count: 50) }
            stream.finish(GRPCStatus(.internal, "compacted meanwhile"))
        }
        let test = try GRPCTestConnection(service)
        let id = test.client.call(path, [[1]])
        test.exchange()
        #expect(test.response(id).closeCode == HTTP2ErrorCode.internalError)
        #expect(test.response(id).trailers.isEmpty)
    }

    @Test func theConnectionTakesOnlySoMuchOutput() throws {
        let service = ScriptedService()
        let test = try slowClient(service) {
            $0.http2.connectionOutputLimit = 10_000
            $0.http2.connectionOutputHold = 1 << 20
        }
        let ids = (0..<4).map { _ in test.client.call(path, [[1]]) }
        test.exchange()
        for stream in service.streams {
            stream.send { $0.append(repeating: 1, count: 6_000) }
            stream.finish()
        }
        test.exchange()
        // Two messages are past the limit; the others are refused.
        #expect(ids.map { test.response($0).grpcStatus } == [nil, nil, 8, 8])
        #expect(test.response(ids[2]).grpcMessage == "grpc: too much output waits on the connection")
        #expect(test.connection.count(.connectionOutputLimits) == 2)
    }

    @Test func theConnectionKeepsOnlySoMuchInput() throws {
        let service = ScriptedService.unary()
        let test = try GRPCTestConnection(service) { $0.http2.connectionInputLimit = 10_000 }
        let half = Array(framed([UInt8](repeating: 1, count: 8_000)).prefix(4_000))
        func open() -> Int32 {
            test.client.request("POST", path, [("content-type", "application/grpc")], body: half, ends: false)
        }
        let ids = (0..<3).map { _ in open() }
        test.exchange()
        #expect(ids.map { test.response($0).grpcStatus } == [nil, nil, 8])
        #expect(test.response(ids[2]).grpcMessage == "grpc: too many request bytes wait on the connection")
        // With the others gone there is room again.
        for id in ids.prefix(2) { test.client.reset(id) }
        test.exchange()
        let whole = test.client.call(path, [[UInt8](repeating: 2, count: 8_000)])
        test.exchange()
        #expect(test.response(whole).grpcStatus == 0)
    }

    @Test func callsWaitWhileTheConnectionIsHeld() throws {
        let service = ScriptedService()
        service.message = { stream, _ in
            stream.send { $0.append(repeating: 1, count: 2_000) }
            stream.finish()
        }
        let test = try GRPCTestConnection(service, client: HTTP2TestClient(window: 0)) { $0.http2.connectionOutputHold = 6_000 }
        let ids = (0..<12).map { _ in test.client.call(path, [[1]]) }
        test.exchange()
        #expect(service.messages.count == 3)
        test.client.submitSettings([(4, 65_535)])
        test.exchange()
        #expect(service.messages.count == 12)
        #expect(ids.allSatisfy { test.response($0).grpcStatus == 0 })
    }
}
