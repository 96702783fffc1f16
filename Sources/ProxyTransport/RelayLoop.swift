import Balancing
import NIOCore
import NIOPosix

/// All relayed connections of one event loop.
final class RelayLoop: EndpointObserver {
    let balancer: LoopBalancer
    let settings: RelaySettings
    private var connections: [RelayedConnection] = []
    /// Counts half suspicion times, so that relaying a message needs no look at the clock.
    private(set) var tick: UInt32 = 1
    private var isDraining = false
    private var whenEmpty: EventLoopPromise<Void>?

    var eventLoop: any EventLoop { balancer.eventLoop }
    var count: Int { connections.count }

    init(_ balancer: LoopBalancer, _ settings: RelaySettings) {
        self.balancer = balancer
        self.settings = settings
    }

    func start() {
        balancer.observe(self)
        let period = TimeAmount.nanoseconds(Int64(settings.suspicionTime / .nanoseconds(2)))
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleRepeatedTask(initialDelay: period, delay: period) { _ in bound.value.lookForSilence() }
    }

    func accept(_ client: any Channel) throws {
        guard !isDraining else { throw ChannelError.ioOnClosedChannel }
        let connection = RelayedConnection(client, loop: self)
        connection.index = connections.count
        connections.append(connection)
        do { try connection.start() } catch {
            connection.finish(.failed)
            throw error
        }
    }

    func remove(_ connection: RelayedConnection) {
        let last = connections.removeLast()
        if last !== connection {
            precondition(connections[connection.index] === connection, "a connection was removed that is not open")
            connections[connection.index] = last
            last.index = connection.index
        }
        if connections.isEmpty, let promise = whenEmpty {
            whenEmpty = nil
            promise.succeed()
        }
    }

    // MARK: Endpoints

    /// A connection to an endpoint that does not read yet.
    func connect(to address: EndpointAddress, of connection: RelayedConnection) -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount.nanoseconds(Int64(settings.connectTimeout / .nanoseconds(1))))
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.recvAllocator, value: Relay.receiveAllocator)
            .channelOption(.writeBufferWaterMark, value: Relay.waterMark)
        if address.isUnixSocket { return bootstrap.connect(unixDomainSocketPath: address.socketPath) }
        return
            bootstrap
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .connect(host: address.host, port: Int(address.port))
    }

    func isOwn(_ address: SocketAddress) -> Bool { settings.ownAddresses.contains(address) }

    /// Over a copy each: finishing a connection removes it.
    func endpointLeft(_ id: EndpointID, _ reason: LeaveReason) {
        for connection in connections.filter({ $0.endpoint == id }) { connection.finish(.moved(reason)) }
    }

    func endpointRemoved(_ id: EndpointID) { endpointLeft(id, .removed) }

    private func lookForSilence() {
        tick &+= 1
        guard tick > 2 else { return }
        let limit = UInt32(clamping: Int64(2 * (settings.lingerTime / settings.suspicionTime)))
        // Over a copy: giving up removes.
        for connection in connections {
            connection.tellBytes()
            connection.giveUpLingering(after: limit)
            if let id = connection.takeDebt(before: tick - 2) { balancer.suspect(id) }
        }
    }

    // MARK: Leaving

    /// Takes no more connections; the result comes when the last has ended, which those still there do at the deadline.
    func drain(within limit: Duration) -> EventLoopFuture<Void> {
        isDraining = true
        let promise = eventLoop.makePromise(of: Void.self)
        guard !connections.isEmpty else {
            promise.succeed()
            return promise.futureResult
        }
        whenEmpty = promise
        let closing = eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(limit / .nanoseconds(1)))) {
            for connection in Array(self.connections) { connection.finish(.draining) }
        }
        promise.futureResult.assumeIsolated().whenComplete { _ in closing.cancel() }
        return promise.futureResult
    }
}
