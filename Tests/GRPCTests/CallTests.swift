import HTTP2
import HTTPTestKit
import Testing

@testable import GRPC

@Suite struct CallTests {
    private let path = "/test.Echo/Call"

    @Test func aUnaryCallIsAnswered() throws {
        let service = ScriptedService.unary()
        let test = try GRPCTestConnection(service)
        let id = test.client.call(path, [[1, 2, 3]])
        test.exchange()
        let response = test.response(id)
        #expect(response.status == "200")
        #expect(response.header("content-type") == "application/grpc")
        #expect(response.messages == [[1, 2, 3]])
        #expect(response.trailers.map(\.name) == ["grpc-status"])
        #expect(response.grpcStatus == 0)
        #expect(response.closeCode == 0)
        #expect(service.ends == [.finished])
        // Finished before the client's end of stream was seen.
        #expect(service.halfCloses == 0)
        #expect(test.counters.read(.callsOpen) == 0)
    }

    @Test func messagesEmptyAndLargeAreAnswered() throws {
        let test = try GRPCTestConnection(.unary(), client: HTTP2TestClient(window: 1 << 20))
        for length in [0, 1, 16_379, 16_380, 100_000, 2 << 20] {
            let message = (0..<length).map { UInt8(truncatingIfNeeded: $0 >> 4) }
            let id = test.client.call(path, [message])
            test.exchange()
            #expect(test.response(id).messages == [message])
            #expect(test.response(id).grpcStatus == 0)
        }
    }

    @Test func manyMessagesShareAFrame() throws {
        let service = ScriptedService.bidirectional()
        let test = try GRPCTestConnection(service)
        let messages = (0..<100).map { [UInt8](repeating: UInt8($0), count: $0) }
        let id = test.client.call(path, messages)
        test.exchange()
        #expect(service.messages == messages)
        #expect(service.halfCloses == 1)
        #expect(test.response(id).messages == messages)
        #expect(test.response(id).dataFrames == 1)
    }

    @Test(arguments: [1, 2, 3, 5, 7, 64])
    func messagesMayBeCutAnywhere(size: Int) throws {
        let service = ScriptedService.bidirectional()
        let test = try GRPCTestConnection(service)
        let messages: [[UInt8]] = [[], [1], [2, 3], Array(repeating: 4, count: 100), []]
        let bytes = messages.flatMap { framed($0) }
        let id = test.client.call(path, [], ends: false)
        test.exchange()
        for start in stride(from: 0, to: bytes.count, by: size) {
            let end = min(start + size, bytes.count)
            test.client.send(Array(bytes[start..<end]), on: id, ends: end == bytes.count)
            test.exchange()
        }
        #expect(service.messages == messages)
        #expect(test.response(id).messages == messages)
        #expect(test.response(id).grpcStatus == 0)
    }

    @Test func aServerMayStreamLater() throws {
        let service = ScriptedService()
        let test = try GRPCTestConnection(service)
        let id = test.client.call(path, [[1]])
        test.exchange()
        let stream = service.streams[0]
        #expect(service.halfCloses == 1)
        stream.sendHeaders([HTTPField("x-leader", "yes"), GRPCStream.binaryField("x-bin", [0xff, 0])])
        test.exchange()
        #expect(test.response(id).header("x-leader") == "yes")
        #expect(test.response(id).header("x-bin") == "/wA")
        for number in 0..<5 {
            stream.send { $0.append(UInt8(number)) }
            test.exchange()
        }
        stream.finish(GRPCStatus(.ok), trailers: [HTTPField("x-last", "5")])
        test.exchange()
        #expect(test.response(id).messages == (0..<5).map { [UInt8($0)] })
        #expect(test.response(id).trailer("x-last") == "5")
        #expect(test.response(id).grpcStatus == 0)
    }

    @Test func anErrorWithoutMessagesIsOneHeaderBlock() throws {
        let service = ScriptedService()
        service.message = { stream, _ in
            stream.finish(GRPCStatus(.outOfRange, "etwas: 100% größer\n"), trailers: [HTTPField("x-more", "m")])
        }
        let test = try GRPCTestConnection(service)
        let id = test.client.call(path, [[1]])
        test.exchange()
        let response = test.response(id)
        #expect(response.trailers.isEmpty)
        #expect(response.dataFrames == 0)
        #expect(response.header("grpc-status") == "11")
        #expect(response.header("grpc-message") == "etwas: 100%25 gr%C3%B6%C3%9Fer%0A")
        #expect(response.header("x-more") == "m")
        #expect(response.ended)
    }

    @Test func anErrorAfterMessagesComesInTrailers() throws {
        let service = ScriptedService()
        service.message = { stream, message in
            [UInt8(7)].withUnsafeBytes { stream.sendEncoded($0) }
            stream.finish(GRPCStatus(.aborted, "lost"))
        }
        let test = try GRPCTestConnection(service)
        let id = test.client.call(path, [[1]])
        test.exchange()
        #expect(test.response(id).messages == [[7]])
        #expect(test.response(id).trailers.map(\.value) == ["10", "lost"])
    }

    @Test func aCallMayBeFinishedBeforeTheRequestIs() throws {
        let service = ScriptedService()
        service.opened = { $0.finish(GRPCStatus(.permissionDenied, "no")) }
        let test = try GRPCTestConnection(service)
        let id = test.client.call(path, [[1]], ends: false)
        test.exchange()
        #expect(test.response(id).grpcStatus == 7)
        #expect(test.response(id).closeCode == 0)
        #expect(service.messages.isEmpty)
        #expect(service.ends == [.finished])
    }

    @Test func aRouterMayRefuseACall() throws {
        let service = ScriptedService()
        service.accepts = { stream in
            stream.finish(GRPCStatus(.unavailable, "busy"))
            return false
        }
        let test = try GRPCTestConnection(service)
        let id = test.client.call(path, [[1]])
        test.exchange()
        #expect(test.response(id).grpcStatus == 14)
        #expect(test.response(id).grpcMessage == "busy")
        service.accepts = { _ in false }
        let other = test.client.call(path, [[1]])
        test.exchange()
        #expect(test.response(other).grpcStatus == 12)
        #expect(service.ends.isEmpty)
    }

    @Test func metadataIsReadable() throws {
        let service = ScriptedService.unary()
        var seen: [String?] = []
        service.opened = { stream in
            seen = [stream.metadata("token"), stream.metadata("hasleader"), stream.metadata("missing"), stream.path]
            #expect(stream.binaryMetadata("padded-bin") == [1, 2, 3, 4])
            #expect(stream.binaryMetadata("bare-bin") == [1, 2, 3, 4])
            #expect(stream.binaryMetadata("bad-bin") == nil)
            #expect(stream.method == 1)
            var count = 0
            stream.forEachMetadata { _, _ in count += 1 }
            #expect(count == 11)
        }
        let test = try GRPCTestConnection(service)
        _ = test.client.call(
            "/test.Echo/Other", [[1]],
            [
                ("token", "abc.1"), ("hasleader", "true"), ("padded-bin", "AQIDBA=="), ("bare-bin", "AQIDBA"), ("bad-bin", "A?"),
            ])
        test.exchange()
        #expect(seen == ["abc.1", "true", nil, "/test.Echo/Other"])
        #expect(service.methodsCalled == [1])
        #expect(service.ends == [.finished])
    }

    // MARK: Words of grpc-go

    @Test(arguments: [
        ("/test.Echo/Nope", "unknown method Nope for service test.Echo"),
        ("/test.Empty/Call", "unknown method Call for service test.Empty"),
        ("/test.Nope/Call", "unknown service test.Nope"),
        ("/a/b/c", "unknown service a/b"),
        ("/nothing", #"malformed method name: "/nothing""#),
        ("//", "unknown service%20"),
    ])
    func unknownMethodsAreUnimplemented(path: String, message: String) throws {
        let service = ScriptedService()
        let test = try GRPCTestConnection(service)
        let id = test.client.call(path, [[1]])
        test.exchange()
        #expect(test.response(id).status == "200")
        #expect(test.response(id).grpcStatus == 12)
        #expect(test.response(id).grpcMessage == message)
        #expect(test.counters.read(.unimplemented) == 1)
        #expect(service.ends.isEmpty)
    }

    @Test func aMessagePastTheLimitIsRefused() throws {
        let service = ScriptedService.unary()
        let test = try GRPCTestConnection(service, maximumMessageBytes: 1_000)
        let fits = test.client.call(path, [[UInt8](repeating: 1, count: 1_000)])
        let large = test.client.call(path, [[UInt8](repeating: 1, count: 1_001)])
        test.exchange()
        #expect(test.response(fits).grpcStatus == 0)
        #expect(test.response(large).grpcStatus == 8)
        #expect(test.response(large).grpcMessage == "grpc: received message larger than max (1001 vs. 1000)")
        #expect(test.counters.read(.messagesTooLarge) == 1)
        #expect(test.connection.isOpen)
    }

    /// The length alone decides: nothing is kept for a message that will not be taken.
    @Test func aMessageThatClaimsTooMuchIsRefusedAtOnce() throws {
        let test = try GRPCTestConnection(.unary())
        let id = test.client.call(path, [], ends: false)
        test.exchange()
        test.client.send([0, 0xff, 0xff, 0xff, 0xff], on: id)
        test.exchange()
        #expect(test.response(id).grpcMessage == "grpc: received message larger than max (4294967295 vs. 2097152)")
        #expect(test.response(id).closeCode == 0)
    }

    @Test func compressionIsRefused() throws {
        let service = ScriptedService.unary()
        let test = try GRPCTestConnection(service)
        let gzip = test.client.call(path, [[1]], [("grpc-encoding", "gzip")])
        let identity = test.client.call(path, [[1]], [("grpc-encoding", "identity")])
        func raw(_ flag: UInt8) -> Int32 {
            test.client.request("POST", path, [("content-type", "application/grpc")], body: framed([1], flag: flag))
        }
        let (compressed, strange) = (raw(1), raw(2))
        test.exchange()
        #expect(test.response(gzip).grpcStatus == 12)
        #expect(test.response(gzip).grpcMessage == #"grpc: Decompressor is not installed for grpc-encoding "gzip""#)
        #expect(test.response(identity).grpcStatus == 0)
        #expect(test.response(compressed).grpcStatus == 13)
        #expect(test.response(compressed).grpcMessage == "grpc: compressed flag set with identity or empty encoding")
        #expect(test.response(strange).grpcStatus == 13)
        #expect(test.response(strange).grpcMessage == "grpc: received unexpected payload format 2")
        #expect(service.messages.count == 1)
    }

    @Test func halfAMessageAtTheEndIsAnError() throws {
        let service = ScriptedService.unary()
        let test = try GRPCTestConnection(service)
        let bytes = Array(framed([1, 2, 3]).dropLast())
        let id = test.client.request("POST", path, [("content-type", "application/grpc")], body: bytes)
        test.exchange()
        #expect(test.response(id).grpcStatus == 13)
        #expect(test.response(id).grpcMessage == "unexpected EOF")
        #expect(service.messages.isEmpty)
        #expect(service.halfCloses == 0)
    }

    @Test func whatIsNotGRPCIsRefusedWithoutAnHTTPRouter() throws {
        let test = try GRPCTestConnection(.unary())
        let none = test.client.request("GET", "/health")
        let json = test.client.request("POST", path, [("content-type", "application/json")], body: [])
        let similar = test.client.request("POST", path, [("content-type", "application/grpcweb")], body: [])
        let proto = test.client.request("POST", path, [("content-type", "application/grpc+proto")], body: framed([1]))
        test.exchange()
        #expect(test.response(none).status == "415")
        #expect(test.response(none).grpcMessage == #"invalid gRPC request content-type """#)
        #expect(test.response(json).grpcStatus == 3)
        #expect(test.response(json).grpcMessage == #"invalid gRPC request content-type "application/json""#)
        #expect(test.response(similar).status == "415")
        #expect(test.response(proto).messages == [[1]])
    }

    @Test func whatIsNotGRPCGoesToTheHTTPRouter() throws {
        final class Health: HTTPRouter {
            func respond(to exchange: HTTPExchange) { exchange.respond(status: 200, text: exchange.request.path) }
        }
        let test = try GRPCTestConnection(.unary(), http: Health())
        let ids = (0..<3).map { _ in
            (
                test.client.request("GET", "/health"), test.client.call(path, [[5]]),
                test.client.request("POST", "/x", body: [1, 2])
            )
        }
        test.exchange()
        for (health, call, post) in ids {
            #expect(test.response(health).body == Array("/health".utf8))
            #expect(test.response(call).messages == [[5]])
            #expect(test.response(post).body == Array("/x".utf8))
        }
        #expect(test.counters.read(.callsOpen) == 0)
        #expect(test.connection.count(.streamsOpen) == 0)
    }

    @Test func onlyPOSTIsACall() throws {
        let service = ScriptedService.unary()
        let test = try GRPCTestConnection(service)
        let id = test.client.request("GET", path, [("content-type", "application/grpc")])
        test.exchange()
        #expect(test.response(id).status == "405")
        #expect(test.response(id).grpcStatus == 13)
        #expect(test.response(id).grpcMessage == #"Received a HEADERS frame with :method "GET" which should be POST"#)
        #expect(service.streams.isEmpty)
    }
}
