import NIOCore
import NIOPosix

/// Where a client connects to.
public enum ConnectAddress: Hashable, Sendable, CustomStringConvertible {
    case tcp(host: String, port: Int)
    case unix(path: String)

    public var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}

/// Puts a transport security handler into a new connection's pipeline. It must pass on plain bytes, hold back `channelActive` until
/// the handshake is done, and fail the pipeline when the server is not who it should be.
public typealias ClientTransportSecurity = @Sendable (any Channel) throws -> Void

/// How a connection to a server ended.
public struct ClientConnectionEnd: Equatable, Sendable {
    public enum Kind: Sendable {
        case connectFailed
        /// TCP, TLS or the server's first SETTINGS took too long.
        case connectTimedOut
        /// Closed by the server or the network, without a GOAWAY.
        case lost
        case pingTimedOut
        case protocolError
        /// The server said GOAWAY and all streams have ended.
        case goneAway
        /// ``HTTP2ClientConnection/drain()`` or ``HTTP2ClientConnection/close()``.
        case notNeeded
    }

    public var kind: Kind
    /// For the log.
    public var text: String

    init(_ kind: Kind, _ text: String) {
        self.kind = kind
        self.text = text
    }
}

/// Hears of one connection's life. Called on its event loop.
public protocol HTTP2ClientConnectionDelegate: AnyObject {
    /// The server's first SETTINGS are here.
    func connectionIsReady(_ connection: HTTP2ClientConnection)
    /// No further streams can be opened; those there are go on.
    func connectionIsDraining(_ connection: HTTP2ClientConnection)
    /// Exactly once, after the last stream closed.
    func connectionClosed(_ connection: HTTP2ClientConnection, _ end: ClientConnectionEnd)
}

/// One HTTP/2 connection to a server: connects, carries an ``HTTP2ClientSession``, pings, and ends. Confined to its event loop.
///
/// Requests may be opened before it is connected; if that fails they end as never processed.
public final class HTTP2ClientConnection: ChannelInboundHandler, HTTP2ClientSessionOwner, FlushableConnection {
    public typealias InboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    public let session: HTTP2ClientSession
    public let address: ConnectAddress
    public private(set) var isReady = false
    /// The owner's own number for the connection.
    public var tag = 0
    private let output: LoopOutput
    private let configuration: HTTP2ClientConfiguration
    private weak var delegate: (any HTTP2ClientConnectionDelegate)?
    private var context: ChannelHandlerContext?
    private var keepalive: KeepaliveSchedule
    private var timer: DelayedCall?
    /// TCP and, where there is any, TLS stand.
    private var isConnected = false
    private var isReading = false
    private var isFlushing = false
    private var flushAgain = false
    /// Decided as soon as the connection is to be closed, and before its streams are told.
    public private(set) var end: ClientConnectionEnd?
    private var isClosing: Bool { end != nil }
    private var hasEnded = false
    private var wasDrainedHere = false

    public init(
        to address: ConnectAddress, output: LoopOutput, pool: HTTP2ClientStreamPool,
        configuration: HTTP2ClientConfiguration = HTTP2ClientConfiguration(), delegate: (any HTTP2ClientConnectionDelegate)? = nil
    ) {
        self.address = address
        self.output = output
        self.configuration = configuration
        self.delegate = delegate
        session = HTTP2ClientSession(configuration: configuration, pool: pool)
        var policy = KeepalivePolicy()
        policy.pingAfterIdle = configuration.pingAfterIdle
        policy.pingTimeout = configuration.pingTimeout
        keepalive = KeepaliveSchedule(policy, now: output.now)
        session.owner = self
    }

    deinit {
        session.owner = nil
        timer?.cancel()
    }

    public var openStreams: Int { session.openStreams }
    /// Whether ``open(_:_:)`` would take a request.
    public var canOpen: Bool { !isClosing && !hasEnded && session.canOpen }

    /// Begins a request; nil if the connection takes no more. See ``HTTP2ClientSession/open(_:_:)``.
    public func open(_ receiver: any HTTP2ResponseReceiver, _ fill: (HeaderBlock) -> Void) -> HTTP2ClientStream? {
        canOpen ? session.open(receiver, fill) : nil
    }

    // MARK: Connecting

    /// Connects. To be called once.
    public func connect(_ security: ClientTransportSecurity? = nil) {
        // Unowned: the timer is cancelled before the connection goes away, and weak references make every retain of it slow.
        timer = DelayedCall(output.eventLoop, configuration.connectTimeout) { [unowned self] in
            closeNow(.connectTimedOut, "no connection within \(configuration.connectTimeout)")
        }
        let bound = NIOLoopBound(self, eventLoop: output.eventLoop)
        var bootstrap = ClientBootstrap(group: output.eventLoop)
            .connectTimeout(TimeAmount(configuration.connectTimeout))
            .channelOption(.writeBufferWaterMark, value: .init(low: 64 << 10, high: 256 << 10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try security?(channel)
                    try channel.pipeline.syncOperations.addHandler(bound.value)
                }
            }
        let connected: EventLoopFuture<any Channel>
        switch address {
        case .tcp(let host, let port):
            bootstrap = bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1)
            connected = bootstrap.connect(host: host, port: port)
        case .unix(let path):
            connected = bootstrap.connect(unixDomainSocketPath: path)
        }
        connected.whenFailure { error in
            let timedOut = if case .connectTimeout = error as? ChannelError { true } else { false }
            bound.value.ended(timedOut ? .connectTimedOut : .connectFailed, "\(error)")
        }
    }

    public func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive, isClosing { context.close(promise: nil) }
    }

    public func handlerRemoved(context: ChannelHandlerContext) {
        ended(isReady ? .lost : .connectFailed, "the connection was closed")
    }

    public func channelActive(context: ChannelHandlerContext) {
        isConnected = true
        flushOutput()
        context.fireChannelActive()
    }

    public func channelInactive(context: ChannelHandlerContext) {
        ended(isReady ? .lost : .connectFailed, "the server closed the connection")
        context.fireChannelInactive()
    }

    private func ended(_ kind: ClientConnectionEnd.Kind, _ text: String) {
        guard !hasEnded else { return }
        hasEnded = true
        let end = end ?? ClientConnectionEnd(kind, text)
        self.end = end
        isReady = false
        context = nil
        timer?.cancel()
        timer = nil
        session.abandon()
        delegate?.connectionClosed(self, end)
    }

    // MARK: Reading

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        isReading = true
        let now = output.now
        keepalive.readSomething(now: now)
        let buffer = unwrapInboundIn(data)
        do throws(HTTP2SessionError) {
            try buffer.withBorrowedBytes { bytes throws(HTTP2SessionError) in try session.receive(bytes, now: now) }
        } catch {
            closeNow(.protocolError, "HTTP/2: \(error)")
        }
    }

    public func channelReadComplete(context: ChannelHandlerContext) {
        if isReading {
            isReading = false
            if !isReady, session.sawSettings, !isClosing { becameReady() }
            // Not at once: what clients ask in the same turn of the loop goes out in the same write.
            output.markDirty(self)
        }
        context.fireChannelReadComplete()
    }

    private func becameReady() {
        isReady = true
        timer?.cancel()
        keepalive.readSomething(now: output.now)
        keepaliveStep()
        delegate?.connectionIsReady(self)
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        closeNow(isReady ? .lost : .connectFailed, "\(error)")
    }

    // MARK: Writing

    func clientSessionHasOutput() {
        // Within a burst of reads the end of the burst sends it, and within a flush that flush does.
        guard !isReading, !isFlushing, isConnected else { return }
        output.markDirty(self)
    }

    public func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { flushOutput() }
        context.fireChannelWritabilityChanged()
    }

    func flushOutput() {
        // libnghttp2 may be on the stack while reading; the end of the burst comes here again.
        guard !isReading, isConnected else { return }
        guard !isFlushing else {
            flushAgain = true
            return
        }
        isFlushing = true
        repeat {
            flushAgain = false
            writeOutput()
        } while flushAgain
        isFlushing = false
        if session.isFinished { finished() }
    }

    private func writeOutput() {
        guard let context, !isClosing else { return }
        var wrote = false
        do throws(HTTP2SessionError) {
            while context.channel.isWritable, let buffer = try output.gather(session.produce(into:)) {
                context.write(wrapOutboundOut(buffer), promise: nil)
                wrote = true
            }
        } catch {
            closeNow(.protocolError, "HTTP/2: \(error)")
            return
        }
        if wrote { context.flush() }
    }

    // MARK: Keeping it alive

    private func keepaliveStep() {
        let now = output.now
        // A server that asks nothing of a connection without streams need not answer pings on it.
        if session.openStreams == 0 { keepalive.readSomething(now: now) }
        let delay: UInt64
        switch keepalive.step(now: now) {
        case .wait(let nanoseconds): delay = nanoseconds
        case .ping(let askAgainAfter):
            session.ping()
            delay = askAgainAfter
        case .giveUp: return closeNow(.pingTimedOut, "no answer to a ping within \(configuration.pingTimeout)")
        }
        timer = DelayedCall(output.eventLoop, .nanoseconds(Int64(clamping: delay))) { [unowned self] in
            if !hasEnded, !isClosing { keepaliveStep() }
        }
    }

    // MARK: The end

    func clientSessionIsDraining() { delegate?.connectionIsDraining(self) }

    /// Opens no more streams, and closes once the last one there is has ended.
    public func drain() {
        wasDrainedHere = true
        session.drain()
        if !isReading, !isFlushing, session.isFinished { finished() }
    }

    /// Closes now; streams there are end as lost.
    public func close() { closeNow(.notNeeded, "it is not needed any more") }

    private func finished() {
        if wasDrainedHere {
            close()
        } else if session.sawGoAway {
            closeNow(.goneAway, "the server asked for it (GOAWAY)")
        } else {
            closeNow(.protocolError, "the server does not keep to HTTP/2")
        }
    }

    private func closeNow(_ kind: ClientConnectionEnd.Kind, _ text: String) {
        guard !isClosing, !hasEnded else { return }
        end = ClientConnectionEnd(kind, text)
        if let context { context.close(promise: nil) } else { ended(kind, text) }
    }
}
