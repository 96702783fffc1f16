import ClientAPI
import Configuration
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
    /// etcd up to 3.5 answers clients on the peer port too, and some guides list members there.
    private let peerServer: HTTPServer
    private let metricsServer: HTTPServer
    private let endpoints = Mutex<[ServerEndpoint]>([])

    init(
        _ daemon: MemberDaemon, _ member: MemberThread, _ group: MultiThreadedEventLoopGroup, _ settings: MemberSettings,
        _ tls: MemberTLS, openReaders: @escaping @Sendable () -> Int
    ) throws {
        self.daemon = daemon
        self.tls = tls
        self.member = member
        let configuration = daemon.configuration
        let log = daemon.log
        var serving = ServerConfiguration()
        serving.http2.apply(configuration)
        serving.log = { record in log.note(record) }
        var limits = ClientLimits()
        limits.requestBytes = Int(clamping: configuration.maxRequestBytes)
        limits.transactionOperations = Int(clamping: configuration.maxTransactionOperations)
        limits.etcdVersion = settings.behavesAs.description
        limits.behavesAsMinor = settings.behavesAs.minor
        let loopCount = MemberDaemon.loopCount
        let counts = (0..<2 * loopCount).map { _ in LoopCounts() }
        let refresh = MetricsRefresh(daemon.metrics, member, counts, openReaders: openReaders)
        let pages = HealthPages(
            port: member, registry: daemon.registry, health: daemon.metrics.health, etcdVersion: limits.etcdVersion,
            version: daemon.version.version,
            refreshMetrics: { refresh.run() })
        let frozenLimits = limits
        let positions = Dictionary(
            uniqueKeysWithValues: group.makeIterator().enumerated().map { (ObjectIdentifier($0.element), $0.offset) })
        // Every server has services of its own on each loop; their links are numbered server by server.
        let number: @Sendable (ServerLoop, Int) -> Int = { loop, server in
            server * loopCount + positions[ObjectIdentifier(loop.eventLoop)]!
        }
        let services: @Sendable (ServerLoop, HealthRouter.Listener) -> ServerApplication = { loop, listener in
            let index = number(loop, listener == .client ? 0 : 1)
            // A loop always writes the same shard.
            return LoopServices(
                loop: loop, index: index, member: member, metrics: daemon.metrics, shard: index % loopCount,
                counts: counts[index], limits: frozenLimits, pages: pages, listener: listener,
                settings: settings, progressInterval: configuration.effectiveWatchProgressNotifyInterval
            ).application
        }
        let gate = ConnectionGate(limit: System.connectionLimit)
        server = try HTTPServer.make(group: group, configuration: serving, gate: gate) { services($0, .client) }.wait()
        peerServer = try HTTPServer.make(group: group, configuration: serving, gate: gate) { services($0, .peer) }.wait()
        metricsServer = try HTTPServer.make(group: group, configuration: serving) { loop in
            let link = LoopServices.link(loop, index: number(loop, 2), member)
            let router = HealthRouter(pages, member: link, listener: .metrics)
            let dispatcher = GRPCDispatcher(router: NoProcedures(), http: router, loop: loop)
            return ServerApplication(http2: dispatcher, http1: router)
        }.wait()
        try listen(configuration)
    }

    private func listen(_ configuration: MemberConfiguration) throws {
        var inherited = daemon.inheritedSockets
        var taken: Set<String> = []
        for url in configuration.listenClientURLs + configuration.listenClientHTTPURLs {
            // http and https may share an address.
            guard taken.insert(url.isUnixSocket ? url.socketPath : url.authority).inserted || url.port == 0 else { continue }
            try listen(server, url, .client, inherited.address("client", url))
        }
        for url in configuration.listenPeerURLs { try listen(peerServer, url, .peer, inherited.address("peer", url)) }
        for url in configuration.listenMetricsURLs {
            try listen(metricsServer, url, .metrics, inherited.address("metrics", url))
            daemon.log.info("serving metrics", ["address": .string(url.description)])
        }
        try inherited.requireAllTaken()
    }

    private func listen(
        _ server: HTTPServer, _ url: EndpointURL, _ listener: MemberTLS.Listener, _ address: ListenAddress
    ) throws {
        var options = ListenOptions()
        options.reusePort = daemon.configuration.socketReusePort
        tls.secure(&options, url, listener)
        let endpoint = try server.listen(on: address, options).wait()
        endpoints.withLock { $0.append(endpoint) }
    }

    func startServing() {
        for url in daemon.configuration.listenClientURLs {
            daemon.log.info(
                url.isSecure
                    ? "serving client traffic securely" : "serving client traffic insecurely; this is strongly discouraged!",
                ["traffic": "grpc+http", "address": .string(url.isUnixSocket ? url.socketPath : url.authority)])
        }
    }

    func stop(within limit: Duration) {
        for endpoint in endpoints.withLock({ $0 }) { try? endpoint.close().wait() }
        try? server.drain(deadline: limit).wait()
        try? peerServer.drain(deadline: .seconds(1)).wait()
        try? metricsServer.drain(deadline: .seconds(1)).wait()
    }
}

/// The services of one event loop.
private final class LoopServices {
    let application: ServerApplication

    /// A loop's link to the member whose answers are all it hears.
    static func link(_ loop: ServerLoop, index: Int, _ member: MemberThread) -> LoopMember {
        let link = LoopMember(index: index, port: member, milliseconds: SystemClock.wallNanoseconds() / 1_000_000)
        let bound = NIOLoopBound(link, eventLoop: loop.eventLoop)
        member.attach(
            LoopMailbox(eventLoop: loop.eventLoop) { answers, _ in
                bound.value.deliver(answers)
                bound.value.endBurst()
            }, at: index)
        return link
    }

    init(
        loop: ServerLoop, index: Int, member: MemberThread, metrics: MemberMetrics, shard: Int,
        counts: LoopCounts,
        limits: ClientLimits, pages: HealthPages,
        listener: HealthRouter.Listener, settings: MemberSettings, progressInterval: Duration
    ) {
        let milliseconds = SystemClock.wallNanoseconds() / 1_000_000
        let link = LoopMember(index: index, port: member, milliseconds: milliseconds)
        let watches = WatchService(member: link, eventLoop: loop.eventLoop, counts: counts, settings: WatchHub.Settings())
        let versions = ClientVersionCounter(metrics.server.clientRequests)
        let calls = metrics.grpc.shard(shard)
        let router = ClientRouter(
            member: link, watches: watches, limits: limits, metrics: ClientMetrics(metrics, counts),
            wallSeconds: { Int64(SystemClock.wallNanoseconds() / 1_000_000_000) },
            onStart: { procedure, stream in
                calls.started(procedure.rawValue)
                versions.count(procedure, stream)
            })
        let http = HealthRouter(pages, member: link, listener: listener)
        var grpc = GRPCConfiguration()
        grpc.maximumMessageBytes = limits.requestBytes + 512 * 1024
        let dispatcher = GRPCDispatcher(
            router: router, http: http, loop: loop, configuration: grpc, observer: CallObserver(calls))
        application = ServerApplication(http2: dispatcher, http1: http)
        let bound = NIOLoopBound((link, watches, router), eventLoop: loop.eventLoop)
        let mailbox = LoopMailbox(eventLoop: loop.eventLoop) { answers, published in
            let (link, watches, router) = bound.value
            link.deliver(answers)
            if let published {
                watches.advance(to: published)
                router.advanceHealth()
            }
            // Answers may have caused new requests.
            link.endBurst()
        }
        watches.onWatchingChanged = { mailbox.setWatching($0) }
        member.attach(mailbox, at: index)
        let interval = TimeAmount(progressInterval)
        loop.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in bound.value.1.progressTick() }
        let patience = settings.requestTimeout
        let often = TimeAmount.nanoseconds(min(settings.electionTimeout.nanoseconds / 2, 500_000_000))
        loop.eventLoop.scheduleRepeatedTask(initialDelay: often, delay: often) { _ in
            let (link, _, router) = bound.value
            link.lookForStall(requestTimeout: patience)
            router.advanceHealth()
        }
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

extension EndpointURL {
    var listenAddress: ListenAddress {
        if isUnixSocket { return .unix(path: socketPath, replaceExisting: true) }
        return .tcp(host: host, port: Int(port))
    }
}

extension InheritedSockets {
    /// Where a listener of the configuration listens: on the socket that systemd opened for it, or on one of its own.
    mutating func address(_ name: String, _ url: EndpointURL) -> ListenAddress {
        let place: InheritedSocket.Address = url.isUnixSocket ? .path(url.socketPath) : .port(url.port)
        return take(name, place).map { .descriptor($0) } ?? url.listenAddress
    }
}

extension Log {
    func note(_ record: ServerLogRecord) {
        switch record.level {
        case .debug: debug(record.message, ["remote-addr": .string(record.peer)])
        case .info: info(record.message, ["remote-addr": .string(record.peer)])
        case .warning: warn(record.message, ["remote-addr": .string(record.peer)])
        }
    }
}
