import NIOCore

/// What the first bytes of a connection say it speaks.
enum DetectedProtocol: Equatable {
    case undecided
    case http2
    case http1
    case garbage

    /// HTTP/2's client connection preface (RFC 9113, section 3.4).
    static let preface: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    /// Decides as early as the bytes allow: what differs from the preface and begins like a method is HTTP/1.
    init(firstBytes bytes: UnsafeRawBufferPointer) {
        guard let first = bytes.first else {
            self = .undecided
            return
        }
        let preface = UnsafeRawBufferPointer(start: Self.preface.utf8Start, count: Self.preface.utf8CodeUnitCount)
        let compared = min(bytes.count, preface.count)
        if zip(bytes.prefix(compared), preface).allSatisfy({ $0 == $1 }) {
            self = compared == preface.count ? .http2 : .undecided
        } else {
            self = UInt8(ascii: "A")...UInt8(ascii: "Z") ~= first ? .http1 : .garbage
        }
    }
}

/// Waits for the first bytes, puts the right handlers in its place and hands them what has arrived.
final class ProtocolDetector: ChannelInboundHandler, RemovableChannelHandler, ServedConnection {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let loop: ServerLoop
    private let connection: ConnectionInfo
    private let application: ServerApplication
    var indexInLoop = 0
    private var context: ChannelHandlerContext?
    private var received: ByteBuffer?
    private var timer: DelayedCall?
    private var decided = false

    init(loop: ServerLoop, connection: ConnectionInfo, application: ServerApplication) {
        self.loop = loop
        self.connection = connection
        self.application = application
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
        timer = DelayedCall(loop.eventLoop, loop.configuration.prefaceTimeout) { [weak self] in
            guard let self, !self.decided else { return }
            self.loop.counters.add(.prefaceTimeouts)
            self.closeNow()
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { ended() }

    func channelInactive(context: ChannelHandlerContext) {
        ended()
        context.fireChannelInactive()
    }

    private func ended() {
        guard context != nil else { return }
        context = nil
        decided = true
        timer?.cancel()
        timer = nil
        loop.remove(self)
    }

    func flushOutput() {}

    /// A connection that has not said anything has nothing to finish.
    func drain() { closeNow() }

    func closeNow() {
        decided = true
        context?.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !decided else { return }
        var arrived = unwrapInboundIn(data)
        if received == nil { received = arrived } else { received?.writeBuffer(&arrived) }
        switch received?.withUnsafeReadableBytes({ DetectedProtocol(firstBytes: $0) }) {
        case nil, .undecided: return
        case .http2: become(context) { HTTP2ConnectionHandler(loop: loop, connection: connection, sink: application.http2) }
        case .http1:
            guard let router = application.http1 else { return refuse(context) }
            becomeHTTP1(context, router)
        case .garbage: refuse(context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let identified = event as? PeerIdentityEvent { connection.identity = identified.identity }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        loop.report(.debug, connection, "connection error: \(error)")
        context.close(promise: nil)
    }

    private func refuse(_ context: ChannelHandlerContext) {
        decided = true
        loop.counters.add(.garbageConnections)
        loop.report(.info, connection, "connection closed: what it sent is not HTTP")
        context.close(promise: nil)
    }

    private func become(_ context: ChannelHandlerContext, _ handler: () -> HTTP2ConnectionHandler) {
        decided = true
        do {
            try context.pipeline.syncOperations.addHandler(handler(), position: .after(self))
        } catch {
            context.close(promise: nil)
            return
        }
        handOver(context)
    }

    private func becomeHTTP1(_ context: ChannelHandlerContext, _ router: any HTTPRouter) {
        decided = true
        do {
            try HTTP1ConnectionHandler.install(on: context, loop: loop, connection: connection, router: router)
        } catch {
            context.close(promise: nil)
            return
        }
        handOver(context)
    }

    private func handOver(_ context: ChannelHandlerContext) {
        // The new handler is counted in this one's place.
        ended()
        if let received { context.fireChannelRead(wrapInboundOut(received)) }
        received = nil
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}
