import Bytes
import NIOCore

/// Answers plain HTTP requests that arrive over HTTP/2, by the same router as over HTTP/1.
public final class HTTPOverHTTP2: HTTP2RequestSink {
    private let router: any HTTPRouter
    private let limits: HTTP1Limits
    private let counters: CounterSet<ServerCounter>

    public init(router: any HTTPRouter, loop: ServerLoop) {
        self.router = router
        limits = loop.configuration.http1
        counters = loop.counters
    }

    public func requestBegan(_ stream: HTTP2Stream) {
        guard let session = stream.session else { return }
        stream.handOver(to: self)
        let body = HTTP2Body(stream: stream, connection: session.connection)
        stream.application = body
        counters.add(.httpRequests)
        if stream.requestEnded {
            dispatch(body)
        } else if let length = body.request.first("content-length").flatMap({ Int($0) }), length > limits.maximumBodyBytes {
            counters.add(.bodiesTooLarge)
            body.refuse(status: 413)
        } else {
            body.arm(limits.bodyTimeout) { [counters] in counters.add(.bodyTimeouts) }
        }
    }

    public func requestBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2Stream) {
        stream.credit(bytes.count)
        guard let body = stream.application as? HTTP2Body, body.exchange == nil, !body.isRefused else { return }
        guard body.request.body.count + bytes.count <= limits.maximumBodyBytes else {
            counters.add(.bodiesTooLarge)
            body.refuse(status: 413)
            return
        }
        guard body.keep(bytes) else {
            body.refuse(status: 503)
            return
        }
    }

    public func requestEnded(_ stream: HTTP2Stream) {
        guard let body = stream.application as? HTTP2Body, body.exchange == nil, !body.isRefused else { return }
        dispatch(body)
    }

    private func dispatch(_ body: HTTP2Body) {
        let exchange = body.makeExchange()
        router.respond(to: exchange)
    }

    public func outputDrained(_ stream: HTTP2Stream) { (stream.application as? HTTP2Body)?.exchange?.becameWritable() }
    public func inputReleased(_ stream: HTTP2Stream) {}

    public func streamClosed(_ stream: HTTP2Stream, _ end: StreamEnd) {
        (stream.application as? HTTP2Body)?.closed()
        stream.application = nil
    }

    public func readCompleted() {}
}

/// One plain request while its body arrives, and then the way of its response.
private final class HTTP2Body: HTTPResponseWriter {
    var request: HTTPRequest
    private(set) var exchange: HTTPExchange?
    private(set) var isRefused = false
    private let connection: ConnectionInfo
    private var stream: HTTP2Stream?
    private var timer: DelayedCall?

    init(stream: HTTP2Stream, connection: ConnectionInfo) {
        self.stream = stream
        self.connection = connection
        var fields: [HTTPField] = []
        stream.head.forEach { name, value in
            guard name.first != UInt8(ascii: ":") else { return }
            fields.append(HTTPField(String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
        }
        if let authority = stream.head.firstString(":authority"), !fields.contains(where: { $0.name == "host" }) {
            fields.append(HTTPField("host", authority))
        }
        request = HTTPRequest(
            method: stream.head.firstString(":method") ?? "", target: stream.head.firstString(":path") ?? "", fields: fields,
            version: .http2)
    }

    func arm(_ timeout: Duration, _ expired: @escaping () -> Void) {
        timer = DelayedCall(connection.eventLoop, timeout) { [weak self] in
            expired()
            self?.refuse(status: 408)
        }
    }

    /// False when the connection keeps too much already.
    func keep(_ bytes: UnsafeRawBufferPointer) -> Bool {
        request.body.append(contentsOf: bytes)
        return stream?.keepInput(bytes.count) ?? false
    }

    func refuse(status: Int) {
        isRefused = true
        timer?.cancel()
        forgetBody()
        writeHead(status: status, fields: [], bodyLength: 0)
        writeEnd()
    }

    func makeExchange() -> HTTPExchange {
        timer?.cancel()
        let made = HTTPExchange(request: request, connection: connection, writer: self)
        exchange = made
        return made
    }

    private func forgetBody() {
        _ = stream?.keepInput(-request.body.count)
        request.body = []
    }

    func closed() {
        timer?.cancel()
        request.body = []
        stream = nil
        exchange?.cancelled()
        exchange = nil
    }

    // MARK: Response

    var isWritable: Bool { stream?.isWritable ?? false }
    var isFull: Bool { stream?.isConnectionFull ?? false }

    func writeHead(status: Int, fields: [HTTPField], bodyLength: Int?) {
        var all = [HTTPField(":status", "\(status)")]
        all.append(contentsOf: fields)
        if let bodyLength, !fields.contains(where: { $0.name == "content-length" }) {
            all.append(HTTPField("content-length", "\(bodyLength)"))
        }
        stream?.begin(all)
    }

    func writeBody(_ bytes: UnsafeRawBufferPointer) { stream?.write { $0.append(bytes) } }
    func writeEnd() { stream?.end() }
    func takeOver() -> (any Channel)? { nil }
    func abort() { stream?.reset(HTTP2ErrorCode.internalError) }
    /// The session sends what it has at the end of each turn.
    func flush() {}
    /// Bodies over HTTP/2 never come in pieces.
    func setReading(_ isReading: Bool) {}
    func readInLargePieces() {}
}
