import Balancing
import Configuration
import Daemon
import HTTP2
import NIOCore
import NIOPosix
import ProxyTransport
import Synchronization
import Telemetry

/// Serves clients by forwarding their requests: `--mode http`.
final class ExchangeFront: ProxyFront {
    private let server: HTTPServer
    private let clients: ListenerTLS
    private let endpoints = Mutex<[ServerEndpoint]>([])
    private let applications: [NIOLoopBound<L7Application>]

    init(
        _ daemon: ProxyDaemon, _ group: any EventLoopGroup, _ balancers: [NIOLoopBound<LoopBalancer>],
        _ gate: ConnectionGate,
        _ source: PageSource, _ transport: MemberTransport
    ) throws {
        let configuration = daemon.configuration
        try configuration.checkSharedIdentity()
        var settings = ForwardingSettings()
        settings.http2.connectTimeout = configuration.connectTimeout
        settings.replayBytes = Int(clamping: configuration.replayBufferBytes)
        settings.upstreamConnections = Int(clamping: configuration.upstreamConnections)
        if configuration.accessLog { settings.requestEnded = { [log = daemon.log] in log.note($0) } }
        let security = UpstreamSecurity(
            http2: { transport.http2($0.host) },
            http1: { address in
                { channel in try channel.pipeline.syncOperations.addHandler(transport.http1Handler(address.host)) }
            })
        var serving = ServerConfiguration()
        serving.headerTimeout = configuration.headerTimeout
        serving.prefaceTimeout = configuration.headerTimeout
        serving.http2.maximumConcurrentStreams = UInt32(
            clamping: min(configuration.maximumConcurrentStreams, UInt64(serving.http2.maximumConcurrentStreams)))
        serving.log = { [log = daemon.log] record in log.note(record) }
        clients = try ListenerTLS(configuration, daemon.log)
        let made = Mutex<[NIOLoopBound<L7Application>]>([])
        let byLoop = Dictionary(uniqueKeysWithValues: zip(group.makeIterator().map { ObjectIdentifier($0) }, balancers))
        server = try HTTPServer.make(group: group, configuration: serving, gate: gate) { [settings] loop in
            let balancer = byLoop[ObjectIdentifier(loop.eventLoop)]!.value
            let application = L7Application(
                loop: loop, balancer: balancer,
                pages: ProxyPages(eventLoop: loop.eventLoop, source: source, isOwnListener: false),
                settings: settings, security: security)
            made.withLock { $0.append(NIOLoopBound(application, eventLoop: loop.eventLoop)) }
            return application.serverApplication
        }.wait()
        applications = made.withLock { $0 }
        // Read by the page of metrics; the server lives as long as the process.
        daemon.metrics.readConnections(
            open: { [server] in Double(server.read(.connectionsOpen)) },
            accepted: { [server] in Double(server.read(.connectionsAccepted)) },
            refused: { [server] in Double(server.read(.connectionsRefused)) })
    }

    func listen(on listeners: [(url: EndpointURL, address: ListenAddress)]) throws {
        for listener in listeners {
            var options = ListenOptions()
            try clients.secure(&options, listener.url)
            let endpoint = try server.listen(on: listener.address, options).wait()
            endpoints.withLock { $0.append(endpoint) }
        }
    }

    func reload() -> String? { clients.reload() }

    func stop(within limit: Duration) {
        for endpoint in endpoints.withLock({ $0 }) { try? endpoint.close().wait() }
        for application in applications { application.eventLoop.execute { application.value.drain() } }
        try? server.drain(deadline: limit).wait()
        for application in applications { application.eventLoop.execute { application.value.close() } }
    }
}

extension ProxyPages: ProxyTransport.ProxyPages {}

extension Log {
    /// One line for each request; when lines are made faster than they are written, some are dropped and counted, as in every log here.
    fileprivate func note(_ record: RequestRecord) {
        info(
            "request",
            [
                "remote-addr": .string(record.client), "request": .string(record.name),
                "endpoint": .string(record.endpoint?.description ?? ""), "end": .string(record.end.rawValue),
                record.isGRPC ? "grpc-status" : "status": .int(record.code ?? -1), "took": .duration(record.duration),
                "request-bytes": .uint(record.requestBytes), "response-bytes": .uint(record.responseBytes),
                "attempts": .int(record.attempts),
            ])
    }
}
