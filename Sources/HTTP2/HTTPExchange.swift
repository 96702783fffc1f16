import NIOCore

/// A whole HTTP request, over HTTP/1 or HTTP/2.
public struct HTTPRequest: Sendable {
    public enum Version: Sendable, Equatable { case http10, http11, http2 }

    public var method: String
    /// The request target up to "?", as it was sent (still percent-encoded).
    public var path: String
    /// What follows the "?", empty without one.
    public var query: String
    /// Names in lower case, in the order they came; pseudo-fields left out.
    public var fields: [HTTPField]
    public var body: [UInt8]
    public var version: Version

    init(method: String, target: String, fields: [HTTPField], version: Version) {
        self.method = method
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(parts[0])
        query = parts.count > 1 ? String(parts[1]) : ""
        self.fields = fields
        self.version = version
        body = []
    }

    /// The first value of a field; `name` in lower case.
    public func first(_ name: String) -> String? { fields.first { $0.name == name }?.value }
}

/// Answers plain HTTP requests. Called on the connection's event loop.
public protocol HTTPRouter: AnyObject {
    /// The request is complete. The answer may come from within, or later on the same event loop.
    func respond(to exchange: HTTPExchange)
    /// Whether the request, whose body is still to come, is to be answered at once, with its body handed on in pieces
    /// (``HTTPExchange/onBody``) and not limited in length. Asked for HTTP/1 requests only.
    func takesBodyInPieces(_ request: HTTPRequest) -> Bool
}

extension HTTPRouter {
    public func takesBodyInPieces(_ request: HTTPRequest) -> Bool { false }
}

/// What carries an exchange's response to the client. One per exchange.
protocol HTTPResponseWriter: AnyObject {
    func writeHead(status: Int, fields: [HTTPField], bodyLength: Int?)
    func writeBody(_ bytes: UnsafeRawBufferPointer)
    func writeEnd()
    func abort()
    /// Takes HTTP off the connection; nil where that cannot be done.
    func takeOver() -> (any Channel)?
    var isWritable: Bool { get }
    /// So much waits that nothing more may be added.
    var isFull: Bool { get }
    /// What was written leaves now.
    func flush()
    /// Whether more of the request's body is read.
    func setReading(_ isReading: Bool)
    /// Much of the request's body is still to come.
    func readInLargePieces()
}

/// One plain HTTP request and its response. Confined to the connection's event loop.
///
/// Answered twice, or after the client has gone, is without effect.
public final class HTTPExchange {
    private enum State { case waiting, responding, done }

    public let request: HTTPRequest
    public let connection: ConnectionInfo
    private var writer: (any HTTPResponseWriter)?
    private var state = State.waiting
    /// Called once if the client goes before the response is complete.
    public var onCancel: (() -> Void)?
    /// Called when there is room again after ``isWritable`` was false.
    public var onWritable: (() -> Void)?
    /// Called with each piece of a body that comes in pieces, and with nil after the last one.
    public var onBody: ((ByteBuffer?) -> Void)?

    init(request: HTTPRequest, connection: ConnectionInfo, writer: any HTTPResponseWriter) {
        self.request = request
        self.connection = connection
        self.writer = writer
    }

    /// The response is not complete, and the client still there.
    public var isOpen: Bool { state != .done }
    /// False while much of the response waits for the client to read.
    public var isWritable: Bool { writer?.isWritable ?? false }

    /// Stops reading a body that comes in pieces, or goes on. A few pieces that were read already may still come.
    public func setReading(_ isReading: Bool) { writer?.setReading(isReading) }

    /// A body that comes in pieces is long: larger ones cost less.
    public func readInLargePieces() { writer?.readInLargePieces() }

    /// The whole response. `content-length` is added.
    public func respond(status: Int, fields: [HTTPField] = [], body: UnsafeRawBufferPointer) {
        guard state == .waiting, let writer else { return }
        state = .responding
        writer.writeHead(status: status, fields: fields, bodyLength: body.count)
        if request.method != "HEAD", body.count > 0 { writer.writeBody(body) }
        finish()
    }

    public func respond(status: Int, fields: [HTTPField] = [], body: [UInt8] = []) {
        body.withUnsafeBytes { respond(status: status, fields: fields, body: $0) }
    }

    public func respond(status: Int, fields: [HTTPField] = [], text: String) {
        var text = text
        text.withUTF8 { respond(status: status, fields: fields, body: UnsafeRawBufferPointer($0)) }
    }

    /// The head of a response whose body follows piece by piece. It leaves with the first piece, or with ``flush()``.
    public func begin(status: Int, fields: [HTTPField] = []) {
        guard state == .waiting, let writer else { return }
        state = .responding
        writer.writeHead(status: status, fields: fields, bodyLength: nil)
    }

    /// A piece of the body. One that does not wait for ``isWritable`` is broken off when far too much waits.
    public func write(_ bytes: UnsafeRawBufferPointer) {
        guard state == .responding, request.method != "HEAD", bytes.count > 0, let writer else { return }
        if writer.isFull { abort() } else { writer.writeBody(bytes) }
    }

    public func flush() { writer?.flush() }

    public func write(_ bytes: [UInt8]) { bytes.withUnsafeBytes { write($0) } }

    public func end() {
        guard state == .responding else { return }
        finish()
    }

    /// Breaks the response off so that the client sees that it is not complete.
    public func abort() {
        guard state != .done else { return }
        state = .done
        writer?.abort()
        release()
    }

    /// Ends HTTP on this connection: the channel is the caller's, and hands on and takes bytes. Only before a response, and only over
    /// HTTP/1.1; nil otherwise. What the client sent after its request before this is lost.
    public func takeOver() -> (any Channel)? {
        guard state == .waiting, let channel = writer?.takeOver() else { return nil }
        state = .done
        release()
        return channel
    }

    private func finish() {
        state = .done
        writer?.writeEnd()
        release()
    }

    private func release() {
        writer = nil
        onCancel = nil
        onWritable = nil
        onBody = nil
    }

    // MARK: From the connection

    func cancelled() {
        guard state != .done else { return }
        state = .done
        let tell = onCancel
        release()
        tell?()
    }

    func becameWritable() { onWritable?() }

    func received(_ piece: ByteBuffer?) { onBody?(piece) }
}
