import HTTP2
import NIOCore
import NIOHTTP1
import NIOPosix

/// Makes connections to peers and keeps a few that are idle. Confined to its event loop.
final class HTTPConnector {
    /// As Go's HTTP client waits on a server that closes quiet connections after 5 s.
    private static let idleLifetime = Duration.seconds(4)
    private static let idlePerPeer = 8

    let eventLoop: any EventLoop
    private let dialTimeout: Duration
    private let localAddress: SocketAddress?
    private let transportSecurity: PeerHTTPClient.TransportSecurity?
    private var idle: [PeerURL: [Idle]] = [:]
    private var isClosed = false

    private struct Idle {
        let connection: HTTPClientConnection
        let expiry: DelayedCall
    }

    init(
        eventLoop: any EventLoop, dialTimeout: Duration, localAddress: SocketAddress?,
        transportSecurity: PeerHTTPClient.TransportSecurity?
    ) {
        self.eventLoop = eventLoop
        self.localAddress = localAddress
        self.dialTimeout = dialTimeout
        self.transportSecurity = transportSecurity
    }

    /// A connection that was kept, or a new one.
    func connection(
        to url: PeerURL, fresh: Bool = false, _ done: @escaping (Result<HTTPClientConnection, PeerRequestError>) -> Void
    ) {
        while !fresh, let kept = idle[url]?.popLast() {
            kept.expiry.cancel()
            kept.connection.onIdleEnd = nil
            if kept.connection.isIdle { return done(.success(kept.connection)) }
        }
        connect(to: url, done)
    }

    /// Takes a connection back whose request is over.
    func keep(_ connection: HTTPClientConnection) {
        guard connection.isIdle else { return }
        let url = connection.url
        guard !isClosed, idle[url, default: []].count < Self.idlePerPeer else { return connection.close() }
        let expiry = DelayedCall(eventLoop, Self.idleLifetime) { [weak self] in
            self?.forget(connection)
            connection.close()
        }
        connection.onIdleEnd = { [weak self, weak connection] in
            if let connection { self?.forget(connection) }
        }
        idle[url, default: []].append(Idle(connection: connection, expiry: expiry))
    }

    private func forget(_ connection: HTTPClientConnection) {
        guard let position = idle[connection.url]?.firstIndex(where: { $0.connection === connection }) else { return }
        idle[connection.url]?.remove(at: position).expiry.cancel()
        if idle[connection.url]?.isEmpty ?? false { idle[connection.url] = nil }
    }

    func close() {
        isClosed = true
        let all = idle.values.flatMap { $0 }
        idle = [:]
        for kept in all {
            kept.expiry.cancel()
            kept.connection.close()
        }
    }

    // MARK: Connecting

    private func connect(to url: PeerURL, _ done: @escaping (Result<HTTPClientConnection, PeerRequestError>) -> Void) {
        if url.isEncrypted, transportSecurity == nil {
            return done(.failure(.connect("\(url) asks for TLS, which is not configured")))
        }
        let security = url.isEncrypted ? transportSecurity : nil
        var timer: DelayedCall?
        let connection = HTTPClientConnection(url: url) { result in
            timer?.cancel()
            done(result)
        }
        timer = DelayedCall(eventLoop, dialTimeout) {
            connection.failed("i/o timeout")
            connection.close()
        }
        let bound = NIOLoopBound(connection, eventLoop: eventLoop)
        var bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(dialTimeout))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.writeBufferWaterMark, value: .init(low: 128 << 10, high: 512 << 10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try security?(channel, url.serverName)
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    try channel.pipeline.syncOperations.addHandler(bound.value)
                }
            }
        if let localAddress, case .tcp = url.address { bootstrap = bootstrap.bind(to: localAddress) }
        dial(bootstrap, url).whenComplete { result in
            switch result {
            case .success(let channel):
                // Too late: somebody has been told already.
                if bound.value.isClosed { channel.close(promise: nil) }
            case .failure(let error): bound.value.failed("\(error)")
            }
        }
    }

    private func dial(_ bootstrap: ClientBootstrap, _ url: PeerURL) -> EventLoopFuture<any Channel> {
        switch url.address {
        case .unix(let path): return bootstrap.connect(unixDomainSocketPath: path)
        case .tcp(let host, let port):
            if let address = try? SocketAddress(ipAddress: host, port: port) { return bootstrap.connect(to: address) }
            return bootstrap.connect(host: host, port: port)
        }
    }
}
