import Balancing
import Forwarding
import HTTP2
import Host
import NIOCore
import NIOPosix

/// A client that asked for another protocol (WebSocket, or whatever `upgrade` names) and a member, joined byte by byte: what they say
/// to each other from the request on is theirs alone. Confined to one event loop; its forwarder keeps it alive, and once the sides are
/// joined so do its handlers.
final class Tunnel: OpenEnded {
    private let forwarder: PlainForwarder
    private let exchange: HTTPExchange
    private let note: RequestNote?
    private var rule = RetryRule()
    private var tried: [EndpointID] = []
    private(set) var endpoint: EndpointID?
    /// The connection that is being made. What an earlier one says is not heard any more.
    private var opening: TunnelOpening?
    private var timer: DelayedCall?
    private var client: (any Channel)?
    private var member: (any Channel)?
    private var sides: (client: TunnelSide, member: TunnelSide)?
    private var hasEnded = false

    private var balancer: LoopBalancer { forwarder.balancer }

    init(_ forwarder: PlainForwarder, _ exchange: HTTPExchange) {
        self.forwarder = forwarder
        self.exchange = exchange
        note = forwarder.note(of: exchange)
        exchange.onCancel = { [weak self] in self?.close() }
    }

    // MARK: Connecting

    func attempt() {
        timer = nil
        guard let id = balancer.pick(.read, excluding: tried), let address = balancer.address(of: id) else {
            if tried.isEmpty { return refuse("no endpoint is available") }
            return decide(endpointsLeft: false)
        }
        endpoint = id
        balancer.began(id)
        note?.sent(to: address)
        connect(address)
    }

    /// TCP and, where there is any, TLS have to stand within the limit.
    private func connect(_ address: EndpointAddress) {
        let limit = forwarder.settings.http2.connectTimeout
        let opening = TunnelOpening(self)
        self.opening = opening
        timer = DelayedCall(balancer.eventLoop, limit) { [weak self] in self?.attemptFailed(opening, .connectTimedOut) }
        let bound = NIOLoopBound(opening, eventLoop: balancer.eventLoop)
        let security = address.isSecure ? forwarder.upstreams.security?.http1(address) : nil
        let bootstrap = ClientBootstrap(group: balancer.eventLoop)
            .connectTimeout(TimeAmount(limit))
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try security?(channel)
                    try channel.pipeline.syncOperations.addHandler(bound.value)
                }
            }
        let connected =
            switch address.connectAddress {
            case .tcp(let host, let port): bootstrap.connect(host: host, port: port)
            case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
            }
        connected.whenFailure { _ in bound.value.failed(.connectFailed) }
    }

    /// Nothing has been sent: another member is as good.
    fileprivate func attemptFailed(_ failed: TunnelOpening, _ outcome: Outcome) {
        guard failed === opening, let endpoint else { return }
        stopConnecting()
        tried.append(endpoint)
        self.endpoint = nil
        balancer.finished(endpoint, outcome)
        decide(endpointsLeft: true)
    }

    private func stopConnecting() {
        timer?.cancel()
        let stopped = opening
        opening = nil
        stopped?.close()
    }

    private func decide(endpointsLeft: Bool) {
        let now = Instant(nanoseconds: balancer.eventLoop.now.uptimeNanoseconds)
        let decision = rule.attemptFailed(
            .neverProcessed, repeats: .ifNeverProcessed, endpointsLeft: endpointsLeft, budget: balancer.mayRetry, now: now,
            deadline: nil)
        guard case .again(let after, let anywhere) = decision else { return refuse("no member could be reached") }
        if anywhere { tried.removeAll() }
        guard after.nanoseconds > 0 else { return attempt() }
        timer = DelayedCall(balancer.eventLoop, .nanoseconds(after.nanoseconds)) { [weak self] in self?.attempt() }
    }

    /// HTTP is still spoken.
    private func refuse(_ text: String) {
        note?.answered(503)
        finish(.abandoned)
        exchange.respond(
            status: 503, fields: [HTTPField("content-type", "text/plain")], text: "quorate proxy: \(text)\n")
    }

    /// The client's request for the other protocol, as the member is to have it.
    private func head(for address: EndpointAddress) -> ByteBuffer {
        let request = exchange.request
        let target = request.query.isEmpty ? request.path : "\(request.path)?\(request.query)"
        var head = "\(request.method) \(target) HTTP/1.1\r\nhost: \(address.isUnixSocket ? "localhost" : address.authority)\r\n"
        // Everything else as it came: "connection" and "upgrade" are what this is about.
        let replaced: Set<String> = ["host", "content-length", "transfer-encoding"]
        for field in request.fields where !replaced.contains(field.name) { head += "\(field.name): \(field.value)\r\n" }
        if !request.body.isEmpty { head += "content-length: \(request.body.count)\r\n" }
        return ByteBuffer(bytes: Array((head + "\r\n").utf8) + request.body)
    }

    /// The member's side stands: from here on it is bytes.
    fileprivate func memberIsActive(_ stands: TunnelOpening, _ context: ChannelHandlerContext) {
        let channel = context.channel
        guard stands === opening, let endpoint, let address = balancer.address(of: endpoint) else {
            return channel.close(promise: nil)
        }
        timer?.cancel()
        opening = nil
        guard let taken = exchange.takeOver() else {
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
        memberSide.write(head(for: address))
        // Reading may have been held back by what was in front.
        taken.read()
    }

    // MARK: What its sides tell

    func count(_ bytes: Int, fromClient: Bool) {
        if fromClient { note?.requestBytes(bytes) } else { note?.responseBytes(bytes) }
        if let endpoint { balancer.countBytes(endpoint, sent: fromClient ? bytes : 0, received: fromClient ? 0 : bytes) }
    }

    /// All that one side said has been handed to the kernel for the other side.
    func directionEnded() {
        if let sides, sides.client.outputEnded, sides.member.outputEnded { close() }
    }

    /// A side is gone, and it is not known whether it had said all.
    func broke(clientSide: Bool) {
        guard let sides else { return }
        let side = clientSide ? sides.client : sides.member
        guard side.inputEnded else { return close() }
        side.giveUpOutput()
        directionEnded()
    }

    func close() {
        finish(sides == nil ? .abandoned : .succeeded)
        let isWhole = sides.map { $0.client.outputEnded && $0.member.outputEnded } ?? true
        sides?.client.part()
        sides = nil
        for side in [client, member] {
            if isWhole { side?.close(promise: nil) } else { side?.reset() }
        }
        (client, member) = (nil, nil)
    }

    /// Bytes that are joined cannot go elsewhere; who waits for a connection can.
    func endpointLeft() { if let opening { attemptFailed(opening, .abandoned) } else { close() } }

    func end() { if sides == nil { refuse("shutting down") } else { close() } }

    private func finish(_ outcome: Outcome) {
        guard !hasEnded else { return }
        hasEnded = true
        stopConnecting()
        exchange.onCancel = nil
        if let endpoint { balancer.finished(endpoint, outcome) }
        endpoint = nil
        note?.finish()
        forwarder.ended(self)
    }
}

/// Waits until the member's side stands, with TLS where there is TLS, and leaves.
private final class TunnelOpening: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let tunnel: Tunnel
    private var context: ChannelHandlerContext?

    init(_ tunnel: Tunnel) { self.tunnel = tunnel }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) { tunnel.memberIsActive(self, context) }
    func channelInactive(context: ChannelHandlerContext) { failed(.connectionLost) }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { failed(.connectionLost) }
    func failed(_ outcome: Outcome) { tunnel.attemptFailed(self, outcome) }
    func close() { context?.close(promise: nil) }
}
