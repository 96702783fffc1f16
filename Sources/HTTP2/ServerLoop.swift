import NIOCore

/// A connection as its loop sees it.
protocol ServedConnection: AnyObject {
    var indexInLoop: Int { get set }
    func flushOutput()
    /// Take no more requests, finish those there are, then close.
    func drain()
    func closeNow()
}

/// What all connections of one server on one event loop share. Confined to that loop.
public final class ServerLoop {
    public let eventLoop: any EventLoop
    public let configuration: ServerConfiguration
    public let counters: CounterSet<ServerCounter>
    let streamPool: HTTP2StreamPool
    private var log: LimitedLog
    private var connections: [any ServedConnection] = []
    private var dirty: [any ServedConnection] = []
    private var flushScheduled = false
    private var isDraining = false
    private var whenDrained: EventLoopPromise<Void>?
    /// The buffer that output is gathered in before its size is known. Empty between flushes.
    private var scratch: ByteBuffer
    private var isGathering = false

    /// Room for a burst of several hundred small replies, and small enough that the allocator reuses it: from 128 KiB on glibc maps
    /// fresh pages for every buffer, which costs more than filling them.
    static let scratchBytes = 64 << 10
    /// Output of at least this size leaves in the scratch buffer itself; smaller output is copied, so that a slow client's queue
    /// does not pin large buffers with little in them.
    static let handOverBytes = 16 << 10

    public init(eventLoop: any EventLoop, configuration: ServerConfiguration, counters: CounterSet<ServerCounter>) {
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.counters = counters
        streamPool = HTTP2StreamPool(counters: counters)
        log = LimitedLog(configuration)
        scratch = ByteBufferAllocator().buffer(capacity: Self.scratchBytes)
    }

    /// Monotonic nanoseconds.
    public var now: UInt64 { eventLoop.now.uptimeNanoseconds }

    public var openConnections: Int { connections.count }

    // MARK: Output outside a burst of reads

    /// A connection has output and is not being read from. It goes out at the end of this turn of the loop, or with
    /// ``flushPending()``, whichever is sooner: a thousand replies in one turn cause one write per connection.
    func markDirty(_ connection: any ServedConnection) {
        dirty.append(connection)
        guard !flushScheduled else { return }
        flushScheduled = true
        eventLoop.assumeIsolated().execute { self.flushScheduledOutput() }
    }

    /// Sends what was written in this turn of the loop now. From within a call that a flush makes, it waits for the end of the turn.
    public func flushPending() {
        while !dirty.isEmpty, !isGathering {
            let connections = dirty
            dirty.removeAll(keepingCapacity: true)
            for connection in connections { connection.flushOutput() }
        }
    }

    private func flushScheduledOutput() {
        flushScheduled = false
        flushPending()
    }

    /// Runs `produce` on the scratch buffer; the result is what it wrote, nil if nothing.
    func gather<E: Error>(_ produce: (UnsafeMutableRawBufferPointer) throws(E) -> Int) throws(E) -> ByteBuffer? {
        scratch.clear(minimumCapacity: Self.scratchBytes)
        isGathering = true
        defer { isGathering = false }
        var failure: E?
        let count = scratch.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.scratchBytes) { room in
            do throws(E) {
                return try produce(room)
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        guard count > 0 else { return nil }
        if count < Self.handOverBytes { return ByteBuffer(bytes: scratch.readableBytesView) }
        let full = scratch
        scratch = ByteBuffer()
        return full
    }

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
