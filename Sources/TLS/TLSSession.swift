import COpenSSL
import NIOCore

/// One connection's TLS as bytes in and bytes out. It does no I/O of its own and knows no time. Confined to one thread.
///
/// Received bytes are lent for the duration of one call; the library keeps at most one partial record of them. What is to be sent
/// gathers in ``output`` until the caller takes it.
final class TLSSession {
    let context: LibraryContext
    let rules: PeerRules
    var verdict = PeerVerdict()
    private let connection: OpaquePointer
    private var input = UnsafeRawBufferPointer(start: nil, count: 0)
    private(set) var output = ByteBuffer()
    /// Bytes inside the library that are part of a record not complete yet, at most; how much plaintext they may become.
    private var carried = 0

    init(_ context: LibraryContext, _ rules: PeerRules, isServer: Bool) {
        self.context = context
        self.rules = rules
        guard let connection = SSL_new(context.pointer), let bio = SessionBIO.make() else {
            preconditionFailure("OpenSSL is out of memory")
        }
        self.connection = connection
        // Unretained: this object frees the connection, and with it the BIO, before it goes.
        let owner = Unmanaged.passUnretained(self).toOpaque()
        BIO_set_data(bio, owner)
        SSL_set_ex_data(connection, 0, owner)
        SSL_set_bio(connection, bio, bio)
        if isServer { SSL_set_accept_state(connection) } else { SSL_set_connect_state(connection) }
        // An address is no server name (RFC 6066, section 3).
        if let hostname = rules.hostname, !isServer, IPAddressBytes(hostname) == nil {
            copenssl_set_server_name(connection, hostname)
        }
    }

    deinit { SSL_free(connection) }

    /// What the client asked for, or empty.
    var serverName: String {
        SSL_get_servername(connection, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) } ?? ""
    }

    /// What both sides agreed to speak; nil when the client did not ask.
    var applicationProtocol: String? {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(connection, &name, &count)
        guard let name, count > 0 else { return nil }
        return String(decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
    }

    /// "TLSv1.3"
    var version: String { String(cString: SSL_get_version(connection)) }

    // MARK: Steps

    enum Progress {
        case needsMore
        case done
        case failed(TLSError)
    }

    /// Lends received bytes to `body`; those that the library did not take are the result.
    func lend<Result>(_ bytes: UnsafeRawBufferPointer, _ body: () -> Result) -> (Result, untaken: Int) {
        input = bytes
        defer { input = UnsafeRawBufferPointer(start: nil, count: 0) }
        let result = body()
        return (result, input.count)
    }

    func handshake() -> Progress {
        LibraryErrors.clear()
        let result = SSL_do_handshake(connection)
        guard result != 1 else { return .done }
        switch SSL_get_error(connection, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .needsMore
        default:
            let words = LibraryErrors.take(otherwise: "tls: handshake failure")
            return .failed(.handshake(verdict.failure ?? words))
        }
    }

    /// Decrypts all that was lent and appends it to `plain`. `.done` when the other side has said that it will send no more.
    func read(into plain: inout ByteBuffer) -> Progress {
        plain.reserveCapacity(minimumWritableBytes: input.count + carried)
        while true {
            LibraryErrors.clear()
            if plain.writableBytes == 0 { plain.reserveCapacity(minimumWritableBytes: 16 << 10) }
            var result: Int32 = 0
            plain.writeWithUnsafeMutableBytes(minimumWritableBytes: 1) { room in
                var count = 0
                result = SSL_read_ex(connection, room.baseAddress, room.count, &count)
                return count
            }
            if result == 1 {
                carried = 0
                continue
            }
            switch SSL_get_error(connection, result) {
            case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .needsMore
            case SSL_ERROR_ZERO_RETURN: return .done
            default: return .failed(.broken(LibraryErrors.take(otherwise: "tls: bad record")))
            }
        }
    }

    /// Encrypts into ``output``.
    func write(_ bytes: UnsafeRawBufferPointer) throws(TLSError) {
        guard bytes.count > 0 else { return }
        let records = bytes.count / Self.recordBytes + 1
        output.reserveCapacity(minimumWritableBytes: bytes.count + records * Self.recordOverhead)
        LibraryErrors.clear()
        var written = 0
        guard SSL_write_ex(connection, bytes.baseAddress, bytes.count, &written) == 1, written == bytes.count else {
            throw .broken(LibraryErrors.take(otherwise: "tls: cannot send"))
        }
    }

    /// Puts close_notify into ``output``.
    func sayGoodbye() {
        LibraryErrors.clear()
        SSL_shutdown(connection)
        LibraryErrors.clear()
    }

    func takeOutput() -> ByteBuffer? {
        guard output.readableBytes > 0 else { return nil }
        let taken = output
        output = ByteBuffer()
        return taken
    }

    static let recordBytes = 16 << 10
    /// Header, nonce or content type, tag or MAC and padding: never more than this in the suites there are.
    private static let recordOverhead = 96

    // MARK: What the BIO asks

    fileprivate func fill(_ target: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(target.count, input.count)
        guard count > 0 else { return 0 }
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<count]))
        input = UnsafeRawBufferPointer(rebasing: input[count...])
        carried += count
        return count
    }

    fileprivate func emit(_ bytes: UnsafeRawBufferPointer) { output.writeBytes(bytes) }
}

/// A BIO whose two ends are a session's lent input and its output: nothing is copied on the way in but by the library itself.
private enum SessionBIO {
    static func make() -> OpaquePointer? {
        guard let bio = BIO_new(method.pointer) else { return nil }
        BIO_set_init(bio, 1)
        return bio
    }

    /// `@unchecked Sendable`: made once and only read afterwards.
    private struct Method: @unchecked Sendable { let pointer: OpaquePointer }

    private static let method: Method = {
        guard let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "session") else {
            preconditionFailure("OpenSSL is out of memory")
        }
        BIO_meth_set_read_ex(method) { bio, target, count, taken in
            guard let bio, let owner = BIO_get_data(bio) else { return 0 }
            let session = Unmanaged<TLSSession>.fromOpaque(owner).takeUnretainedValue()
            let filled = session.fill(UnsafeMutableRawBufferPointer(start: target, count: count))
            taken?.pointee = filled
            copenssl_clear_retry(bio)
            guard filled > 0 else {
                copenssl_retry_read(bio)
                return 0
            }
            return 1
        }
        BIO_meth_set_write_ex(method) { bio, source, count, written in
            guard let bio, let owner = BIO_get_data(bio) else { return 0 }
            Unmanaged<TLSSession>.fromOpaque(owner).takeUnretainedValue()
                .emit(UnsafeRawBufferPointer(start: source, count: count))
            copenssl_clear_retry(bio)
            written?.pointee = count
            return 1
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
        return Method(pointer: method)
    }()
}
