import Balancing
import NIOCore
import NIOPosix

/// One client connection and the connection to an endpoint that carries it. An endpoint is chosen when the client's first bytes are
/// here: a connection that says nothing costs no member anything. Until something was sent, an endpoint that cannot be reached is
/// replaced by the next one. Confined to its event loop.
final class RelayedConnection: RelayPair {
    private enum State {
        /// Nothing from the client yet.
        case silent
        case connecting(firstBytes: ByteBuffer)
        case relaying
        case ended
    }

    private let loop: RelayLoop
    private let client: any Channel
    /// Both are let go at the end, because they hold this connection.
    private var clientSide: RelayHandler?
    private var endpointSide: RelayHandler?
    private var upstream: (any Channel)?
    private var state = State.silent
    private(set) var endpoint: EndpointID?
    private var address: EndpointAddress?
    private var tried: [EndpointID] = []
    private let began: NIODeadline
    private var sentBytes: UInt64 = 0
    private var receivedBytes: UInt64 = 0
    private var toldBytes: (sent: UInt64, received: UInt64) = (0, 0)
    /// The loop's tick at which the endpoint got bytes that it has not answered; 0 when it owes nothing.
    private var owesSince: UInt32 = 0
    /// Who said all it had to say first.
    private var firstEnd: RelayEnd?
    private var lingered: UInt32 = 0
    /// Place in the loop's list.
    var index = 0

    init(_ client: any Channel, loop: RelayLoop) {
        self.client = client
        self.loop = loop
        began = loop.eventLoop.now
    }

    func start() throws {
        let side = RelayHandler(self, isClientSide: true)
        clientSide = side
        try client.pipeline.syncOperations.addHandler(side)
    }

    // MARK: Connecting

    func clientSpoke(_ bytes: ByteBuffer) {
        switch state {
        case .silent:
            // Reading rests until the endpoint takes what is here: that bounds what is kept.
            client.setOption(.autoRead, value: false).assumeIsolated().whenFailure { _ in }
            state = .connecting(firstBytes: bytes)
            connect()
        case .connecting(var first):
            var more = bytes
            first.writeBuffer(&more)
            state = .connecting(firstBytes: first)
        case .relaying, .ended: break
        }
    }

    /// The client has said all it will before it was connected; the endpoint hears so once it is.
    func inputEndedEarly() {
        if case .silent = state { finish(.closedByClient) }
    }

    private func connect() {
        guard let id = loop.balancer.pick(.connection, affinity: affinity, excluding: tried),
            let address = loop.balancer.address(of: id)
        else { return finish(.noEndpoint) }
        if !tried.isEmpty { loop.balancer.countRetry() }
        tried.append(id)
        endpoint = id
        self.address = address
        loop.balancer.began(id)
        let started = loop.eventLoop.now
        loop.connect(to: address, of: self).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel): self.connected(channel, id, started)
            case .failure(let error): self.notConnected(id, error)
            }
        }
    }

    /// Which connection this is, for the sticky policy: connections from one client address belong together.
    private var affinity: UInt64? {
        guard let text = client.remoteAddress?.ipAddress else { return nil }
        return text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    private func notConnected(_ id: EndpointID, _ error: any Error) {
        let isTimeout = if case ChannelError.connectTimeout = error { true } else { false }
        loop.balancer.finished(id, isTimeout ? .connectTimedOut : .connectFailed)
        endpoint = nil
        if case .connecting = state { connect() }
    }

    private func connected(_ channel: any Channel, _ id: EndpointID, _ started: NIODeadline) {
        guard case .connecting(let firstBytes) = state, let clientSide else {
            channel.close(promise: nil)
            return
        }
        if let remote = channel.remoteAddress, loop.isOwn(remote) {
            channel.close(promise: nil)
            return notConnected(id, ChannelError.connectPending)
        }
        let side = RelayHandler(self, isClientSide: false)
        do { try channel.pipeline.syncOperations.addHandler(side) } catch {
            channel.close(promise: nil)
            return notConnected(id, error)
        }
        loop.balancer.answered(id, latency: .nanoseconds((loop.eventLoop.now - started).nanoseconds))
        upstream = channel
        endpointSide = side
        state = .relaying
        clientSide.join(side)
        count(firstBytes.readableBytes, fromClient: true)
        side.write(firstBytes)
        if clientSide.inputEnded { side.endOutput() }
        client.setOption(.autoRead, value: true).assumeIsolated().whenFailure { _ in }
        channel.setOption(.autoRead, value: true).assumeIsolated().whenFailure { _ in }
    }

    // MARK: Relaying

    func count(_ bytes: Int, fromClient: Bool) {
        if fromClient {
            sentBytes += UInt64(bytes)
            if owesSince == 0 { owesSince = loop.tick }
        } else {
            receivedBytes += UInt64(bytes)
            owesSince = 0
        }
    }

    /// Adds what was relayed since the last time to the endpoint's counters: too much to do for each message.
    func tellBytes() {
        guard let endpoint, sentBytes + receivedBytes > toldBytes.sent + toldBytes.received else { return }
        loop.balancer.countBytes(
            endpoint, sent: Int(sentBytes - toldBytes.sent), received: Int(receivedBytes - toldBytes.received))
        toldBytes = (sentBytes, receivedBytes)
    }

    /// The endpoint has owed an answer since before that tick. Told once: an endpoint that rightly says nothing (a watch without
    /// events) is looked at once, not for ever.
    func takeDebt(before tick: UInt32) -> EndpointID? {
        guard owesSince != 0, owesSince != .max, owesSince < tick else { return nil }
        owesSince = .max
        return endpoint
    }

    // MARK: The end

    func directionEnded() {
        guard let clientSide, let endpointSide else { return }
        if firstEnd == nil { firstEnd = endpointSide.outputEnded ? .closedByClient : .closedByEndpoint }
        if clientSide.outputEnded, endpointSide.outputEnded { finish(firstEnd ?? .closedByClient) }
    }

    /// Called each tick: both sides have said all, and one does not take what is left for it.
    func giveUpLingering(after ticks: UInt32) {
        guard let clientSide, let endpointSide, clientSide.inputEnded, endpointSide.inputEnded else { return }
        lingered += 1
        if lingered > ticks { finish(.failed) }
    }

    func broke(clientSide isClient: Bool) {
        guard let clientSide, let endpointSide, (isClient ? clientSide : endpointSide).inputEnded else {
            return finish(isClient ? .closedByClient : .failed)
        }
        // It had said all before: the other side still gets that, and only what it says itself is lost.
        (isClient ? clientSide : endpointSide).giveUpOutput()
        directionEnded()
    }

    func finish(_ end: RelayEnd) {
        if case .ended = state { return }
        let wasRelaying = if case .relaying = state { true } else { false }
        state = .ended
        tellBytes()
        if let endpoint, wasRelaying { loop.balancer.finished(endpoint, outcome(of: end)) }
        if end == .noEndpoint { loop.balancer.countWithoutEndpoint() }
        close(isWhole: clientSide?.outputEnded == true && endpointSide?.outputEnded == true)
        loop.remove(self)
        loop.settings.connectionEnded?(
            RelayRecord(
                client: client.remoteAddress?.description ?? "unknown", endpoint: address, sentBytes: sentBytes,
                receivedBytes: receivedBytes, duration: .nanoseconds((loop.eventLoop.now - began).nanoseconds),
                attempts: tried.count, end: end))
    }

    /// A stream that is cut must look cut on both sides: bytes that nobody understands here may have no other sign of their end.
    private func close(isWhole: Bool) {
        clientSide?.part()
        clientSide = nil
        endpointSide = nil
        for side in [client, upstream] {
            if isWhole { side?.close(promise: nil) } else { side?.reset() }
        }
        upstream = nil
    }

    /// A connection that an endpoint closed without a word after it got some failed there.
    private func outcome(of end: RelayEnd) -> Outcome {
        switch end {
        case .closedByEndpoint, .failed: receivedBytes == 0 && sentBytes > 0 ? .connectionLost : .succeeded
        case .moved, .draining, .noEndpoint: .abandoned
        case .closedByClient: receivedBytes > 0 ? .succeeded : .abandoned
        }
    }
}
