import HTTP2
import NIOCore
import NIOHTTP1

/// What hears about one response. Called on the connection's event loop; after `responseEnded` or `responseFailed` nothing more.
protocol HTTPResponseReceiver: AnyObject {
    func responseBegan(status: Int, fields: [HTTPField])
    func responseBody(_ bytes: ByteBuffer)
    /// The bytes of one read have all been handed on.
    func responseReadCompleted()
    func responseEnded()
    /// The connection broke. `anything` tells whether part of the response had come.
    func responseFailed(_ reason: String, anything: Bool)
    /// A request body may go on.
    func requestWritable()
}

extension HTTPResponseReceiver {
    func responseReadCompleted() {}
    func requestWritable() {}
}

/// A connection to a server that takes one HTTP/1.1 request at a time. Confined to its event loop.
final class HTTPClientConnection: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private enum State {
        case connecting((Result<HTTPClientConnection, PeerRequestError>) -> Void)
        case idle
        case busy(any HTTPResponseReceiver)
        case closed
    }

    let url: PeerURL
    private var state: State
    private var context: ChannelHandlerContext?
    private var responseHasBegun = false
    private var keepsAlive = true
    private var requestIsComplete = true
    private var lastError: String?
    /// Called once when an idle connection ends.
    var onIdleEnd: (() -> Void)?
    /// It has answered before; it may have been closed at the other end meanwhile.
    private(set) var hasServed = false

    /// - Parameter onReady: called once: when a request may be sent, or when the connection could not be made.
    init(url: PeerURL, onReady: @escaping (Result<HTTPClientConnection, PeerRequestError>) -> Void) {
        self.url = url
        state = .connecting(onReady)
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { ended() }

    func channelActive(context: ChannelHandlerContext) {
        if case .connecting(let tell) = state {
            state = .idle
            tell(.success(self))
        }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        ended()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if lastError == nil { lastError = "\(error)" }
        context.close(promise: nil)
    }

    /// The connection could not be made.
    func failed(_ reason: String) {
        if lastError == nil { lastError = reason }
        ended()
    }

    private func ended() {
        context = nil
        let old = state
        state = .closed
        switch old {
        case .connecting(let tell): tell(.failure(.connect(lastError ?? "the connection was closed")))
        case .idle: onIdleEnd?()
        case .busy(let receiver): receiver.responseFailed(lastError ?? "EOF", anything: responseHasBegun)
        case .closed: break
        }
        onIdleEnd = nil
    }

    func close() {
        let context = context
        if case .busy = state { state = .closed }
        context?.close(promise: nil)
    }

    // MARK: Requests

    /// Sends a request whose body is `body`, or follows with ``write(_:)`` and ``endRequest()`` when `bodyLength` says more.
    func send(
        _ method: String, target: String, fields: [HTTPField], body: [UInt8] = [], bodyLength: Int? = nil,
        to receiver: any HTTPResponseReceiver
    ) {
        guard case .idle = state, let context else {
            return receiver.responseFailed("the connection was closed", anything: false)
        }
        state = .busy(receiver)
        responseHasBegun = false
        keepsAlive = true
        var headers = HTTPHeaders([("host", url.authority)])
        for field in fields { headers.add(name: field.name, value: field.value) }
        let length = bodyLength ?? body.count
        if length > 0 || method != "GET" { headers.replaceOrAdd(name: "content-length", value: "\(length)") }
        let head = HTTPRequestHead(version: .http1_1, method: HTTPMethod(rawValue: method), uri: target, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !body.isEmpty {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
        }
        requestIsComplete = body.count == length
        if requestIsComplete { context.write(wrapOutboundOut(.end(nil)), promise: nil) }
        context.flush()
    }

    /// A piece of the request's body.
    func write(_ bytes: ByteBuffer) {
        context?.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil)
    }

    func endRequest() {
        requestIsComplete = true
        context?.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    var isWritable: Bool { context?.channel.isWritable ?? false }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, case .busy(let receiver) = state { receiver.requestWritable() }
        context.fireChannelWritabilityChanged()
    }

    // MARK: Responses

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        guard case .busy(let receiver) = state else {
            if case .idle = state { context.close(promise: nil) }
            return
        }
        switch part {
        case .head(let head):
            guard head.status.code >= 200 else { return }
            responseHasBegun = true
            keepsAlive = head.isKeepAlive
            receiver.responseBegan(
                status: Int(head.status.code), fields: head.headers.map { HTTPField($0.name.lowercased(), $0.value) })
        case .body(let bytes): receiver.responseBody(bytes)
        case .end: finish(receiver, context)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .busy(let receiver) = state { receiver.responseReadCompleted() }
        context.fireChannelReadComplete()
    }

    private func finish(_ receiver: any HTTPResponseReceiver, _ context: ChannelHandlerContext) {
        hasServed = true
        if keepsAlive, requestIsComplete {
            state = .idle
        } else {
            state = .closed
            context.close(promise: nil)
        }
        receiver.responseEnded()
    }

    var isClosed: Bool {
        if case .closed = state { true } else { false }
    }

    /// Whether another request may be sent.
    var isIdle: Bool {
        if case .idle = state { context != nil } else { false }
    }
}
