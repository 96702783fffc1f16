import Glibc
import NIOCore
import NIOPosix

/// What answers the connections of one event loop.
public struct ServerApplication {
    public var http2: any HTTP2RequestSink
    /// nil: connections that speak HTTP/1 are closed.
    public var http1: (any HTTPRouter)?
    public init(http2: any HTTP2RequestSink, http1: (any HTTPRouter)?) {
        self.http2 = http2
        self.http1 = http1
    }
}

/// Where a server listens.
public enum ListenAddress: Sendable, Equatable {
    /// A host name or address; port 0 takes a free one.
    case tcp(host: String, port: Int)
    /// A path; a socket file that is left there is removed first if `replaceExisting`.
    case unix(path: String, replaceExisting: Bool)
    /// A socket that listens already, such as one that systemd handed over.
    case descriptor(CInt)

    /// Connections that come in there are TCP's.
    public var isTCP: Bool {
        switch self {
        case .tcp: return true
        case .unix: return false
        case .descriptor(let descriptor):
            var domain: CInt = 0
            var length = socklen_t(MemoryLayout<CInt>.size)
            return getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain != AF_UNIX
        }
    }
}

public struct ListenOptions: Sendable {
    public var backlog: Int32 = 1_024
    /// SO_REUSEPORT: several processes may listen on the same port.
    public var reusePort = false
    /// Puts a transport security handler into a new connection's pipeline. It must pass on plain bytes, hold back `channelActive`
    /// until the handshake is done, understand `close(mode: .output)`, and may tell who the client is with ``PeerIdentityEvent``.
    /// The connection's ``ConnectionInfo/isEncrypted`` says whether there is one. The protocol is told by the first plain bytes.
    public var transportSecurity: (@Sendable (any Channel) throws -> Void)?

    public init() {}
}

/// Serves HTTP/2 and HTTP/1 on any number of listeners. Connections are spread over the event loops of the group; what answers them
/// is made once per loop.
public final class HTTPServer: Sendable {
    private struct Loop: Sendable {
        let bound: NIOLoopBound<(loop: ServerLoop, application: ServerApplication)>
        let counters: CounterSet<ServerCounter>
    }

    public let gate: ConnectionGate
    private let group: any EventLoopGroup
    private let loops: [ObjectIdentifier: Loop]
    private let order: [any EventLoop]

    private init(group: any EventLoopGroup, gate: ConnectionGate, order: [any EventLoop], loops: [ObjectIdentifier: Loop]) {
        self.group = group
        self.gate = gate
        self.order = order
        self.loops = loops
    }

    /// Calls `makeApplication` once on each event loop of the group.
    public static func make(
        group: any EventLoopGroup, configuration: ServerConfiguration, gate: ConnectionGate = ConnectionGate(),
        makeApplication: @escaping @Sendable (ServerLoop) -> ServerApplication
    ) -> EventLoopFuture<HTTPServer> {
        let eventLoops = Array(group.makeIterator())
        let made = eventLoops.map { eventLoop in
            eventLoop.submit {
                let counters = CounterSet<ServerCounter>()
                let loop = ServerLoop(eventLoop: eventLoop, configuration: configuration, counters: counters)
                return Loop(bound: NIOLoopBound((loop, makeApplication(loop)), eventLoop: eventLoop), counters: counters)
            }
        }
        return EventLoopFuture.whenAllSucceed(made, on: group.any()).map { loops in
            let table = Dictionary(uniqueKeysWithValues: zip(eventLoops.map { ObjectIdentifier($0) }, loops))
            return HTTPServer(group: group, gate: gate, order: eventLoops, loops: table)
        }
    }

    /// A counter's sum over all event loops. From any thread.
    public func read(_ counter: ServerCounter) -> Int {
        order.reduce(0) { $0 + (loops[ObjectIdentifier($1)]?.counters.read(counter) ?? 0) }
    }

    public func listen(on address: ListenAddress, _ options: ListenOptions = ListenOptions()) -> EventLoopFuture<ServerEndpoint> {
        var bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: options.backlog)
            .childChannelOption(.writeBufferWaterMark, value: HTTPServer.waterMark)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try accept(channel, options) }
            }
        if address.isTCP { bootstrap = bootstrap.childChannelOption(.tcpOption(.tcp_nodelay), value: 1) }
        if case .tcp = address {
            bootstrap =
                bootstrap
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelOption(.socketOption(.init(rawValue: SO_REUSEPORT)), value: options.reusePort ? 1 : 0)
        }
        let bound =
            switch address {
            case .tcp(let host, let port): bootstrap.bind(host: host, port: port)
            case .unix(let path, let replace): bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: replace)
            case .descriptor(let descriptor): bootstrap.withBoundSocket(descriptor)
            }
        return bound.map { channel in ServerEndpoint(address: channel.localAddress) { channel.close() } }
    }

    /// Listens with an acceptor for the loops of the server's group.
    public func listen(
        on address: ListenAddress, through acceptor: Acceptor, _ options: ListenOptions = ListenOptions()
    ) throws -> ServerEndpoint {
        let isTCP = address.isTCP
        return try acceptor.listen(on: address, backlog: options.backlog, reusePort: options.reusePort) { descriptor, eventLoop in
            var bootstrap = ClientBootstrap(group: eventLoop)
                .channelOption(.writeBufferWaterMark, value: HTTPServer.waterMark)
                .channelInitializer { [self] channel in eventLoop.makeCompletedFuture { try accept(channel, options) } }
            if isTCP { bootstrap = bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1) }
            return bootstrap.withConnectedSocket(descriptor)
        }
    }

    private static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 64 << 10, high: 256 << 10)

    private func accept(_ channel: any Channel, _ options: ListenOptions) throws {
        guard let entry = loops[ObjectIdentifier(channel.eventLoop)] else {
            preconditionFailure("a connection was accepted on an event loop that is not of the server's group")
        }
        let (loop, application) = entry.bound.value
        guard gate.tryEnter() else {
            loop.refused(channel)
            throw ChannelError.ioOnClosedChannel
        }
        loop.counters.add(.connectionsAccepted)
        channel.closeFuture.whenComplete { [gate] _ in gate.leave() }
        try options.transportSecurity?(channel)
        try loop.serve(channel, isEncrypted: options.transportSecurity != nil, application)
    }

    // MARK: Leaving

    /// Tells all clients to go and waits until they have, or `deadline` has passed; then closes what is left. Close the endpoints
    /// first, so that no new connections come.
    public func drain(deadline: Duration) -> EventLoopFuture<Void> {
        let drained = order.map { eventLoop in
            eventLoop.flatSubmit { [self] () -> EventLoopFuture<Void> in
                guard let loop = loops[ObjectIdentifier(eventLoop)]?.bound.value.loop else {
                    return eventLoop.makeSucceededVoidFuture()
                }
                return loop.drain(deadline: deadline)
            }
        }
        return EventLoopFuture.andAllComplete(drained, on: group.any())
    }
}

/// One listener of a server.
public final class ServerEndpoint: Sendable {
    /// The address that was bound; the port is the real one if 0 was asked for. nil for a unix socket that an acceptor serves.
    public let address: SocketAddress?
    private let stop: @Sendable () -> EventLoopFuture<Void>

    init(address: SocketAddress?, stop: @escaping @Sendable () -> EventLoopFuture<Void>) {
        self.address = address
        self.stop = stop
    }

    public var port: Int? { address?.port }

    /// Accepts no more connections. Those there are go on.
    public func close() -> EventLoopFuture<Void> { stop() }
}
