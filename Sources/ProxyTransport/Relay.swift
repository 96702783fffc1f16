import Balancing
import Glibc
import HTTP2
import NIOCore
import Polling
import Synchronization

/// Forwards bytes between clients and endpoints, whatever they are: TLS passes through untouched.
public final class Relay: Sendable {
    private let loops: [NIOLoopBound<RelayLoop>]
    private let group: PollingEventLoopGroup
    private let gate: ConnectionGate
    private let acceptedCount = Atomic<Int>(0)
    private let refusedCount = Atomic<Int>(0)

    private init(_ group: PollingEventLoopGroup, _ gate: ConnectionGate, _ loops: [NIOLoopBound<RelayLoop>]) {
        self.group = group
        self.gate = gate
        self.loops = loops
    }

    /// - Parameter balancers: one for each event loop of the group.
    public static func make(
        group: PollingEventLoopGroup, balancers: [NIOLoopBound<LoopBalancer>], gate: ConnectionGate, settings: RelaySettings
    ) -> EventLoopFuture<Relay> {
        let made = zip(group.loops, balancers).map { polling, balancer in
            polling.submit {
                let loop = RelayLoop(polling, balancer.value, gate, settings)
                loop.start()
                return NIOLoopBound(loop, eventLoop: polling)
            }
        }
        return EventLoopFuture.whenAllSucceed(made, on: group.any()).map { Relay(group, gate, $0) }
    }

    /// Connections so far.
    public var accepted: Int { acceptedCount.load(ordering: .relaxed) }
    /// Connections that were one too many.
    public var refused: Int { refusedCount.load(ordering: .relaxed) }

    /// The first loop accepts, and hands what it accepts to all in turn.
    public func listen(on address: ListenAddress, backlog: Int32 = 4_096) throws -> RelayListener {
        let descriptor = try address.openSocket(backlog: backlog)
        let local = Sockets.localAddress(descriptor)
        let polling = group.loops[0]
        let listener = polling.submit { [self] in
            var next = 0
            let listener = Listener(polling, descriptor) { connection, client in
                self.accept(connection, from: client, on: self.loops[next])
                next = (next + 1) % self.loops.count
            }
            return NIOLoopBound(listener, eventLoop: polling)
        }
        return RelayListener(localAddress: local, polling: polling, listener: try listener.wait())
    }

    private func accept(_ descriptor: Int32, from client: SocketAddress?, on loop: NIOLoopBound<RelayLoop>) {
        guard gate.tryEnter() else {
            refusedCount.add(1, ordering: .relaxed)
            close(descriptor)
            return
        }
        acceptedCount.add(1, ordering: .relaxed)
        if loop.eventLoop.inEventLoop {
            loop.value.accept(descriptor, from: client)
        } else {
            loop.eventLoop.execute { loop.value.accept(descriptor, from: client) }
        }
    }

    /// Waits until the relayed connections have ended, and ends them after `limit`. Close the listeners first.
    public func drain(within limit: Duration) -> EventLoopFuture<Void> {
        let drained = loops.map { loop in loop.eventLoop.flatSubmit { loop.value.drain(within: limit) } }
        return EventLoopFuture.andAllComplete(drained, on: group.any())
    }
}

/// A place where clients arrive.
public final class RelayListener: Sendable {
    /// nil over a unix socket.
    public let localAddress: SocketAddress?
    private let polling: PollingEventLoop
    private let listener: NIOLoopBound<Listener>

    fileprivate init(localAddress: SocketAddress?, polling: PollingEventLoop, listener: NIOLoopBound<Listener>) {
        self.localAddress = localAddress
        self.polling = polling
        self.listener = listener
    }

    public func close() -> EventLoopFuture<Void> { polling.submit { [listener] in listener.value.close() } }
}
