import NIOCore
import NIOHTTP1

/// Collects HTTP/1 requests with bounded headers and bodies, and writes their responses. NIO's pipelining handler in front passes
/// one request at a time.
final class HTTP1ConnectionHandler: ChannelInboundHandler, RemovableChannelHandler, ServedConnection {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        /// Waiting for a request's head.
        case idle
        /// The body is arriving, in `request`.
        case receiving
        case responding(HTTPExchange)
        /// The request was refused; what is left of it is not looked at.
        case refused
    }

    var indexInLoop = 0
    private let loop: ServerLoop
    private let connection: ConnectionInfo
    private let router: any HTTPRouter
    private var context: ChannelHandlerContext?
    private var state = State.idle
    private var request: HTTPRequest?
    private var timer: DelayedCall?
    private var headHasBegun = false
    private var keepAlive = true
    /// The body of the request that is being answered is still arriving, in pieces.
    private var bodyIsOpen = false
    private var isDraining = false
    private var isClosing = false
    private var isTakenOver = false

    private init(loop: ServerLoop, connection: ConnectionInfo, router: any HTTPRouter) {
        self.loop = loop
        self.connection = connection
        self.router = router
    }

    /// Puts NIO's codec and this handler at the end of the pipeline, and in front of them what notices that a request begins.
    static func install(
        on context: ChannelHandlerContext, loop: ServerLoop, connection: ConnectionInfo, router: any HTTPRouter
    ) throws {
        let made = HTTP1ConnectionHandler(loop: loop, connection: connection, router: router)
        let limits = loop.configuration.http1
        var decoderLimits = NIOHTTPDecoderLimitConfiguration()
        decoderLimits.maxHeaderFieldSize = limits.maximumHeaderListBytes
        decoderLimits.maxHeaderListSize = limits.maximumHeaderListBytes
        decoderLimits.maxHeaderFieldCount = limits.maximumHeaderFields
        let pipeline = context.pipeline.syncOperations
        try pipeline.addHandler(ByteArrival { [weak made] count in made?.bytesArrived(count) })
        try pipeline.configureHTTPServerPipeline(
            withPipeliningAssistance: true, withErrorHandling: false, withOutboundHeaderValidation: true,
            withEncoderConfiguration: .init(), withDecoderLimitConfiguration: decoderLimits)
        try pipeline.addHandler(made)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
        // Its first bytes are here already; they told the protocol.
        bytesArrived(0)
    }

    func handlerRemoved(context: ChannelHandlerContext) { connectionEnded() }

    func channelInactive(context: ChannelHandlerContext) {
        connectionEnded()
        context.fireChannelInactive()
    }

    private func connectionEnded() {
        guard context != nil else { return }
        context = nil
        timer?.cancel()
        timer = nil
        loop.remove(self)
        let before = state
        state = .refused
        if case .responding(let exchange) = before, !isTakenOver { exchange.cancelled() }
    }

    // MARK: Reading

    private func bytesArrived(_ count: Int) {
        loop.counters.add(.bytesReceived, count)
        guard case .idle = state, !headHasBegun else { return }
        headHasBegun = true
        arm(loop.configuration.headerTimeout) { handler in
            handler.loop.counters.add(.headerTimeouts)
            // Without an answer: there is no request yet that it could belong to.
            handler.closeNow()
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .idle): begin(head)
        case (.body(let bytes), .receiving): receive(bytes)
        case (.end, .receiving): dispatch()
        case (.body(let bytes), .responding(let exchange)) where bodyIsOpen: hand(bytes, to: exchange)
        case (.end, .responding(let exchange)) where bodyIsOpen: hand(nil, to: exchange)
        default: break
        }
    }

    private func begin(_ head: HTTPRequestHead) {
        loop.counters.add(.httpRequests)
        headHasBegun = false
        keepAlive = head.isKeepAlive && !isDraining
        let fields = head.headers.map { HTTPField($0.name.lowercased(), $0.value) }
        let request = HTTPRequest(
            method: head.method.rawValue, target: head.uri, fields: fields, version: head.version == .http1_0 ? .http10 : .http11)
        self.request = request
        state = .receiving
        bodyIsOpen = router.takesBodyInPieces(request)
        armBodyTimeout()
        let isExpected = request.first("expect")?.lowercased() == "100-continue"
        if bodyIsOpen {
            if isExpected { proceed(head.version) }
            dispatch()
        } else if let length = request.first("content-length").flatMap({ Int($0) }),
            length > loop.configuration.http1.maximumBodyBytes
        {
            refuseBody()
        } else if isExpected {
            proceed(head.version)
        }
    }

    private func proceed(_ version: HTTPVersion) {
        context?.writeAndFlush(wrapOutboundOut(.head(HTTPResponseHead(version: version, status: .continue))), promise: nil)
    }

    /// The whole body within the time, or, where it comes in pieces, each piece.
    private func armBodyTimeout() {
        arm(loop.configuration.http1.bodyTimeout) { handler in
            handler.loop.counters.add(.bodyTimeouts)
            if handler.bodyIsOpen { handler.closeNow() } else { handler.refuse(status: 408) }
        }
    }

    private func hand(_ piece: ByteBuffer?, to exchange: HTTPExchange) {
        if piece == nil {
            bodyIsOpen = false
            timer?.cancel()
            timer = nil
        } else {
            armBodyTimeout()
        }
        exchange.received(piece)
    }

    private func receive(_ bytes: ByteBuffer) {
        let length = (request?.body.count ?? 0) + bytes.readableBytes
        guard length <= loop.configuration.http1.maximumBodyBytes else { return refuseBody() }
        request?.body.append(contentsOf: bytes.readableBytesView)
    }

    private func refuseBody() {
        loop.counters.add(.bodiesTooLarge)
        refuse(status: 413)
    }

    private func dispatch() {
        guard let request = request.take() else { return }
        if !bodyIsOpen {
            timer?.cancel()
            timer = nil
        }
        let exchange = HTTPExchange(request: request, connection: connection, writer: self)
        state = .responding(exchange)
        router.respond(to: exchange)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let parserError = error as? HTTPParserError else {
            loop.report(.debug, connection, "connection error: \(error)")
            context.close(promise: nil)
            return
        }
        loop.counters.add(.malformedHTTP1)
        loop.report(.info, connection, "HTTP/1 connection closed: \(parserError)")
        if case .responding = state { return closeNow() }
        refuse(status: parserError == .headerOverflow ? 431 : 400)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let identified = event as? PeerIdentityEvent { connection.identity = identified.identity }
        context.fireUserInboundEventTriggered(event)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, case .responding(let exchange) = state { exchange.becameWritable() }
        context.fireChannelWritabilityChanged()
    }

    // MARK: The end

    /// Answers what has not been understood, or not waited for, and closes.
    private func refuse(status: Int) {
        guard !isClosing else { return }
        state = .refused
        request = nil
        keepAlive = false
        writeHead(status: status, fields: [], bodyLength: 0)
        writeEnd()
    }

    private func arm(_ delay: Duration, _ body: @escaping (HTTP1ConnectionHandler) -> Void) {
        timer?.cancel()
        timer = DelayedCall(loop.eventLoop, delay) { [weak self] in
            if let self, self.context != nil { body(self) }
        }
    }

    func flushOutput() { context?.flush() }

    func drain() {
        isDraining = true
        keepAlive = false
        if case .idle = state { closeNow() }
    }

    func closeNow() {
        isClosing = true
        context?.close(promise: nil)
    }

    /// Closes the sending side once what was written is out, and the rest a moment later, so that the client gets to read it.
    private func closeAfterResponse() {
        guard let context, !isClosing else { return }
        isClosing = true
        state = .refused
        context.close(mode: .output, promise: nil)
        arm(loop.configuration.lingerTimeout) { $0.closeNow() }
    }
}

// MARK: Writing

extension HTTP1ConnectionHandler: HTTPResponseWriter {
    var isWritable: Bool { context?.channel.isWritable ?? false }

    var isFull: Bool {
        // A channel that cannot tell how much it holds, as in tests, is never full.
        guard let options = context?.channel.syncOptions, let queued = try? options.getOption(.bufferedWritableBytes) else {
            return false
        }
        return queued >= loop.configuration.http1.maximumQueuedOutput
    }

    func writeHead(status: Int, fields: [HTTPField], bodyLength: Int?) {
        var headers = HTTPHeaders()
        for field in fields { headers.add(name: field.name, value: field.value) }
        if let bodyLength, !headers.contains(name: "content-length") {
            headers.add(name: "content-length", value: "\(bodyLength)")
        }
        // What is left of the body is not read to its end.
        if bodyIsOpen { keepAlive = false }
        // HTTP/1.0 knows no chunks: the end of the connection ends the body.
        if bodyLength == nil, isHTTP10 { keepAlive = false }
        headers.replaceOrAdd(name: "connection", value: keepAlive ? "keep-alive" : "close")
        let head = HTTPResponseHead(version: isHTTP10 ? .http1_0 : .http1_1, status: .init(statusCode: status), headers: headers)
        context?.write(wrapOutboundOut(.head(head)), promise: nil)
    }

    private var isHTTP10: Bool {
        if case .responding(let exchange) = state { return exchange.request.version == .http10 }
        return false
    }

    func writeBody(_ bytes: UnsafeRawBufferPointer) {
        guard let context else { return }
        var buffer = context.channel.allocator.buffer(capacity: bytes.count)
        buffer.writeBytes(bytes)
        loop.counters.add(.bytesSent, bytes.count)
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: nil)
    }

    func writeEnd() {
        guard let context else { return }
        // The next request may be delivered from within the write.
        let close = !keepAlive
        if !close {
            state = .idle
            arm(loop.configuration.http1.idleTimeout) { $0.closeNow() }
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        if close { closeAfterResponse() }
    }

    func abort() { closeNow() }

    func takeOver() -> (any Channel)? {
        guard let context, !isClosing, !isDraining else { return nil }
        let channel = context.channel
        let pipeline = context.pipeline.syncOperations
        isTakenOver = true
        connectionEnded()
        // What `install` put there, as far as it would make anything of bytes.
        let makers: [ChannelHandlerContext?] = [
            try? pipeline.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self),
            try? pipeline.context(handlerType: HTTPResponseEncoder.self),
            try? pipeline.context(handlerType: NIOHTTPResponseHeadersValidator.self),
            try? pipeline.context(handlerType: HTTPServerPipelineHandler.self),
        ]
        for case .some(let context) in makers { pipeline.removeHandler(context: context, promise: nil) }
        pipeline.removeHandler(self, promise: nil)
        return channel
    }

    func flush() { context?.flush() }

    /// NIO reads 64 KiB at a time at most, as it is set up.
    func readInLargePieces() {
        let sizes = AdaptiveRecvByteBufferAllocator(minimum: 2 << 10, initial: 64 << 10, maximum: 256 << 10)
        try? context?.channel.syncOptions?.setOption(.recvAllocator, value: sizes)
    }

    func setReading(_ isReading: Bool) {
        guard let context, bodyIsOpen else { return }
        try? context.channel.syncOptions?.setOption(.autoRead, value: isReading)
        if isReading {
            armBodyTimeout()
        } else {
            timer?.cancel()
            timer = nil
        }
    }
}

/// Tells that bytes have arrived, before they are decoded: a head that never ends is noticed by that it began.
private final class ByteArrival: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let arrived: (Int) -> Void

    init(_ arrived: @escaping (Int) -> Void) { self.arrived = arrived }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        arrived(unwrapInboundIn(data).readableBytes)
        context.fireChannelRead(data)
    }
}
