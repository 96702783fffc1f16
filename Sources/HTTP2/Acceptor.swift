import Glibc
import NIOCore
import NIOPosix
import Polling

/// Accepts connections on a thread of its own and gives each to the event loop that serves the fewest. It goes on while event loops wait.
public final class Acceptor: Sendable {
    public let occupancy: LoopOccupancy
    public var eventLoop: any EventLoop { polling }
    private let polling = PollingEventLoop(name: "accept")
    private let eventLoops: [any EventLoop]

    /// The loops of `group` are numbered as it lists them.
    public init(for group: any EventLoopGroup) {
        eventLoops = Array(group.makeIterator())
        occupancy = LoopOccupancy(loopCount: eventLoops.count)
    }

    /// `accepted` makes a channel of each connection on the loop it is given.
    func listen(
        on address: ListenAddress, backlog: Int32, reusePort: Bool,
        accepted: @escaping @Sendable (_ descriptor: Int32, _ eventLoop: any EventLoop) -> EventLoopFuture<any Channel>
    ) throws -> ServerEndpoint {
        let descriptor = try address.openSocket(backlog: backlog, reusePort: reusePort)
        let local = Sockets.localAddress(descriptor)
        let listener = try polling.submit { [self] in
            let listener = Listener(polling, descriptor) { connection, _ in
                let loop = self.occupancy.enter()
                accepted(connection, self.eventLoops[loop]).whenComplete { [occupancy = self.occupancy] result in
                    switch result {
                    case .success(let channel): channel.closeFuture.whenComplete { _ in occupancy.leave(loop) }
                    case .failure: occupancy.leave(loop)
                    }
                }
            }
            return NIOLoopBound(listener, eventLoop: polling)
        }.wait()
        return ServerEndpoint(address: local) { [polling] in polling.submit { listener.value.close() } }
    }
}

extension ListenAddress {
    /// A socket that listens there and does not block.
    public func openSocket(backlog: Int32, reusePort: Bool = false) throws -> CInt {
        switch self {
        case .tcp(let host, let port):
            let resolved = try SocketAddress.makeAddressResolvingHost(host, port: port)
            return try Sockets.listen(at: resolved, backlog: backlog, replacesFile: false, reusesPort: reusePort)
        case .unix(let path, let replace):
            return try Sockets.listen(at: SocketAddress(unixDomainSocketPath: path), backlog: backlog, replacesFile: replace)
        case .descriptor(let given): return try Sockets.adopt(given)
        }
    }
}
