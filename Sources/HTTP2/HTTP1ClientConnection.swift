import NIOCore
import NIOHTTP1
import NIOPosix

/// Takes the response to one HTTP/1.1 request. All calls come on the connection's event loop.
public protocol HTTP1ResponseReceiver: AnyObject {
    /// Names in lower case.
    func responseBegan(status: Int, fields: [HTTPField])
    func responseBody(_ bytes: UnsafeRawBufferPointer)
    func responseEnded()
    /// Instead of ``responseEnded()``; nothing follows.
    func responseFailed(_ end: ClientStreamEnd, _ connection: ClientConnectionEnd)
}

/// Hears when a connection can take another request, or is gone. Called on its event loop.
public protocol HTTP1ClientConnectionDelegate: AnyObject {
    func connectionIsIdle(_ connection: HTTP1ClientConnection)
    func connectionClosed(_ connection: HTTP1ClientConnection)
}

/// One HTTP/1.1 connection to a server, for one request at a time. Confined to its event loop.
public final class HTTP1ClientConnection: ChannelInboundHandler {
    public typealias InboundIn = HTTPClientResponsePart
    public typealias OutboundOut = HTTPClientRequestPart

    private struct Request {
        var head: HTTPRequestHead
        var body: [UInt8]
    }

    public let address: ConnectAddress
    /// The owner's own number for the connection.
    public var tag = 0
    private let eventLoop: any EventLoop
    private let connectTimeout: Duration
    private weak var delegate: (any HTTP1ClientConnectionDelegate)?
    private var context: ChannelHandlerContext?
    private var isConnected = false
    private var hasEnded = false
    private var closing: ClientConnectionEnd?
    private var timer: DelayedCall?
    /// What is to be sent once the connection stands.
    private var waiting: Request?
    private var receiver: (any HTTP1ResponseReceiver)?
    private var requestWasSent = false
    private var keepAlive = true
    private var skipsInterim = false

    /// An idle connection is closed after this: a little sooner than servers that close after a minute.
    public static let idleTimeout: Duration = .seconds(50)

    public init(
        to address: ConnectAddress, eventLoop: any EventLoop, connectTimeout: Duration,
        delegate: (any HTTP1ClientConnectionDelegate)?
    ) {
        self.address = address
        self.eventLoop = eventLoop
        self.connectTimeout = connectTimeout
        self.delegate = delegate
    }

    /// Connects. To be called once.
    public func connect(_ security: ClientTransportSecurity? = nil) {
        arm(connectTimeout) { connection in
            connection.closeNow(.connectTimedOut, "no connection within \(connection.connectTimeout)")
        }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(TimeAmount(connectTimeout))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try security?(channel)
                    try channel.pipeline.syncOperations.addHTTPClientHandlers(leftOverBytesStrategy: .dropBytes)
                    try channel.pipeline.syncOperations.addHandler(bound.value)
                }
            }
        let connected =
            switch address {
            case .tcp(let host, let port):
                bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1).connect(host: host, port: port)
            case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
            }
        connected.whenFailure { error in bound.value.ended(ClientConnectionEnd(.connectFailed, "\(error)")) }
    }

    // MARK: Requests

    /// Sends a request; only on a connection that carries none. `target` is the path with its query. `host` and `content-length` are
    /// among `fields` or not needed.
    public func send(
        method: String, target: String, fields: [HTTPField], body: [UInt8], _ receiver: any HTTP1ResponseReceiver
    ) {
        precondition(self.receiver == nil, "a request was sent on a connection that carries one")
        self.receiver = receiver
        var head = HTTPRequestHead(version: .http1_1, method: HTTPMethod(rawValue: method), uri: target)
        for field in fields { head.headers.add(name: field.name, value: field.value) }
        guard !hasEnded, closing == nil else {
            fail(closing ?? ClientConnectionEnd(.lost, "the connection is closed"), wasSent: false)
            return
        }
        requestWasSent = false
        waiting = Request(head: head, body: body)
        if isConnected { sendWaiting() }
    }

    private func sendWaiting() {
        guard let context, let request = waiting.take() else { return }
        timer?.cancel()
        requestWasSent = true
        context.write(wrapOutboundOut(.head(request.head)), promise: nil)
        if !request.body.isEmpty {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: request.body)))), promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    /// Stops or resumes reading: the response's way out is full, or free again.
    public func setReading(_ reads: Bool) {
        guard let context else { return }
        context.channel.setOption(.autoRead, value: reads).whenFailure { _ in }
    }

    /// The receiver wants no more of the response. The connection cannot be used again.
    public func abandon() {
        receiver = nil
        close()
    }

    public func close() { closeNow(.notNeeded, "it is not needed any more") }

    // MARK: The connection's life

    public func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    public func handlerRemoved(context: ChannelHandlerContext) { lost("the connection was closed") }

    public func channelActive(context: ChannelHandlerContext) {
        isConnected = true
        timer?.cancel()
        sendWaiting()
        context.fireChannelActive()
    }

    public func channelInactive(context: ChannelHandlerContext) {
        lost("the server closed the connection")
        context.fireChannelInactive()
    }

    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        closeNow(isConnected ? .lost : .connectFailed, "\(error)")
    }

    private func lost(_ text: String) { ended(ClientConnectionEnd(isConnected ? .lost : .connectFailed, text)) }

    private func arm(_ delay: Duration, _ body: @escaping (HTTP1ClientConnection) -> Void) {
        timer?.cancel()
        timer = DelayedCall(eventLoop, delay) { [weak self] in
            if let self, !self.hasEnded { body(self) }
        }
    }

    private func closeNow(_ kind: ClientConnectionEnd.Kind, _ text: String) {
        guard closing == nil, !hasEnded else { return }
        let end = ClientConnectionEnd(kind, text)
        closing = end
        if let context { context.close(promise: nil) } else { ended(end) }
    }

    private func ended(_ end: ClientConnectionEnd) {
        guard !hasEnded else { return }
        hasEnded = true
        context = nil
        timer?.cancel()
        timer = nil
        waiting = nil
        fail(closing ?? end, wasSent: requestWasSent)
        delegate?.connectionClosed(self)
    }

    private func fail(_ end: ClientConnectionEnd, wasSent: Bool) {
        let told = receiver
        receiver = nil
        told?.responseFailed(wasSent ? .connectionLost : .neverProcessed, end)
    }

    // MARK: Response

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard closing == nil else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            skipsInterim = head.status.code < 200
            guard !skipsInterim else { return }
            keepAlive = head.isKeepAlive
            receiver?.responseBegan(
                status: Int(head.status.code), fields: head.headers.map { HTTPField($0.name.lowercased(), $0.value) })
        case .body(let bytes): bytes.withUnsafeReadableBytes { receiver?.responseBody($0) }
        case .end: if !skipsInterim { finish() }
        }
    }

    private func finish() {
        let told = receiver
        receiver = nil
        requestWasSent = false
        told?.responseEnded()
        guard !hasEnded, closing == nil else { return }
        guard keepAlive else { return close() }
        arm(Self.idleTimeout) { $0.close() }
        delegate?.connectionIsIdle(self)
    }
}
