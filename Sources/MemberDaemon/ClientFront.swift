import ClientAPI
import Configuration
import Daemon
import EtcdAPI
import GRPC
import HTTP2
import LinuxHost
import Member
import NIOCore
import NIOPosix
import Synchronization
import Systemd
import Telemetry
import Watch

/// Everything that faces clients: one set of services per event loop, and the listeners.
final class ClientFront: Sendable {
    private let daemon: MemberDaemon
    private let member: MemberThread
    private let tls: MemberTLS
    private let server: HTTPServer
    private let metricsServer: HTTPServer
    /// Answers what is not gRPC where `--listen-client-http-urls` says so.
    private let httpServer: HTTPServer?
    private let endpoints = Mutex<[ServerEndpoint]>([])
    /// One for all listeners: a loop that waits for the disk gets no connection from any of them.
    let acceptor: Acceptor

    init(
        _ daemon: MemberDaemon, _ member: MemberThread, _ group: MultiThreadedEventLoopGroup, _ serving: Serving,
        _ tls: MemberTLS,
        _ inherited: inout InheritedSockets
    ) throws {
        let acceptor = Acceptor(for: group)
        self.acceptor = acceptor
        self.daemon = daemon
        self.tls = tls
        self.member = member
        let loopCount = MemberDaemon.loopCount
        let positions = Dictionary(
            uniqueKeysWithValues: group.makeIterator().enumerated().map { (ObjectIdentifier($0.element), $0.offset) })
        // Both servers have services of their own on each loop; their links are numbered server by server.
        let number: @Sendable (ServerLoop, Int) -> Int = { loop, server in
            server * loopCount + positions[ObjectIdentifier(loop.eventLoop)]!
        }
        let gate = ConnectionGate(limit: System.connectionLimit)
        server = try HTTPServer.make(group: group, configuration: serving.server, gate: gate) { loop in
            let index = number(loop, 0)
            return LoopServices(
                loop: loop, index: index, shard: index, member: member, serving: serving, listener: .client,
                occupancy: acceptor.occupancy
            ).application { $0 }
        }.wait()
        let pagesOnly: @Sendable (ServerLoop, HealthRouter.Listener, Int) -> ServerApplication = { loop, listener, index in
            let link = LoopServices.link(loop, index: index, member)
            let router = HealthRouter(serving.pages, member: link, listener: listener, access: serving.access)
            let dispatcher = GRPCDispatcher(router: NoProcedures(), http: router, loop: loop)
            return ServerApplication(http2: dispatcher, http1: router)
        }
        metricsServer = try HTTPServer.make(group: group, configuration: serving.server) { loop in
            pagesOnly(loop, .metrics, number(loop, 1))
        }.wait()
        // The number between is the peers' loop's.
        httpServer =
            serving.isSplit
            ? try HTTPServer.make(group: group, configuration: serving.server, gate: gate) { loop in
                pagesOnly(loop, .client, number(loop, 2) + 1)
            }.wait() : nil
        try listen(daemon.configuration, &inherited)
    }

    private func listen(_ configuration: MemberConfiguration, _ inherited: inout InheritedSockets) throws {
        var taken: Set<String> = []
        let urls =
            configuration.listenClientURLs.map { (server, $0) }
            + configuration.listenClientHTTPURLs.map { (httpServer ?? server, $0) }
        for (server, url) in urls {
            // http and https may share an address.
            guard taken.insert(url.isUnixSocket ? url.socketPath : url.authority).inserted || url.port == 0 else { continue }
            try listen(server, url, .client, inherited.address("client", url))
        }
        for url in configuration.listenMetricsURLs {
            try listen(metricsServer, url, .metrics, inherited.address("metrics", url))
            daemon.log.info("serving metrics", ["address": .string(url.description)])
        }
    }

    private func listen(
        _ server: HTTPServer, _ url: EndpointURL, _ listener: MemberTLS.Listener, _ address: ListenAddress
    ) throws {
        var options = ListenOptions()
        options.reusePort = daemon.configuration.socketReusePort
        tls.secure(&options, url, listener)
        let endpoint = try server.listen(on: address, through: acceptor, options)
        endpoints.withLock { $0.append(endpoint) }
    }

    func startServing() {
        let grpc = daemon.configuration.listenClientURLs.map { (httpServer == nil ? "grpc+http" : "grpc", $0) }
        for (traffic, url) in grpc + daemon.configuration.listenClientHTTPURLs.map({ ("http", $0) }) {
            daemon.log.info(
                url.isSecure
                    ? "serving client traffic securely" : "serving client traffic insecurely; this is strongly discouraged!",
                ["traffic": .string(traffic), "address": .string(url.isUnixSocket ? url.socketPath : url.authority)])
        }
    }

    /// A loop that waits for the disk cannot be told to stop.
    private static let patience = Duration.seconds(1)

    func stop(within limit: Duration) {
        for endpoint in endpoints.withLock({ $0 }) { try? endpoint.close().wait() }
        wait(for: server.drain(deadline: limit), within: limit)
        wait(for: metricsServer.drain(deadline: .seconds(1)), within: .seconds(1))
        if let httpServer { wait(for: httpServer.drain(deadline: .seconds(1)), within: .seconds(1)) }
    }

    private func wait(for drained: EventLoopFuture<Void>, within limit: Duration) {
        let eitherWay = acceptor.eventLoop.makePromise(of: Void.self)
        drained.whenComplete { _ in eitherWay.succeed() }
        let timer = acceptor.eventLoop.scheduleTask(in: TimeAmount(limit + ClientFront.patience)) { eitherWay.succeed() }
        try? eitherWay.futureResult.wait()
        timer.cancel()
    }
}

/// A router without procedures, for listeners that serve pages only.
private final class NoProcedures: GRPCRouter {
    let methods = GRPCMethodTable([])
    func handler(for method: Int, stream: GRPCStream) -> (any GRPCStreamHandler)? { nil }
    func readCompleted() {}
}

extension TimeAmount {
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = .nanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
