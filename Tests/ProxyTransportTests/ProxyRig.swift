import Balancing
import Bytes
import GRPC
import HTTP2
import NIOCore
import NIOPosix
import ProxyTransport
import Synchronization
import Telemetry

/// What a scripted member does with a request.
enum Behaviour: Sendable, CaseIterable {
    case answer
    /// REFUSED_STREAM: nobody worked on it.
    case refuse
    /// RST_STREAM with INTERNAL_ERROR.
    case reset
    /// Header fields and half a message, then RST_STREAM.
    case halfReply
    /// The status a member without a leader gives.
    case unavailable
    case hang
    /// The whole message, bigger than the proxy holds back, but for its last bytes.
    case longHalfReply
    /// A message in answer to each piece of the request, as streams go.
    case talk
    /// Nothing but a status, as soon as a piece of the request is there.
    case deny
}

/// A member that behaves as told. Its answers are one message with its own number.
final class ScriptedMember: HTTP2RequestSink {
    let number: UInt8
    private let script: MemberScript

    init(number: UInt8, script: MemberScript) {
        self.number = number
        self.script = script
    }

    private static let head = HeaderTemplate([(":status", "200"), ("content-type", "application/grpc")])

    func requestBegan(_ stream: HTTP2Stream) { if stream.requestEnded { requestEnded(stream) } }

    func requestBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2Stream) {
        script.note(bytes)
        if script.takesBodies { stream.credit(bytes.count) }
        converse(stream)
    }

    private func converse(_ stream: HTTP2Stream) {
        switch script.behaviour {
        case .talk:
            if !stream.hasResponse { _ = script.next(stream) }
            stream.begin(Self.head)
            stream.write { $0.append([0, 0, 0, 0, 1, number]) }
        case .deny:
            _ = script.next(stream)
            stream.begin([
                HTTPField(":status", "200"), HTTPField("content-type", "application/grpc"), HTTPField("grpc-status", "7"),
                HTTPField("grpc-message", "etcdserver: permission denied"),
            ])
            stream.end()
        default: break
        }
    }

    func requestEnded(_ stream: HTTP2Stream) {
        guard script.behaviour != .talk, script.behaviour != .deny else { return }
        let behaviour = script.next(stream)
        switch behaviour {
        case .answer:
            stream.begin(Self.head)
            stream.write { $0.append([0, 0, 0, 0, 1, number]) }
            stream.end(trailers: [HTTPField("grpc-status", "0"), HTTPField("grpc-message", "")])
        case .refuse: stream.reset(HTTP2ErrorCode.refusedStream)
        case .reset: stream.reset(HTTP2ErrorCode.internalError)
        case .halfReply, .longHalfReply:
            stream.begin(Self.head)
            let length = behaviour == .halfReply ? 10 : 200_000
            stream.write {
                $0.append([0, 0, UInt8(length >> 16), UInt8(length >> 8 & 255), UInt8(length & 255)])
                $0.append([UInt8](repeating: 7, count: length - 5))
            }
            // Reset once what was written has gone out, as far as it may.
            stream.session?.connection.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(50)) {
                stream.reset(HTTP2ErrorCode.internalError)
            }
        case .unavailable:
            stream.begin([
                HTTPField(":status", "200"), HTTPField("content-type", "application/grpc"), HTTPField("grpc-status", "14"),
                HTTPField("grpc-message", "etcdserver: no leader"),
            ])
            stream.end()
        case .hang, .talk, .deny: break
        }
    }

    func outputDrained(_ stream: HTTP2Stream) {}
    func inputReleased(_ stream: HTTP2Stream) {}
    func streamClosed(_ stream: HTTP2Stream, _ end: StreamEnd) {
        if case .reset(let code) = end { script.note(resetWith: code) }
    }
    func readCompleted() {}
}

/// How a scripted member behaves and what it has seen, for the test's thread.
final class MemberScript: Sendable {
    private struct State {
        var behaviour: Behaviour
        var requests = 0
        var bytes = 0
        var unfinished: [UInt8] = []
        var body: [UInt8] = []
        var resets: [UInt32] = []
        var fields: [String: String] = [:]
    }

    private let state: Mutex<State>
    let takesBodies: Bool

    init(_ behaviour: Behaviour, takesBodies: Bool = true) {
        state = Mutex(State(behaviour: behaviour))
        self.takesBodies = takesBodies
    }

    var requests: Int { state.withLock { $0.requests } }
    var bytes: Int { state.withLock { $0.bytes } }
    /// The request that ended last. Meant for one at a time.
    var lastBody: [UInt8] { state.withLock { $0.body } }
    var resets: [UInt32] { state.withLock { $0.resets } }
    /// Header fields of the last request.
    var fields: [String: String] { state.withLock { $0.fields } }
    var behaviour: Behaviour { state.withLock { $0.behaviour } }
    func become(_ behaviour: Behaviour) { state.withLock { $0.behaviour = behaviour } }
    func note(_ bytes: UnsafeRawBufferPointer) {
        let copy = Array(bytes)
        state.withLock {
            $0.bytes += copy.count
            $0.unfinished += copy
        }
    }
    func note(resetWith code: UInt32) { state.withLock { $0.resets.append(code) } }

    func next(_ stream: HTTP2Stream) -> Behaviour {
        var fields: [String: String] = [:]
        stream.head.forEach { fields[String(decoding: $0, as: UTF8.self)] = String(decoding: $1, as: UTF8.self) }
        return state.withLock {
            $0.requests += 1
            ($0.body, $0.unfinished) = ($0.unfinished, [])
            $0.fields = fields
            return $0.behaviour
        }
    }
}

final class NoPages: ProxyPages {
    func page(_ exchange: HTTPExchange) -> Bool {
        guard exchange.request.path == "/proxy/health" else { return false }
        exchange.respond(status: 200, text: "own")
        return true
    }
}

final class NoListener: HealthListener {
    func requestFailed(_ id: EndpointID, _ outcome: Outcome, successesBefore: Int) {}
    func suspected(_ id: EndpointID) {}
}

func servingEndpoint(_ index: Int, _ port: Int) -> BalancingView.Endpoint {
    BalancingView.Endpoint(
        id: EndpointID(rawValue: UInt32(index)), address: EndpointAddress(scheme: .http, host: "127.0.0.1", port: UInt16(port)),
        standing: .serving, memberID: UInt64(index + 10))
}

func makeBalancer(
    _ loop: any EventLoop, _ endpoints: [BalancingView.Endpoint], isReadOnly: Bool = false
) throws -> NIOLoopBound<LoopBalancer> {
    try loop.submit {
        var balancing = BalancingSettings()
        balancing.policy = .roundRobin
        let balancer = LoopBalancer(
            eventLoop: loop, settings: balancing, budget: RetryBudget(share: 0.2, perSecond: 10), isReadOnly: isReadOnly,
            seed: 1, metrics: ProxyMetrics(MetricsRegistry(), version: "test"), listener: NoListener())
        balancer.update(BalancingView(endpoints: endpoints))
        return NIOLoopBound(balancer, eventLoop: loop)
    }.wait()
}

/// A proxy with scripted members behind it, all on one event loop and real loopback sockets.
final class ProxyRig {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop: any EventLoop
    let target: GRPCTarget
    private let servers: [HTTPServer]
    private let application: NIOLoopBound<L7Application>
    let balancer: NIOLoopBound<LoopBalancer>

    /// - Parameters:
    ///   - scripts: one for each member; nil for one whose port nobody listens on.
    ///   - ports: members that the test plays itself.
    ///   - front, members: what the proxy and the members allow their clients.
    init(
        _ scripts: [MemberScript?], extra ports: [Int] = [], isReadOnly: Bool = false,
        front: ServerConfiguration = ServerConfiguration(), members: ServerConfiguration = ServerConfiguration(),
        _ change: (inout ForwardingSettings) -> Void = { _ in }
    ) throws {
        let loop = group.next()
        self.loop = loop
        var settings = ForwardingSettings()
        settings.replayBytes = 100_000
        change(&settings)
        var servers: [HTTPServer] = []
        var endpoints: [BalancingView.Endpoint] = []
        for index in 0..<(scripts.count + ports.count) {
            let port: Int
            if index >= scripts.count {
                port = ports[index - scripts.count]
            } else if let script = scripts[index] {
                let server = try HTTPServer.make(group: group, configuration: members) { _ in
                    ServerApplication(
                        http2: ScriptedMember(number: UInt8(index), script: script), http1: NumberPage(UInt8(index)))
                }.wait()
                port = try server.listen(on: .tcp(host: "127.0.0.1", port: 0)).wait().port ?? 0
                servers.append(server)
            } else {
                port = try Self.deadPort(group)
            }
            endpoints.append(servingEndpoint(index, port))
        }
        balancer = try makeBalancer(loop, endpoints, isReadOnly: isReadOnly)
        let made = Mutex<NIOLoopBound<L7Application>?>(nil)
        let proxy = try HTTPServer.make(group: group, configuration: front) { [settings, balancer] serverLoop in
            let application = L7Application(
                loop: serverLoop, balancer: balancer.value, pages: NoPages(), settings: settings, security: nil)
            made.withLock { $0 = NIOLoopBound(application, eventLoop: serverLoop.eventLoop) }
            return application.serverApplication
        }.wait()
        application = made.withLock { $0! }
        let port = try proxy.listen(on: .tcp(host: "127.0.0.1", port: 0)).wait().port ?? 0
        target = GRPCTarget(address: .tcp(host: "127.0.0.1", port: port), isSecure: false, authority: "127.0.0.1:\(port)")
        self.servers = servers + [proxy]
    }

    deinit { try? group.syncShutdownGracefully() }

    /// A port that was free a moment ago.
    private static func deadPort(_ group: any EventLoopGroup) throws -> Int {
        let channel = try ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).wait()
        let port = channel.localAddress?.port ?? 0
        try channel.close().wait()
        return port
    }

    func call(
        _ path: String, _ message: [UInt8] = [], metadata: [HTTPField] = [], timeout: Duration = .seconds(5)
    ) throws -> GRPCUnaryReply {
        try loop.flatSubmit { [loop, target] in
            let client = GRPCUnaryClient(output: LoopOutput(eventLoop: loop))
            let reply = client.call(target, path, message, metadata: metadata, timeout: timeout)
            return reply.assumeIsolated().map { reply in
                client.close(target)
                return reply
            }.nonisolated()
        }.wait()
    }

    /// Makes a call that the caller does not wait for.
    func start(_ path: String, _ message: [UInt8], timeout: Duration) -> EventLoopFuture<GRPCUnaryReply> {
        loop.flatSubmit { [loop, target] in
            GRPCUnaryClient(output: LoopOutput(eventLoop: loop)).call(target, path, message, timeout: timeout)
        }
    }

    /// Begins a call with one message, and does not end its request.
    func open(_ path: String, _ message: [UInt8]) throws -> OpenCall {
        let call = OpenCall()
        let framed = [0] + withUnsafeBytes(of: UInt32(message.count).bigEndian) { Array($0) } + message
        try loop.submit { [loop, target] in
            let connection = HTTP2ClientConnection(
                to: target.address, output: LoopOutput(eventLoop: loop), pool: HTTP2ClientStreamPool())
            let stream = connection.open(OpenCall.Receiver(call, connection)) { head in
                head.append(":method", "POST")
                head.append(":scheme", "http")
                head.append(":path", path)
                head.append(":authority", target.authority)
                head.append("te", "trailers")
                head.append("content-type", "application/grpc")
            }
            call.stream.withLock { $0 = stream.map { NIOLoopBound($0, eventLoop: loop) } }
            call.write(framed)
            connection.connect()
        }.wait()
        return call
    }

    /// One more message of an open call.
    func send(_ message: [UInt8], on call: OpenCall) throws {
        let framed = [0] + withUnsafeBytes(of: UInt32(message.count).bigEndian) { Array($0) } + message
        try loop.submit { call.write(framed) }.wait()
    }

    /// Bytes of the call's request that the proxy has not taken.
    func queuedBytes(of call: OpenCall) throws -> Int {
        try loop.submit { call.stream.withLock { $0?.value.queuedBytes ?? 0 } }.wait()
    }

    /// Tells the proxy that an endpoint is to be left.
    func leave(_ index: UInt32, _ reason: LeaveReason) throws {
        try loop.submit { [balancer] in balancer.value.leave(EndpointID(rawValue: index), reason) }.wait()
    }

    /// What the proxy does first when it shuts down.
    func drainProxy() throws { try loop.submit { [application] in application.value.drain() }.wait() }

    /// Has a member say GOAWAY and wait for its streams.
    func drain(_ index: Int) { _ = servers[index].drain(deadline: .seconds(60)) }

    func waitUntil(_ what: String, _ condition: () throws -> Bool) throws {
        for _ in 0..<500 {
            if try condition() { return }
            try loop.scheduleTask(in: .milliseconds(10)) {}.futureResult.wait()
        }
        throw Timeout(what: what)
    }

    struct Timeout: Error { let what: String }
}

/// Answers plain requests with the member's number, the target and the body.
private final class NumberPage: HTTPRouter {
    private let number: UInt8
    init(_ number: UInt8) { self.number = number }

    func respond(to exchange: HTTPExchange) {
        let request = exchange.request
        let text = "\(number) \(request.method) \(request.path)?\(request.query) \(String(decoding: request.body, as: UTF8.self))"
        exchange.respond(status: 200, fields: [HTTPField("x-member", "\(number)")], text: text)
    }
}

/// What has become of a call whose request goes on, for the test's thread.
final class OpenCall: Sendable {
    private let state = Mutex<(isOver: Bool, status: Int?, messages: Int)>((false, nil, 0))

    /// Messages of one byte that have come.
    var messages: Int { state.withLock { $0.messages } }
    let stream = Mutex<NIOLoopBound<HTTP2ClientStream>?>(nil)

    var isOver: Bool { state.withLock { $0.isOver } }
    var status: Int? { state.withLock { $0.status } }

    /// On the stream's event loop.
    func write(_ bytes: [UInt8]) {
        let stream = stream.withLock { $0?.value }
        bytes.withUnsafeBytes { stream?.write($0) }
    }

    final class Receiver: HTTP2ResponseReceiver {
        private let call: OpenCall
        /// Kept while the call is open.
        private var connection: HTTP2ClientConnection?

        init(_ call: OpenCall, _ connection: HTTP2ClientConnection) {
            self.call = call
            self.connection = connection
        }

        func responseBegan(_ stream: HTTP2ClientStream) {}
        func responseBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2ClientStream) {
            call.state.withLock { $0.messages += bytes.count / 6 }
            stream.credit(bytes.count)
        }
        func responseEnded(_ stream: HTTP2ClientStream) {
            let status = stream.trailers.first("grpc-status") ?? stream.responseHead.first("grpc-status")
            call.state.withLock { $0.status = status.flatMap { Int(String(decoding: $0, as: UTF8.self)) } }
        }
        func outputDrained(_ stream: HTTP2ClientStream) {}
        func streamClosed(_ stream: HTTP2ClientStream, _ end: ClientStreamEnd) {
            call.state.withLock { $0.isOver = true }
            connection?.close()
            connection = nil
        }
    }
}
