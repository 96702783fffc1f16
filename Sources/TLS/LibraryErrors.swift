import COpenSSL

/// OpenSSL's error queue of this thread, in Go's words where Go has words for it.
enum LibraryErrors {
    /// Empties the queue. Needed before each call whose result `SSL_get_error` interprets.
    static func clear() { ERR_clear_error() }

    /// What the oldest error says, the cause of those after it; empties the queue.
    static func take(otherwise: String) -> String {
        let first = ERR_get_error()
        ERR_clear_error()
        guard first != 0 else { return otherwise }
        if copenssl_library(first) == ERR_LIB_SSL, let words = wordsOfGo(copenssl_reason(first)) { return words }
        guard let reason = ERR_reason_error_string(first) else { return otherwise }
        return String(cString: reason)
    }

    private static func wordsOfGo(_ reason: Int32) -> String? {
        switch reason {
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return "tls: client didn't provide a certificate"
        case SSL_R_NO_SHARED_CIPHER: return "tls: no cipher suite supported by both client and server"
        case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_NO_PROTOCOLS_AVAILABLE:
            return "tls: client offered only unsupported versions"
        case SSL_R_HTTP_REQUEST, SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTPS_PROXY_REQUEST:
            return "tls: first record does not look like a TLS handshake"
        case SSL_R_NO_APPLICATION_PROTOCOL: return "tls: client requested unsupported application protocols"
        case SSL_R_UNEXPECTED_EOF_WHILE_READING: return "unexpected EOF"
        case SSL_AD_REASON_OFFSET...(SSL_AD_REASON_OFFSET + 255):
            return "remote error: tls: " + alertText(reason - SSL_AD_REASON_OFFSET)
        default: return nil
        }
    }

    /// An alert's text in Go's `crypto/tls`; numbers from RFC 8446, section 6.
    private static func alertText(_ alert: Int32) -> String {
        switch alert {
        case 10: "unexpected message"
        case 20: "bad record MAC"
        case 22: "record overflow"
        case 40: "handshake failure"
        case 42: "bad certificate"
        case 43: "unsupported certificate"
        case 44: "revoked certificate"
        case 45: "expired certificate"
        case 46: "unknown certificate"
        case 47: "illegal parameter"
        case 48: "unknown certificate authority"
        case 49: "access denied"
        case 50: "error decoding message"
        case 51: "error decrypting message"
        case 70: "protocol version not supported"
        case 71: "insufficient security level"
        case 80: "internal error"
        case 90: "user canceled"
        case 109: "missing extension"
        case 112: "unrecognized name"
        case 116: "certificate required"
        case 120: "no application protocol"
        default: "alert(\(alert))"
        }
    }
}
