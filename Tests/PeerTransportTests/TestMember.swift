import Glibc
import HTTP2
import Host
import NIOCore
import NIOPosix
import Raft
import Records
import Simulation
import Synchronization
import Telemetry
import WAL

@testable import PeerTransport

/// What a member heard, and a way to wait for it.
final class TestSink: PeerSink {
    struct Heard: Sendable {
        var messages: [Message] = []
        var unreachable: [MemberID] = []
        var sent: [(MemberID, Bool)] = []
        var snapshots: [(Message, String)] = []
        var wasRemoved = false
    }

    private let heard = Mutex(Heard())
    let takes: Bool

    init(takes: Bool = true) { self.takes = takes }

    var now: Heard { heard.withLock { $0 } }

    func received(_ messages: [Message]) -> Int {
        guard takes else { return 0 }
        heard.withLock { $0.messages += messages }
        return messages.count
    }
    func unreachable(_ members: [MemberID]) { heard.withLock { $0.unreachable += members } }
    func snapshotSent(to member: MemberID, succeeded: Bool) { heard.withLock { $0.sent.append((member, succeeded)) } }
    func snapshotReceived(_ message: Message, database: String) {
        heard.withLock { $0.snapshots.append((message, database)) }
    }
    func removedFromCluster() { heard.withLock { $0.wasRemoved = true } }
}

/// Looks again until the condition holds; false after 20 s.
func eventually(_ condition: () -> Bool) -> Bool {
    for _ in 0..<4_000 {
        if condition() { return true }
        usleep(5_000)
    }
    return condition()
}

/// A router that is known only after its server.
final class LateRouter: HTTPRouter {
    var router: (any HTTPRouter)?
    func respond(to exchange: HTTPExchange) {
        if let router { router.respond(to: exchange) } else { exchange.abort() }
    }
    func takesBodyInPieces(_ request: HTTPRequest) -> Bool { router?.takesBodyInPieces(request) ?? false }
}

/// Answers what is not raft's.
final class PlainPages: HTTPRouter {
    func respond(to exchange: HTTPExchange) {
        switch exchange.request.path {
        case "/members": exchange.respond(status: 200, text: "[] \(exchange.request.first("x-test") ?? "")")
        case "/echo": exchange.respond(status: 200, body: exchange.request.body)
        case "/never": break
        default: exchange.respond(status: 404, text: "404 page not found\n")
        }
    }
}

/// A member's transport with its server on a loopback port, and nothing behind it.
final class TestMember {
    let id: MemberID
    let sink: TestSink
    let transport: PeerTransport
    let client: PeerHTTPClient
    let disk = FaultyDisk()
    let metrics: NetworkMetrics
    let registry = MetricsRegistry()
    private(set) var port: Int
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let pool = NIOThreadPool(numberOfThreads: 1)
    private let server: HTTPServer
    private let endpoint: ServerEndpoint

    init(
        _ id: MemberID, cluster: UInt64 = 0xc1, version: ClusterVersion = ClusterVersion(3, 5, 30), port: Int = 0,
        sink: TestSink = TestSink(), snapshotRate: Int? = nil
    ) throws {
        self.id = id
        self.sink = sink
        pool.start()
        let loop = group.next()
        let late = NIOLoopBoundBox.makeBoxSendingValue(LateRouter(), eventLoop: loop)
        var configuration = ServerConfiguration()
        configuration.http1.maximumBodyBytes = PeerRouter.maximumMessageBytes
        server = try HTTPServer.make(group: group, configuration: configuration) { _ in
            ServerApplication(http2: NoHTTP2(), http1: late.value)
        }.wait()
        endpoint = try server.listen(on: .tcp(host: "127.0.0.1", port: port)).wait()
        self.port = endpoint.port!
        var settings = PeerSettings(
            localID: id, clusterID: cluster, advertisedURLs: ["http://127.0.0.1:\(self.port)"], serverVersion: version)
        settings.snapshotBytesPerSecond = snapshotRate
        client = PeerHTTPClient(eventLoop: loop)
        let all = MemberMetrics(
            registry, etcdVersion: "3.5.30", version: "0", methods: [], grpcShards: 1, extensive: false)
        metrics = all.network
        try disk.createDirectory("/snap", permissions: 0o700)
        let log = try Log(LogOptions(level: .fatal, outputs: ["/dev/null"]))
        let made = PeerTransport(
            settings, eventLoop: loop, client: client, pool: pool, snapshots: SnapshotDirectory(disk, path: "/snap"),
            metrics: metrics, log: log, sink: sink)
        transport = made
        try loop.submit { late.value.router = PeerRouter(made, others: PlainPages()) }.wait()
    }

    var url: String { "http://127.0.0.1:\(port)" }
    var asPeer: PeerMember { PeerMember(id: id, urls: [url]) }

    /// Both streams are up, in both directions.
    func isLinked(to other: TestMember) -> Bool {
        let links = try? transport.shared.eventLoop.submit { [transport, id = other.id] in
            transport.loop.value.member(id)?.links
        }.wait()
        guard let links = links ?? nil else { return false }
        return links.writers.allSatisfy { $0.attached != nil } && links.readers.allSatisfy(\.isReading)
    }

    func stop() {
        try? transport.stop().wait()
        try? endpoint.close().wait()
        try? server.drain(deadline: .zero).wait()
        client.close()
        try? group.syncShutdownGracefully()
        try? pool.syncShutdownGracefully()
    }
}

/// No peer speaks HTTP/2 here.
final class NoHTTP2: HTTP2RequestSink {
    func requestBegan(_ stream: HTTP2Stream) { stream.reset(7) }
    func requestBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2Stream) {}
    func requestEnded(_ stream: HTTP2Stream) {}
    func outputDrained(_ stream: HTTP2Stream) {}
    func inputReleased(_ stream: HTTP2Stream) {}
    func streamClosed(_ stream: HTTP2Stream, _ end: StreamEnd) {}
    func readCompleted() {}
}

/// Bytes instead of a database.
final class TestDatabase: SnapshotDatabase {
    let size: Int
    private let position = Mutex(0)
    private let failsAt: Int?

    init(size: Int, failsAt: Int? = nil) {
        self.size = size
        self.failsAt = failsAt
    }

    struct Unreadable: Error {}

    static func byte(at position: Int) -> UInt8 { UInt8(truncatingIfNeeded: position &* 31 &+ position >> 8) }

    func next() throws -> ByteBuffer? {
        try position.withLock { position in
            guard position < size else { return nil }
            if let failsAt, position >= failsAt { throw Unreadable() }
            let piece = (position..<min(position + 100_000, size)).map { Self.byte(at: $0) }
            position += piece.count
            return ByteBuffer(bytes: piece)
        }
    }
}
