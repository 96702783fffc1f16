import Balancing
import Glibc
import HTTP2
import NIOCore
import NIOPosix
import Synchronization

/// Forwards bytes between clients and endpoints, whatever they are: TLS passes through untouched.
public final class Relay: Sendable {
    private let group: any EventLoopGroup
    private let gate: ConnectionGate
    private let loops: [ObjectIdentifier: NIOLoopBound<RelayLoop>]
    private let order: [any EventLoop]
    private let acceptedCount = Atomic<Int>(0)
    private let refusedCount = Atomic<Int>(0)

    /// Output that may wait on one connection before the other side rests.
    static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 32 << 10, high: 128 << 10)
    /// Grows while much comes at once and shrinks again, so that idle connections keep little.
    static let receiveAllocator = AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 1_024, maximum: 64 << 10)

    private init(
        _ group: any EventLoopGroup, _ gate: ConnectionGate, _ order: [any EventLoop],
        _ loops: [ObjectIdentifier: NIOLoopBound<RelayLoop>]
    ) {
        self.group = group
        self.gate = gate
        self.order = order
        self.loops = loops
    }

    /// - Parameter balancers: one for each event loop of the group.
    public static func make(
        group: any EventLoopGroup, balancers: [NIOLoopBound<LoopBalancer>], gate: ConnectionGate, settings: RelaySettings
    ) -> EventLoopFuture<Relay> {
        let eventLoops = Array(group.makeIterator())
        let made = zip(eventLoops, balancers).map { eventLoop, balancer in
            eventLoop.submit {
                let loop = RelayLoop(balancer.value, settings)
                loop.start()
                return NIOLoopBound(loop, eventLoop: eventLoop)
            }
        }
        return EventLoopFuture.whenAllSucceed(made, on: group.any()).map { loops in
            let table = Dictionary(uniqueKeysWithValues: zip(eventLoops.map { ObjectIdentifier($0) }, loops))
            return Relay(group, gate, eventLoops, table)
        }
    }

    /// Connections so far.
    public var accepted: Int { acceptedCount.load(ordering: .relaxed) }
    /// Connections that were one too many.
    public var refused: Int { refusedCount.load(ordering: .relaxed) }

    public func listen(on address: ListenAddress, backlog: Int32 = 4_096) -> EventLoopFuture<any Channel> {
        var bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: backlog)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.recvAllocator, value: Self.receiveAllocator)
            .childChannelOption(.writeBufferWaterMark, value: Self.waterMark)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try accept(channel) }
            }
        if case .tcp = address { bootstrap = bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1) }
        if address.isTCP {
            bootstrap =
                bootstrap
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(.socketOption(.so_keepalive), value: 1)
        }
        switch address {
        case .tcp(let host, let port): return bootstrap.bind(host: host, port: port)
        case .unix(let path, let replace):
            return bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: replace)
        case .descriptor(let descriptor): return bootstrap.withBoundSocket(descriptor)
        }
    }

    private func accept(_ channel: any Channel) throws {
        guard gate.tryEnter() else {
            refusedCount.add(1, ordering: .relaxed)
            throw ChannelError.ioOnClosedChannel
        }
        acceptedCount.add(1, ordering: .relaxed)
        channel.closeFuture.whenComplete { [gate] _ in gate.leave() }
        guard let loop = loops[ObjectIdentifier(channel.eventLoop)] else {
            preconditionFailure("a connection was accepted on an event loop that is not of the relay's group")
        }
        try loop.value.accept(channel)
    }

    /// Waits until the relayed connections have ended, and ends them after `limit`. Close the listeners first.
    public func drain(within limit: Duration) -> EventLoopFuture<Void> {
        let drained = order.map { eventLoop in
            eventLoop.flatSubmit { [self] () -> EventLoopFuture<Void> in
                guard let loop = loops[ObjectIdentifier(eventLoop)] else { return eventLoop.makeSucceededVoidFuture() }
                return loop.value.drain(within: limit)
            }
        }
        return EventLoopFuture.andAllComplete(drained, on: group.any())
    }
}
