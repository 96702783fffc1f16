import COpenSSL

@testable import TLS

/// OpenSSL itself as a client, for what our own handler never does.
final class LibraryClient {
    private let context: OpaquePointer
    private let connection: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    private(set) var isEstablished = false

    init(maximumVersion: TLSProtocolSettings.Version) {
        context = SSL_CTX_new(TLS_method())
        _ = copenssl_set_versions(context, TLSProtocolSettings.Version.tls12.rawValue, maximumVersion.rawValue)
        connection = SSL_new(context)
        incoming = BIO_new(BIO_s_mem())
        outgoing = BIO_new(BIO_s_mem())
        SSL_set_bio(connection, incoming, outgoing)
        SSL_set_connect_state(connection)
    }

    deinit {
        SSL_free(connection)
        SSL_CTX_free(context)
    }

    func renegotiate() {
        isEstablished = false
        SSL_renegotiate(connection)
    }

    func updateKeys() {
        SSL_key_update(connection, SSL_KEY_UPDATE_REQUESTED)
        SSL_do_handshake(connection)
    }

    func output() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = BIO_read(outgoing, &bytes, Int32(bytes.count))
        return Array(bytes.prefix(max(0, Int(count))))
    }

    /// Until neither side has anything to say.
    func exchange(with end: TestEnd) {
        var quiet = false
        while !quiet {
            ERR_clear_error()
            if !isEstablished { isEstablished = SSL_do_handshake(connection) == 1 }
            var plain = [UInt8](repeating: 0, count: 1_024)
            if isEstablished { SSL_read(connection, &plain, Int32(plain.count)) }
            let toServer = output()
            if !toServer.isEmpty { end.receive(toServer) }
            let toClient = end.output()
            _ = BIO_write(incoming, toClient, Int32(toClient.count))
            quiet = toServer.isEmpty && toClient.isEmpty
        }
        ERR_clear_error()
    }
}
