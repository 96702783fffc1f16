import Bytes
import HTTP2
import NIOCore

/// A server that calls are made to.
public struct GRPCTarget: Hashable, Sendable {
    public var address: ConnectAddress
    public var isSecure: Bool
    /// The `:authority` of requests.
    public var authority: String

    public init(address: ConnectAddress, isSecure: Bool, authority: String) {
        self.address = address
        self.isSecure = isSecure
        self.authority = authority
    }
}

/// What became of a unary call.
public enum GRPCUnaryReply: Equatable, Sendable {
    public enum Failure: Sendable { case connectFailed, connectTimedOut, connectionLost, timedOut, malformed }

    /// The server's message, with status OK.
    case message([UInt8])
    /// The server's refusal.
    case status(GRPCStatus)
    /// No answer. The text is for the log.
    case failed(Failure, String)
}

/// Makes unary calls, as probes and refreshes need them: one kept connection per server. Confined to one event loop.
public final class GRPCUnaryClient {
    private let output: LoopOutput
    private let configuration: HTTP2ClientConfiguration
    private let security: (GRPCTarget) -> ClientTransportSecurity?
    private let pool = HTTP2ClientStreamPool(limit: 16)
    private var connections: [GRPCTarget: HTTP2ClientConnection] = [:]
    /// An answer longer than this is malformed.
    static let maximumReplyBytes = 4 << 20

    /// - Parameter security: Asked for targets that are secure, once per connection.
    public init(
        output: LoopOutput, configuration: HTTP2ClientConfiguration = HTTP2ClientConfiguration(),
        security: @escaping (GRPCTarget) -> ClientTransportSecurity? = { _ in nil }
    ) {
        self.output = output
        self.configuration = configuration
        self.security = security
    }

    /// Calls `path` ("/package.Service/Method") with one encoded message. `timeout` covers connecting too, and is told to the server.
    public func call(
        _ target: GRPCTarget, _ path: String, _ message: [UInt8], metadata: [HTTPField] = [], timeout: Duration
    ) -> EventLoopFuture<GRPCUnaryReply> {
        let promise = output.eventLoop.makePromise(of: GRPCUnaryReply.self)
        let connection = connection(to: target)
        let call = UnaryCall(connection, promise)
        let stream = connection.open(call) { head in
            head.append(":method", "POST")
            head.append(":scheme", target.isSecure ? "https" : "http")
            head.append(":path", path)
            head.append(":authority", target.authority)
            head.append("te", "trailers")
            head.append("content-type", "application/grpc")
            head.append("user-agent", "quorate")
            head.append("grpc-timeout", GRPCTimeout.text(timeout))
            for field in metadata { head.append(field) }
        }
        guard let stream else {
            promise.succeed(.failed(.connectionLost, "the connection takes no more requests"))
            return promise.futureResult
        }
        call.stream = stream
        call.timer = DelayedCall(output.eventLoop, timeout) { call.timedOut() }
        var framed = ByteWriter(capacity: message.count + MessagePrefix.size)
        framed.append(0)
        framed.appendBigEndian(UInt32(message.count))
        framed.append(message)
        framed.withBytes { stream.write($0) }
        stream.end()
        return promise.futureResult
    }

    /// Forgets the connection to a server, which closes when its calls are done.
    public func close(_ target: GRPCTarget) { connections.removeValue(forKey: target)?.drain() }

    private func connection(to target: GRPCTarget) -> HTTP2ClientConnection {
        if let kept = connections[target], kept.canOpen { return kept }
        let made = HTTP2ClientConnection(to: target.address, output: output, pool: pool, configuration: configuration)
        connections[target] = made
        made.connect(target.isSecure ? security(target) : nil)
        return made
    }
}

private final class UnaryCall: HTTP2ResponseReceiver {
    private let connection: HTTP2ClientConnection
    private var promise: EventLoopPromise<GRPCUnaryReply>?
    var stream: HTTP2ClientStream?
    var timer: DelayedCall?
    private var body: [UInt8] = []

    init(_ connection: HTTP2ClientConnection, _ promise: EventLoopPromise<GRPCUnaryReply>) {
        self.connection = connection
        self.promise = promise
    }

    private func finish(_ reply: GRPCUnaryReply) {
        timer?.cancel()
        timer = nil
        stream = nil
        promise?.succeed(reply)
        promise = nil
    }

    func timedOut() {
        stream?.abandon()
        finish(connection.isReady ? .failed(.timedOut, "no answer in time") : .failed(.connectTimedOut, "no connection in time"))
    }

    func responseBegan(_ stream: HTTP2ClientStream) {}

    func responseBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2ClientStream) {
        stream.credit(bytes.count)
        guard body.count + bytes.count <= GRPCUnaryClient.maximumReplyBytes else {
            stream.abandon()
            return finish(.failed(.malformed, "the answer is too long"))
        }
        body.append(contentsOf: bytes)
    }

    func responseEnded(_ stream: HTTP2ClientStream) { finish(reply(stream)) }

    private func reply(_ stream: HTTP2ClientStream) -> GRPCUnaryReply {
        guard let status = GRPCStatus(trailers: stream.trailers, head: stream.responseHead) else {
            let http = stream.responseHead.firstString(":status") ?? "none"
            return .failed(.malformed, "an answer without gRPC status (HTTP status \(http))")
        }
        guard status.code == .ok else { return .status(status) }
        let length = body.withUnsafeBytes { MessagePrefix($0) }
        guard let length, length.flag == 0, length.length == body.count - MessagePrefix.size else {
            return .failed(.malformed, "an answer that is not one message")
        }
        return .message(Array(body[MessagePrefix.size...]))
    }

    func outputDrained(_ stream: HTTP2ClientStream) {}

    func streamClosed(_ stream: HTTP2ClientStream, _ end: ClientStreamEnd) {
        switch (connection.end?.kind, end) {
        case (.connectFailed, _): finish(.failed(.connectFailed, connection.end?.text ?? ""))
        case (.connectTimedOut, _): finish(.failed(.connectTimedOut, connection.end?.text ?? ""))
        default: finish(.failed(.connectionLost, connection.end?.text ?? "the stream ended: \(end)"))
        }
    }
}
