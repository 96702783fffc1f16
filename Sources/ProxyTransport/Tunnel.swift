import Balancing
import HTTP2
import NIOCore
import NIOPosix

/// A client that asked for another protocol (WebSocket, or whatever `upgrade` names) and a member, joined byte by byte: what they say
/// to each other from the request on is theirs alone. Confined to one event loop; its two handlers keep it alive.
final class Tunnel {
    private let balancer: LoopBalancer
    private let endpoint: EndpointID
    private let exchange: HTTPExchange
    private let head: [UInt8]
    private let whenClosed: (Tunnel) -> Void
    private var client: (any Channel)?
    private var member: (any Channel)?
    private var hasEnded = false

    init(
        _ balancer: LoopBalancer, _ endpoint: EndpointID, _ exchange: HTTPExchange, head: [UInt8],
        whenClosed: @escaping (Tunnel) -> Void
    ) {
        self.balancer = balancer
        self.endpoint = endpoint
        self.exchange = exchange
        self.head = head
        self.whenClosed = whenClosed
        balancer.began(endpoint)
    }

    /// Connects to the member; a failure is answered with 503, for HTTP is still spoken then.
    func open(_ address: EndpointAddress, timeout: Duration, _ security: ClientTransportSecurity?) {
        let bound = NIOLoopBound(self, eventLoop: balancer.eventLoop)
        let bootstrap = ClientBootstrap(group: balancer.eventLoop)
            .connectTimeout(TimeAmount(timeout))
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try security?(channel)
                    try channel.pipeline.syncOperations.addHandler(TunnelHandler(bound.value, isClientSide: false))
                }
            }
        let connected =
            switch address.connectAddress {
            case .tcp(let host, let port): bootstrap.connect(host: host, port: port)
            case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
            }
        connected.assumeIsolated().whenFailure { _ in self.failed(.connectFailed) }
    }

    private func failed(_ outcome: Outcome) {
        guard !hasEnded else { return }
        finish(outcome)
        exchange.respond(
            status: 503, fields: [HTTPField("content-type", "text/plain")], text: "quorate proxy: the member was lost\n")
    }

    /// The member's side stands: from here on it is bytes.
    fileprivate func memberIsActive(_ channel: any Channel) {
        guard !hasEnded, let taken = exchange.takeOver() else {
            channel.close(promise: nil)
            return finish(.abandoned)
        }
        member = channel
        client = taken
        do {
            try taken.pipeline.syncOperations.addHandler(TunnelHandler(self, isClientSide: true))
        } catch {
            return close()
        }
        taken.setOption(.allowRemoteHalfClosure, value: true).whenFailure { _ in }
        channel.writeAndFlush(ByteBuffer(bytes: head), promise: nil)
        // Reading may have been held back by what was in front.
        taken.read()
    }

    fileprivate func partner(ofClientSide isClientSide: Bool) -> (any Channel)? { isClientSide ? member : client }

    fileprivate func sideEnded(clientSide: Bool) {
        if client == nil { failed(.connectionLost) } else { close() }
    }

    func close() {
        finish(.succeeded)
        client?.close(promise: nil)
        member?.close(promise: nil)
        (client, member) = (nil, nil)
    }

    private func finish(_ outcome: Outcome) {
        guard !hasEnded else { return }
        hasEnded = true
        balancer.finished(endpoint, outcome)
        whenClosed(self)
    }
}

/// One side of a tunnel: it reads only while the other side takes more.
private final class TunnelHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let tunnel: Tunnel
    private let isClientSide: Bool
    private var readWaits = false

    init(_ tunnel: Tunnel, isClientSide: Bool) {
        self.tunnel = tunnel
        self.isClientSide = isClientSide
    }

    private var partner: (any Channel)? { tunnel.partner(ofClientSide: isClientSide) }

    func channelActive(context: ChannelHandlerContext) {
        if !isClientSide { tunnel.memberIsActive(context.channel) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        partner?.write(unwrapInboundIn(data), promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) { partner?.flush() }

    func read(context: ChannelHandlerContext) {
        if partner?.isWritable ?? true { context.read() } else { readWaits = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        // The other side waits for this one.
        if context.channel.isWritable { partner?.pipeline.fireUserInboundEventTriggered(TunnelHasRoom()) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is TunnelHasRoom:
            guard readWaits else { return }
            readWaits = false
            context.read()
        case ChannelEvent.inputClosed: partner?.close(mode: .output, promise: nil)
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { tunnel.sideEnded(clientSide: isClientSide) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

private struct TunnelHasRoom: Sendable {}
