import Balancing
import Glibc
import HTTP2
import NIOCore
import NIOPosix
import Polling

/// All relayed connections of one event loop.
final class RelayLoop: EndpointObserver {
    let polling: PollingEventLoop
    let balancer: LoopBalancer
    /// Where every connection reads into: what is there is passed on or copied before the next read.
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 64)
    private let gate: ConnectionGate
    let settings: RelaySettings
    private var connections: [RelayedConnection] = []
    /// Counts half suspicion times, so that relaying a message needs no look at the clock.
    private(set) var tick: UInt32 = 1
    private var isDraining = false
    private var whenEmpty: EventLoopPromise<Void>?

    var eventLoop: any EventLoop { polling }

    init(_ polling: PollingEventLoop, _ balancer: LoopBalancer, _ gate: ConnectionGate, _ settings: RelaySettings) {
        self.polling = polling
        self.balancer = balancer
        self.gate = gate
        self.settings = settings
    }

    deinit { buffer.deallocate() }

    func start() {
        balancer.observe(self)
        let period = TimeAmount.nanoseconds(Int64(settings.suspicionTime / .nanoseconds(2)))
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.scheduleRepeatedTask(initialDelay: period, delay: period) { _ in bound.value.lookForSilence() }
    }

    /// - Parameter descriptor: a client's socket that has entered the gate.
    func accept(_ descriptor: Int32, from client: SocketAddress?) {
        guard !isDraining else {
            Glibc.close(descriptor)
            return gate.leave()
        }
        if client != nil { Sockets.tuneTCP(descriptor) }
        let connection = RelayedConnection(descriptor, from: client, loop: self)
        connection.index = connections.count
        connections.append(connection)
    }

    func remove(_ connection: RelayedConnection) {
        gate.leave()
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

    /// Over a copy each: finishing a connection removes it.
    func endpointLeft(_ id: EndpointID, _ reason: LeaveReason) {
        for connection in Array(connections) { connection.endpointLeft(id, reason) }
    }

    func endpointRemoved(_ id: EndpointID) { endpointLeft(id, .removed) }

    private func lookForSilence() {
        tick &+= 1
        guard tick > 2 else { return }
        let limit = UInt32(clamping: Int64(2 * (settings.lingerTime / settings.suspicionTime)))
        // Over a copy: giving up removes.
        for connection in connections {
            if !connection.tellBytes() { connection.giveUpLingering(after: limit) }
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
