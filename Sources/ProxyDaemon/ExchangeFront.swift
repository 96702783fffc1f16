import Balancing
import Configuration
import HTTP2
import NIOCore
import NIOPosix
import ProxyTransport
import Synchronization

/// Serves clients by forwarding their requests: `--mode http`.
final class ExchangeFront: ProxyFront {
    private let server: HTTPServer
    private let endpoints = Mutex<[ServerEndpoint]>([])
    private let applications: [NIOLoopBound<L7Application>]

    init(
        _ daemon: ProxyDaemon, _ group: MultiThreadedEventLoopGroup, _ balancers: [NIOLoopBound<LoopBalancer>],
        _ gate: ConnectionGate,
        _ source: PageSource, _ transport: MemberTransport
    ) throws {
        var settings = ForwardingSettings()
        settings.http2.connectTimeout = daemon.configuration.connectTimeout
        settings.replayBytes = Int(clamping: daemon.configuration.replayBufferBytes)
        settings.upstreamConnections = Int(clamping: daemon.configuration.upstreamConnections)
        let security = UpstreamSecurity(
            http2: { address in { channel in try transport.http2(address.host)?(channel) } },
            http1: { address in
                { channel in
                    if let context = transport.forHTTP1 {
                        try channel.pipeline.syncOperations.addHandler(context.makeHandler(host: address.host))
                    }
                }
            })
        let made = Mutex<[NIOLoopBound<L7Application>]>([])
        let byLoop = Dictionary(uniqueKeysWithValues: zip(group.makeIterator().map { ObjectIdentifier($0) }, balancers))
        server = try HTTPServer.make(group: group, configuration: ServerConfiguration(), gate: gate) { [settings] loop in
            let balancer = byLoop[ObjectIdentifier(loop.eventLoop)]!.value
            let application = L7Application(
                loop: loop, balancer: balancer,
                pages: ProxyPages(eventLoop: loop.eventLoop, source: source, isOwnListener: false),
                settings: settings, security: security)
            made.withLock { $0.append(NIOLoopBound(application, eventLoop: loop.eventLoop)) }
            return application.serverApplication
        }.wait()
        applications = made.withLock { $0 }
    }

    func listen(on listeners: [(url: EndpointURL, address: ListenAddress)]) throws {
        for listener in listeners {
            let endpoint = try server.listen(on: listener.address).wait()
            endpoints.withLock { $0.append(endpoint) }
        }
    }

    func stop(within limit: Duration) {
        for endpoint in endpoints.withLock({ $0 }) { try? endpoint.close().wait() }
        for application in applications { application.eventLoop.execute { application.value.drain() } }
        try? server.drain(deadline: limit).wait()
        for application in applications { application.eventLoop.execute { application.value.close() } }
    }
}

extension ProxyPages: ProxyTransport.ProxyPages {}
