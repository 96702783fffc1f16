import NIOCore

/// A connection as its loop sees it.
protocol ServedConnection: FlushableConnection {
    var indexInLoop: Int { get set }
    /// Take no more requests, finish those there are, then close.
    func drain()
    func closeNow()
}

/// What all connections of one server on one event loop share. Confined to that loop.
public final class ServerLoop {
    public let eventLoop: any EventLoop
    public let configuration: ServerConfiguration
    public let counters: CounterSet<ServerCounter>
    /// Shared by the connections of a client on the same loop, so that one flush serves both.
    public let output: LoopOutput
    let streamPool: HTTP2StreamPool
    private var log: LimitedLog
    private var connections: [any ServedConnection] = []
    private var isDraining = false
    private var whenDrained: EventLoopPromise<Void>?

    public init(eventLoop: any EventLoop, configuration: ServerConfiguration, counters: CounterSet<ServerCounter>) {
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.counters = counters
        streamPool = HTTP2StreamPool(counters: counters)
        log = LimitedLog(configuration)
        output = LoopOutput(eventLoop: eventLoop)
    }

    /// Monotonic nanoseconds.
    public var now: UInt64 { eventLoop.now.uptimeNanoseconds }

    public var openConnections: Int { connections.count }

    /// Sends what was written in this turn of the loop now. From within a call that a flush makes, it waits for the end of the turn.
    public func flushPending() { output.flushPending() }

    // MARK: Connections

    /// Serves a channel of this loop: the first bytes that its pipeline passes on tell the protocol.
    public func serve(_ channel: any Channel, isEncrypted: Bool, _ application: ServerApplication) throws {
        guard !isDraining else { throw ChannelError.ioOnClosedChannel }
        let connection = ConnectionInfo(eventLoop: eventLoop, address: channel.remoteAddress, isEncrypted: isEncrypted)
        try channel.pipeline.syncOperations.addHandler(
            ProtocolDetector(loop: self, connection: connection, application: application))
    }

    /// The connection was one too many.
    func refused(_ channel: any Channel) {
        counters.add(.connectionsRefused)
        let connection = ConnectionInfo(eventLoop: eventLoop, address: channel.remoteAddress, isEncrypted: false)
        report(.warning, connection, "connection closed: the limit of open connections is reached")
    }

    func add(_ connection: any ServedConnection) {
        counters.add(.connectionsOpen)
        connection.indexInLoop = connections.count
        connections.append(connection)
    }

    func remove(_ connection: any ServedConnection) {
        counters.add(.connectionsOpen, -1)
        let at = connection.indexInLoop
        precondition(connections[at] === connection, "a connection was removed that is not open")
        let last = connections.removeLast()
        if last !== connection {
            connections[at] = last
            last.indexInLoop = at
        }
        tellIfDrained()
    }

    /// Drains every connection, and takes no new ones. The result comes when all are closed; those left at the deadline are closed then.
    public func drain(deadline: Duration) -> EventLoopFuture<Void> {
        let promise = whenDrained ?? eventLoop.makePromise(of: Void.self)
        whenDrained = promise
        isDraining = true
        // Over a copy: draining an idle connection closes and removes it.
        for connection in Array(connections) { connection.drain() }
        tellIfDrained()
        let closing = DelayedCall(eventLoop, deadline) { self.closeConnections() }
        promise.futureResult.assumeIsolated().whenComplete { _ in closing.cancel() }
        return promise.futureResult
    }

    private func closeConnections() {
        for connection in Array(connections) { connection.closeNow() }
    }

    private func tellIfDrained() {
        guard connections.isEmpty, let promise = whenDrained else { return }
        whenDrained = nil
        streamPool.removeAll()
        promise.succeed()
    }

    // MARK: Log

    func report(_ level: ServerLogRecord.Level, _ connection: ConnectionInfo, _ message: @autoclosure () -> String) {
        log.write(level, connection.peerDescription, now: now, message)
    }
}

/// Writes to the configured log, so much a second at most.
private struct LimitedLog {
    private let sink: @Sendable (ServerLogRecord) -> Void
    private var allowance: TokenBucket
    private var dropped = 0

    init(_ configuration: ServerConfiguration) {
        sink = configuration.log
        allowance = TokenBucket(burst: configuration.logBurst, perSecond: configuration.logPerSecond)
    }

    mutating func write(
        _ level: ServerLogRecord.Level, _ peer: @autoclosure () -> String, now: UInt64, _ message: () -> String
    ) {
        guard allowance.take(now: now) else {
            dropped += 1
            return
        }
        sink(ServerLogRecord(level: level, peer: peer(), message: message(), dropped: dropped))
        dropped = 0
    }
}
