import Balancing
import HTTP2
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import TLS

/// TLS towards members. A context costs memory, the system's authorities above all, and so is made when the first secure endpoint
/// turns up; when the operator gave files or secure endpoints, ``prepare()`` makes it at once to find out what is wrong with them.
final class MemberTransport: Sendable {
    private let settings: TLSClientSettings
    private let forHTTP2 = Mutex<TLSClientContext?>(nil)
    private let forHTTP1 = Mutex<TLSClientContext?>(nil)

    init(_ settings: TLSClientSettings) { self.settings = settings }

    func prepare() throws(TLSError) { _ = try context(forHTTP2, "h2") }

    func http2(_ host: String) -> ClientTransportSecurity {
        { [self] channel in
            try channel.pipeline.syncOperations.addHandler(context(forHTTP2, "h2").makeHandler(host: host))
        }
    }

    func http1Handler(_ host: String) throws(TLSError) -> TLSHandler {
        try context(forHTTP1, "http/1.1").makeHandler(host: host)
    }

    /// Reads the files again; why they cannot be used, if they cannot.
    func reload() -> String? {
        [forHTTP2.withLock { $0 }?.reload(), forHTTP1.withLock { $0 }?.reload()].compactMap { $0 }.first.map { "\($0)" }
    }

    private func context(_ place: borrowing Mutex<TLSClientContext?>, _ name: String) throws(TLSError) -> TLSClientContext {
        try place.withLock { (made: inout sending TLSClientContext?) throws(TLSError) -> TLSClientContext in
            if let made { return made }
            var settings = settings
            settings.applicationProtocols = [name]
            let fresh = try TLSClientContext(settings)
            made = fresh
            return fresh
        }
    }
}

/// Asks members for their health pages, each time on a new connection. Confined to one event loop.
final class PageFetcher {
    enum Problem: Error {
        case timedOut
        case garbled(String)
        case security(String)
    }

    private let eventLoop: any EventLoop
    private let security: MemberTransport?
    private static let longestPage = 64 << 10

    init(eventLoop: any EventLoop, security: MemberTransport?) {
        self.eventLoop = eventLoop
        self.security = security
    }

    /// `/readyz`, or `/health` where that page does not exist: etcd before 3.5.11 and 3.4.29 lacks it.
    func health(_ address: EndpointAddress, _ timeout: Duration) -> EventLoopFuture<ProbeResult> {
        get(address, "/readyz", timeout).assumeIsolated().flatMap { page -> EventLoopFuture<Page> in
            guard page.status == 404 else { return self.eventLoop.makeSucceededFuture(page) }
            return self.get(address, "/health", timeout)
        }.map { page -> ProbeResult in
            var report = ProbeReport()
            switch page.status {
            case 200: return .answered(report)
            case 503:
                if page.text.contains("CORRUPT") { report.alarms.insert(.corrupt) }
                if page.text.contains("learner") { report.isLearner = true }
                // Space is short for everyone, and reads go on.
                if page.text.contains("NOSPACE") { return .answered(report) }
                report.notReady = page.text
                return .answered(report)
            default: return .failed(.garbled, detail: "health page answered with HTTP status \(page.status)")
            }
        }.flatMapErrorThrowing { .failed(ProbeFailure($0), detail: "\($0)") }.nonisolated()
    }

    struct Page: Sendable {
        var status: Int
        var text: String
    }

    func get(_ address: EndpointAddress, _ path: String, _ timeout: Duration) -> EventLoopFuture<Page> {
        let promise = eventLoop.makePromise(of: Page.self)
        let reader = PageReader(promise, limit: Self.longestPage)
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
    func connect(
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
