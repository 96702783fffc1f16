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
    private let note: RequestNote?
    private let whenClosed: (Tunnel) -> Void
    private var client: (any Channel)?
    private var member: (any Channel)?
    private var sides: (client: TunnelSide, member: TunnelSide)?
    private var hasEnded = false

    init(
        _ balancer: LoopBalancer, _ endpoint: EndpointID, _ exchange: HTTPExchange, head: [UInt8], _ note: RequestNote?,
        whenClosed: @escaping (Tunnel) -> Void
    ) {
        self.balancer = balancer
        self.endpoint = endpoint
        self.exchange = exchange
        self.head = head
        self.note = note
        self.whenClosed = whenClosed
        balancer.began(endpoint)
    }

    /// Connects to the member; a failure is answered with 503, for HTTP is still spoken then.
    func open(_ address: EndpointAddress, timeout: Duration, _ security: ClientTransportSecurity?) {
        note?.sent(to: address)
        let bound = NIOLoopBound(self, eventLoop: balancer.eventLoop)
        let bootstrap = ClientBootstrap(group: balancer.eventLoop)
            .connectTimeout(TimeAmount(timeout))
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try security?(channel)
                    try channel.pipeline.syncOperations.addHandler(TunnelOpening(bound.value))
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
        note?.answered(503)
        finish(outcome)
        exchange.respond(
            status: 503, fields: [HTTPField("content-type", "text/plain")], text: "quorate proxy: the member was lost\n")
    }

    /// The member's side stands: from here on it is bytes.
    fileprivate func memberIsActive(_ context: ChannelHandlerContext) {
        let channel = context.channel
        guard !hasEnded, let taken = exchange.takeOver() else {
            channel.close(promise: nil)
            return finish(.abandoned)
        }
        (client, member) = (taken, channel)
        let (clientSide, memberSide) = (TunnelSide(self, isClientSide: true), TunnelSide(self, isClientSide: false))
        do {
            try channel.pipeline.syncOperations.addHandler(memberSide)
            try taken.pipeline.syncOperations.addHandler(clientSide)
        } catch {
            return close()
        }
        channel.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        clientSide.join(memberSide)
        sides = (clientSide, memberSide)
        // What the member answered is between the two; this is what it means that bytes pass.
        note?.answered(101)
        taken.setOption(.allowRemoteHalfClosure, value: true).whenFailure { _ in }
        memberSide.write(ByteBuffer(bytes: head))
        // Reading may have been held back by what was in front.
        taken.read()
    }

    // MARK: What its sides tell

    func count(_ bytes: Int, fromClient: Bool) {
        if fromClient { note?.requestBytes(bytes) } else { note?.responseBytes(bytes) }
        balancer.countBytes(endpoint, sent: fromClient ? bytes : 0, received: fromClient ? 0 : bytes)
    }

    /// All that one side said has been handed to the kernel for the other side.
    func directionEnded() {
        if let sides, sides.client.outputEnded, sides.member.outputEnded { close() }
    }

    /// A side is gone, and it is not known whether it had said all.
    func broke(clientSide: Bool) {
        guard let sides else { return failed(.connectionLost) }
        let side = clientSide ? sides.client : sides.member
        guard side.inputEnded else { return close() }
        side.giveUpOutput()
        directionEnded()
    }

    func close() {
        finish(.succeeded)
        let isWhole = sides.map { $0.client.outputEnded && $0.member.outputEnded } ?? true
        sides?.client.part()
        sides = nil
        for side in [client, member] {
            if isWhole { side?.close(promise: nil) } else { side?.reset() }
        }
        (client, member) = (nil, nil)
    }

    private func finish(_ outcome: Outcome) {
        guard !hasEnded else { return }
        hasEnded = true
        balancer.finished(endpoint, outcome)
        note?.finish()
        whenClosed(self)
    }
}

/// Waits until the member's side stands, with TLS where there is TLS, and leaves.
private final class TunnelOpening: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let tunnel: Tunnel

    init(_ tunnel: Tunnel) { self.tunnel = tunnel }

    func channelActive(context: ChannelHandlerContext) { tunnel.memberIsActive(context) }
    func channelInactive(context: ChannelHandlerContext) { tunnel.broke(clientSide: false) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
