import GRPC
import HTTP2
import HTTPTestKit

/// A service whose handlers a test scripts: /test.Echo/{Call,Other}, and /test.Empty without methods.
final class ScriptedService: GRPCRouter, GRPCStreamHandler {
    let methods = GRPCMethodTable([("test.Echo", ["Call", "Other"]), ("test.Empty", [])])
    var opened: (GRPCStream) -> Void = { _ in }
    var accepts: (GRPCStream) -> Bool = { _ in true }
    var message: (GRPCStream, [UInt8]) -> Void = { _, _ in }
    var halfClose: (GRPCStream) -> Void = { _ in }
    var drain: (GRPCStream) -> Void = { _ in }
    private(set) var messages: [[UInt8]] = []
    private(set) var halfCloses = 0
    private(set) var ends: [GRPCStreamEnd?] = []
    private(set) var bursts = 0
    private(set) var methodsCalled: [Int] = []
    /// The streams of all calls, if they are to be kept.
    private(set) var streams: [GRPCStream] = []
    var keepsStreams = true

    func handler(for method: Int, stream: GRPCStream) -> (any GRPCStreamHandler)? {
        guard accepts(stream) else { return nil }
        methodsCalled.append(method)
        if keepsStreams { streams.append(stream) }
        opened(stream)
        return self
    }

    func received(_ message: UnsafeRawBufferPointer, on stream: GRPCStream) {
        messages.append(Array(message))
        self.message(stream, Array(message))
    }

    func halfClosed(_ stream: GRPCStream) {
        halfCloses += 1
        halfClose(stream)
    }

    func drained(_ stream: GRPCStream) { drain(stream) }
    func closed(_ stream: GRPCStream) { ends.append(stream.end) }
    func readCompleted() { bursts += 1 }

    /// Answers the first message with itself.
    static func unary() -> ScriptedService {
        let service = ScriptedService()
        service.message = { stream, message in
            stream.send { $0.append(message) }
            stream.finish()
        }
        return service
    }

    /// Answers every message with itself until the client has no more.
    static func bidirectional() -> ScriptedService {
        let service = ScriptedService()
        service.message = { stream, message in stream.send { $0.append(message) } }
        service.halfClose = { $0.finish() }
        return service
    }
}

/// A connection to a dispatcher with that service.
struct GRPCTestConnection {
    let connection: TestConnection
    let counters = CounterSet<GRPCCounter>()
    var client: HTTP2TestClient { connection.client }

    init(
        _ service: ScriptedService, http: (any HTTPRouter)? = nil, client: HTTP2TestClient = HTTP2TestClient(),
        maximumMessageBytes: Int = 2 << 20, observer: (any GRPCCallObserver)? = nil,
        _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = ServerConfiguration()
        change(&configuration)
        var grpc = GRPCConfiguration()
        grpc.maximumMessageBytes = maximumMessageBytes
        let counters = self.counters
        connection = try TestConnection(configuration, client: client) { loop in
            let dispatcher = GRPCDispatcher(
                router: service, http: http, loop: loop, configuration: grpc, counters: counters, observer: observer)
            return ServerApplication(http2: dispatcher, http1: http)
        }
    }

    func exchange() { connection.exchange() }
    func response(_ id: Int32) -> TestResponse { client.responses[id] ?? TestResponse() }
}
