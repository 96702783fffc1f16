import Balancing
import HTTP2
import NIOCore
import NIOHTTP1
import NIOPosix
import TLS

/// Asks daemons for pages, each time on a new connection. Confined to one event loop.
public final class PageFetcher {
    public enum Problem: Error {
        case timedOut
        case garbled(String)
        case security(String)
    }

    public let eventLoop: any EventLoop
    private let security: MemberTransport?
    private let longestPage: Int

    /// - Parameter longestPage: bytes; a longer one is an error.
    public init(eventLoop: any EventLoop, security: MemberTransport?, longestPage: Int = 64 << 10) {
        self.eventLoop = eventLoop
        self.security = security
        self.longestPage = longestPage
    }

    public struct Page: Sendable {
        public var status: Int
        public var text: String
    }

    public func get(_ address: EndpointAddress, _ path: String, _ timeout: Duration) -> EventLoopFuture<Page> {
        let promise = eventLoop.makePromise(of: Page.self)
        let reader = PageReader(promise, limit: longestPage)
        let timer = DelayedCall(eventLoop, timeout) { reader.fail(Problem.timedOut) }
        promise.futureResult.assumeIsolated().whenComplete { _ in timer.cancel() }
        let host = address.isUnixSocket ? "localhost" : address.authority
        connect(address, timeout) { channel in
            try channel.pipeline.syncOperations.addHTTPClientHandlers()
            try channel.pipeline.syncOperations.addHandler(PageRequester(host: host, path: path, reader))
        }.assumeIsolated().whenFailure { reader.fail($0) }
        return promise.futureResult
    }

    /// A connection, with TLS where the address asks for it.
    public func connect(
        _ address: EndpointAddress, _ timeout: Duration, _ configure: @escaping (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel> {
        let bound = NIOLoopBound(configure, eventLoop: eventLoop)
        let security = address.isSecure ? security : nil
        let bootstrap = ClientBootstrap(group: eventLoop).connectTimeout(TimeAmount(timeout)).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                if let security { try channel.pipeline.syncOperations.addHandler(security.http1Handler(address.host)) }
                try bound.value(channel)
            }
        }
        return address.isUnixSocket
            ? bootstrap.connect(unixDomainSocketPath: address.socketPath)
            : bootstrap.connect(host: address.host, port: Int(address.port))
    }
}

/// Collects one response.
private final class PageReader {
    private var promise: EventLoopPromise<PageFetcher.Page>?
    private let limit: Int
    private var status = 0
    private var body: [UInt8] = []
    var close: (() -> Void)?

    init(_ promise: EventLoopPromise<PageFetcher.Page>, limit: Int) {
        self.promise = promise
        self.limit = limit
    }

    func take(_ part: HTTPClientResponsePart) {
        switch part {
        case .head(let head): status = Int(head.status.code)
        case .body(let bytes):
            guard body.count + bytes.readableBytes <= limit else {
                return fail(PageFetcher.Problem.garbled("the page is too long"))
            }
            body.append(contentsOf: bytes.readableBytesView)
        case .end:
            promise?.succeed(PageFetcher.Page(status: status, text: String(decoding: body, as: UTF8.self)))
            finish()
        }
    }

    func fail(_ error: any Error) {
        promise?.fail(error)
        finish()
    }

    private func finish() {
        promise = nil
        close?()
        close = nil
    }
}

private final class PageRequester: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let host: String
    private let path: String
    private let reader: PageReader

    init(host: String, path: String, _ reader: PageReader) {
        self.host = host
        self.path = path
        self.reader = reader
    }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        reader.close = { channel.close(promise: nil) }
        let fields: HTTPHeaders = ["host": host, "connection": "close", "user-agent": "quorate"]
        context.write(
            wrapOutboundOut(.head(HTTPRequestHead(version: .http1_1, method: .GET, uri: path, headers: fields))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { reader.take(unwrapInboundIn(data)) }

    func channelInactive(context: ChannelHandlerContext) {
        reader.fail(PageFetcher.Problem.garbled("the connection was closed before the answer"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let problem: any Error =
            switch error {
            case let error as TLSError: PageFetcher.Problem.security("\(error)")
            case is HTTPParserError: PageFetcher.Problem.garbled("\(error)")
            default: error
            }
        reader.fail(problem)
        context.close(promise: nil)
    }
}
