import HTTP2
import HTTPTestKit
import Testing

@testable import GRPC

@Suite struct ObserverTests {
    private final class Notes: GRPCCallObserver {
        let measuresTime = true
        var lines: [String] = []
        func received(_ method: Int, bytes: Int) { lines.append("\(method) received \(bytes)") }
        func sent(_ method: Int, bytes: Int) { lines.append("\(method) sent \(bytes)") }
        func ended(_ method: Int, _ code: GRPCCode, nanoseconds: UInt64) {
            lines.append("\(method) \(code) \(nanoseconds / 1_000_000) ms")
        }
    }

    private let notes = Notes()

    @Test func aCallIsCountedMessageByMessageAndOnceAtItsEnd() throws {
        let test = try GRPCTestConnection(.unary(), observer: notes)
        _ = test.client.call("/test.Echo/Other", [[1, 2, 3]])
        test.exchange()
        #expect(notes.lines == ["1 received 3", "1 sent 3", "1 ok 0 ms"])
    }

    @Test func aMessageInPiecesCountsAsOne() throws {
        let service = ScriptedService()
        service.message = { stream, _ in
            stream.beginMessage(length: 4)
            stream.continueMessage { $0.append([1, 2]) }
            stream.continueMessage { $0.append([3, 4]) }
            stream.finish(GRPCStatus(.aborted, "enough"))
        }
        let test = try GRPCTestConnection(service, observer: notes)
        _ = test.client.call("/test.Echo/Call", [[1]])
        test.exchange()
        #expect(notes.lines == ["0 received 1", "0 sent 4", "0 aborted 0 ms"])
    }

    @Test func callsThatTheClientOrTheTimeEndsAreToldApart() throws {
        let test = try GRPCTestConnection(ScriptedService(), observer: notes)
        _ = test.client.call("/test.Echo/Call", [[1]], [("grpc-timeout", "500m")])
        let left = test.client.call("/test.Echo/Other", [[1]])
        test.exchange()
        test.connection.advance(by: .milliseconds(100))
        test.client.reset(left)
        test.exchange()
        test.connection.advance(by: .milliseconds(420))
        test.exchange()
        #expect(notes.lines.dropLast().last == "1 cancelled 100 ms")
        // Found one tick of the wheel late at most.
        #expect(notes.lines.last?.hasPrefix("0 deadlineExceeded 5") == true)
    }

    @Test func unknownMethodsAreNoCalls() throws {
        let test = try GRPCTestConnection(ScriptedService(), observer: notes)
        _ = test.client.call("/test.Echo/Missing", [[1]])
        test.exchange()
        #expect(notes.lines.isEmpty)
    }
}
