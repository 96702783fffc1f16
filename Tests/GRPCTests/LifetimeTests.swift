import HTTP2
import HTTPTestKit
import Testing

@testable import GRPC

@Suite struct LifetimeTests {
    private let path = "/test.Echo/Call"

    // MARK: Deadlines

    @Test func aCallEndsAtItsDeadline() throws {
        let service = ScriptedService()
        let test = try GRPCTestConnection(service)
        test.exchange()
        let id = test.client.call(path, [[1]], [("grpc-timeout", "500m")])
        test.exchange()
        #expect(service.streams[0].deadline == 500_000_000)
        test.connection.advance(by: .milliseconds(499))
        test.exchange()
        #expect(!test.response(id).ended)
        // Found one tick of the wheel late at most.
        test.connection.advance(by: .milliseconds(18))
        test.exchange()
        #expect(test.response(id).grpcStatus == 4)
        #expect(test.response(id).grpcMessage == "context deadline exceeded")
        #expect(service.ends == [.deadlineExceeded])
        #expect(test.counters.read(.deadlinesExceeded) == 1)
        service.streams[0].send { $0.append(1) }
        service.streams[0].finish()
        test.exchange()
        #expect(service.ends.count == 1)
    }

    @Test func anAnswerInTimeCancelsTheDeadline() throws {
        let service = ScriptedService.unary()
        let test = try GRPCTestConnection(service)
        let ids = (0..<20).map { test.client.call(path, [[1]], [("grpc-timeout", "\($0 + 1)S")]) }
        test.exchange()
        test.connection.advance(by: .seconds(60))
        test.exchange()
        #expect(ids.allSatisfy { test.response($0).grpcStatus == 0 })
        #expect(test.counters.read(.deadlinesExceeded) == 0)
        #expect(service.ends == Array(repeating: .finished, count: 20))
    }

    @Test func deadlinesComeInAnyOrder() throws {
        let service = ScriptedService()
        let test = try GRPCTestConnection(service)
        let seconds = [30, 1, 20, 9, 100, 5]
        let ids = seconds.map { test.client.call(path, [[1]], [("grpc-timeout", "\($0)S")]) }
        test.exchange()
        for second in 1...101 {
            test.connection.advance(by: .milliseconds(1_000))
            test.exchange()
            for (timeout, id) in zip(seconds, ids) {
                #expect(test.response(id).ended == (timeout < second), "timeout \(timeout) s after \(second) s")
            }
        }
    }

    @Test func aTimeoutOfZeroIsOver() throws {
        let service = ScriptedService.unary()
        let test = try GRPCTestConnection(service)
        let id = test.client.call(path, [[1]], [("grpc-timeout", "0n")])
        test.exchange()
        #expect(test.response(id).grpcStatus == 4)
        #expect(service.streams.isEmpty)
    }

    @Test func aMalformedTimeoutIsRefused() throws {
        let test = try GRPCTestConnection(.unary())
        let id = test.client.call(path, [[1]], [("grpc-timeout", "12X")])
        test.exchange()
        #expect(test.response(id).status == "400")
        #expect(test.response(id).grpcStatus == 13)
        #expect(
            test.response(id).grpcMessage
                == #"malformed grpc-timeout: transport: timeout unit is not recognized: "12X""#)
    }

    /// A status would wait behind the answer that the client does not read.
    @Test func aCallWhoseAnswerIsStuckIsResetAtItsDeadline() throws {
        let service = ScriptedService.unary()
        let test = try GRPCTestConnection(service, client: HTTP2TestClient(window: 10, readsFreely: false))
        service.message = { stream, _ in stream.send { $0.append(repeating: 1, count: 1_000) } }
        let id = test.client.call(path, [[1]], [("grpc-timeout", "1S")])
        test.exchange()
        #expect(test.response(id).body.count == 10)
        test.connection.advance(by: .seconds(2))
        test.exchange()
        #expect(test.response(id).closeCode == HTTP2ErrorCode.cancel)
        #expect(service.ends == [.deadlineExceeded])
    }

    // MARK: Cancellation

    @Test func theClientMayCancel() throws {
        let service = ScriptedService()
        let test = try GRPCTestConnection(service)
        let id = test.client.call(path, [[1]], [("grpc-timeout", "10S")])
        test.exchange()
        test.client.reset(id)
        test.exchange()
        #expect(service.ends == [.cancelled(code: 8)])
        #expect(!service.streams[0].isOpen)
        service.streams[0].send { $0.append(1) }
        service.streams[0].finish()
        test.connection.advance(by: .seconds(20))
        test.exchange()
        #expect(service.ends.count == 1)
        #expect(test.counters.read(.deadlinesExceeded) == 0)
    }

    @Test func aLostConnectionEndsItsCalls() throws {
        let service = ScriptedService()
        let test = try GRPCTestConnection(service)
        for _ in 0..<3 { _ = test.client.call(path, [[1]], [("grpc-timeout", "10S")]) }
        test.exchange()
        test.connection.lose()
        #expect(service.ends == Array(repeating: .connectionLost, count: 3))
        #expect(service.streams.allSatisfy { !$0.isOpen && $0.connection == nil })
        test.connection.advance(by: .seconds(20))
        #expect(service.ends.count == 3)
        #expect(test.counters.read(.callsOpen) == 0)
    }

    @Test func theServerMayCancel() throws {
        let service = ScriptedService()
        service.message = { stream, _ in
            stream.send { $0.append(1) }
            stream.cancel()
        }
        let test = try GRPCTestConnection(service)
        let id = test.client.call(path, [[1]])
        test.exchange()
        #expect(test.response(id).closeCode == HTTP2ErrorCode.cancel)
        #expect(service.ends == [.cancelled(code: 8)])
    }

    @Test func finishingTwiceIsWithoutEffect() throws {
        let service = ScriptedService()
        service.message = { stream, _ in
            stream.send { $0.append(1) }
            stream.finish()
            stream.finish(GRPCStatus(.internal, "no"))
            stream.send { $0.append(2) }
            stream.sendHeaders([HTTPField("x", "y")])
            stream.cancel()
        }
        let test = try GRPCTestConnection(service)
        let id = test.client.call(path, [[1], [2]])
        test.exchange()
        #expect(test.response(id).messages == [[1]])
        #expect(test.response(id).grpcStatus == 0)
        // What came after the end of the call was not handed on.
        #expect(service.messages == [[1]])
    }

    // MARK: Objects

    @Test func streamObjectsAreUsedAgain() throws {
        let service = ScriptedService.unary()
        service.keepsStreams = false
        let test = try GRPCTestConnection(service)
        for _ in 0..<30 {
            _ = test.client.call(path, [[1]])
            test.exchange()
        }
        #expect(service.ends.count == 30)
        #expect(test.counters.read(.streamObjectsMade) == 1)
        #expect(test.connection.count(.streamObjectsMade) == 1)
    }

    @Test func aLateAnswerReachesNobodyElse() throws {
        let service = ScriptedService()
        let test = try GRPCTestConnection(service)
        let first = test.client.call(path, [[1]])
        test.exchange()
        test.client.reset(first)
        test.exchange()
        let second = test.client.call(path, [[2]])
        test.exchange()
        #expect(service.streams[0] !== service.streams[1])
        service.streams[0].send { $0.append([6]) }
        service.streams[0].finish()
        test.exchange()
        #expect(!test.response(second).ended)
        service.streams[1].send { $0.append([7]) }
        service.streams[1].finish()
        test.exchange()
        #expect(test.response(second).messages == [[7]])
    }

    @Test func userDataIsForgottenAtTheEnd() throws {
        final class Mark {}
        let service = ScriptedService.unary()
        weak var mark: Mark?
        service.opened = { stream in
            let made = Mark()
            mark = made
            stream.userData = made
        }
        let test = try GRPCTestConnection(service)
        _ = test.client.call(path, [[1]])
        test.exchange()
        #expect(mark == nil)
        #expect(service.streams[0].userData == nil)
    }

    /// Later answers on many streams in one turn of the loop are one write.
    @Test func laterAnswersShareAWrite() throws {
        let service = ScriptedService()
        let test = try GRPCTestConnection(service)
        let ids = (0..<100).map { _ in test.client.call(path, [[1]]) }
        test.exchange()
        let writes = test.connection.count(.writes)
        for stream in service.streams {
            stream.send { $0.append(3) }
            stream.finish()
        }
        test.connection.channel.embeddedEventLoop.run()
        #expect(test.connection.count(.writes) == writes + 1)
        test.exchange()
        #expect(ids.allSatisfy { test.response($0).messages == [[3]] })
        #expect(service.bursts > 0)
    }

    // MARK: Anything

    /// Whatever clients send, cut and end how they like, every call that opened closes once, and nothing stays behind.
    @Test(arguments: 0..<40)
    func everyCallClosesOnce(seed: UInt64) throws {
        var random = seed &* 0x9e37_79b9_7f4a_7c15 | 1
        func next(_ bound: UInt64) -> Int {
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            return Int(random % bound)
        }
        let service = ScriptedService.bidirectional()
        service.message = { stream, message in
            if message.count % 7 == 6 { return stream.finish(GRPCStatus(.unknown, "seven")) }
            if message.count % 31 == 30 { return stream.cancel() }
            stream.send { $0.append(message) }
        }
        let test = try GRPCTestConnection(service, client: HTTP2TestClient(window: 200), maximumMessageBytes: 300) {
            $0.http2.streamOutputHigh = 400
            $0.http2.streamOutputLow = 100
            $0.http2.connectionOutputHold = 2_000
            $0.http2.connectionInputLimit = 3_000
        }
        var open: [Int32] = []
        for _ in 0..<150 {
            switch next(8) {
            case 0...2:
                let fields = next(3) == 0 ? [("grpc-timeout", "\(next(200))m")] : []
                open.append(test.client.call("/test.Echo/Call", [], fields, ends: false))
            case 3...5 where !open.isEmpty:
                var bytes: [UInt8] = []
                for _ in 0..<next(5) { bytes += framed([UInt8](repeating: 1, count: next(320)), flag: next(40) == 0 ? 1 : 0) }
                bytes.removeLast(min(bytes.count, next(4) == 0 ? next(10) : 0))
                test.client.send(bytes, on: open[next(UInt64(open.count))], ends: next(4) == 0)
            case 6 where !open.isEmpty: test.client.reset(open.remove(at: next(UInt64(open.count))))
            default: test.connection.advance(by: .milliseconds(Int64(next(50))))
            }
            if next(3) == 0 { test.exchange() }
        }
        test.exchange()
        test.connection.lose()
        #expect(test.counters.read(.callsOpen) == 0, "seed \(seed)")
        #expect(service.ends.count == service.streams.count, "seed \(seed)")
        #expect(!service.ends.contains(nil), "seed \(seed)")
        #expect(service.streams.allSatisfy { !$0.isOpen && $0.queuedBytes == 0 }, "seed \(seed)")
        test.connection.advance(by: .seconds(10))
    }
}
