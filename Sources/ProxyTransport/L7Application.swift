import Balancing
import HTTP2
import NIOCore

/// The proxy's HTTP half on one event loop: what clients ask, in HTTP/2 or HTTP/1.1, is answered by the members that the loop's
/// balancer chooses. Confined to that loop.
public final class L7Application {
    private let upstreams: Upstreams
    private let plainUpstreams: PlainUpstreams
    private let calls: CallForwarder
    private let plain: PlainForwarder
    private let balancer: LoopBalancer

    /// - Parameters:
    ///   - pages: Asked first about every request that is not gRPC.
    ///   - security: For members behind `https` and `unixs`; without it these cannot be reached.
    public init(
        loop: ServerLoop, balancer: LoopBalancer, pages: any ProxyPages, settings: ForwardingSettings, security: UpstreamSecurity?
    ) {
        self.balancer = balancer
        upstreams = Upstreams(balancer: balancer, output: loop.output, settings: settings, security: security)
        plainUpstreams = PlainUpstreams(
            balancer: balancer, eventLoop: loop.eventLoop, settings: settings, security: security)
        plain = PlainForwarder(balancer: balancer, upstreams: plainUpstreams, settings: settings, pages: pages)
        calls = CallForwarder(loop: loop, balancer: balancer, upstreams: upstreams, settings: settings, plain: plain)
        balancer.observe(upstreams)
        balancer.observe(plainUpstreams)
        balancer.observe(plain)
    }

    /// For `HTTPServer.make`. The application has to be kept as long as the server.
    public var serverApplication: ServerApplication { ServerApplication(http2: calls, http1: plain) }

    /// Ends long streams, so that their clients go elsewhere; short calls finish. Together with `HTTPServer.drain`.
    public func drain() {
        calls.drain()
        plain.drain()
    }

    /// Closes all connections to members, once the server is closed.
    public func close() {
        balancer.stopObserving(upstreams)
        balancer.stopObserving(plainUpstreams)
        balancer.stopObserving(plain)
        upstreams.close()
        plainUpstreams.close()
    }
}
