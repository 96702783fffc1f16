import COpenSSL
import Glibc

/// Files of certificates, read whole and parsed.
enum CredentialFiles {
    /// Larger than any bundle of authorities or sensible revocation list.
    private static let maximumBytes = 64 << 20

    static func contents(_ path: String) throws(TLSError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open " + path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read " + path) }
            guard count > 0 else { return bytes }
            guard bytes.count + count <= maximumBytes else { throw .file(path: path, reason: "the file is too large") }
            bytes += chunk[..<count]
        }
    }

    /// What the system said last, as Go writes it: "open /pki/ca.pem: no such file or directory".
    static func failure(_ action: String) -> TLSError {
        let text = String(cString: strerror(errno))
        return .file(path: action, reason: (text.first.map { $0.lowercased() } ?? "") + text.dropFirst())
    }

    /// All certificates of a PEM text, in its order; other blocks are skipped.
    static func certificates(_ path: String) throws(TLSError) -> [Certificate] {
        var found: [Certificate] = []
        LibraryErrors.clear()
        reading(try contents(path)) { source in
            while let certificate = PEM_read_bio_X509(source, nil, refusePassword, nil) {
                found.append(Certificate(owning: certificate))
            }
        }
        let error = ERR_peek_last_error()
        let isAtEnd = copenssl_library(error) == ERR_LIB_PEM && copenssl_reason(error) == PEM_R_NO_START_LINE
        guard isAtEnd || error == 0 else {
            throw .file(path: path, reason: LibraryErrors.take(otherwise: "a certificate cannot be read"))
        }
        LibraryErrors.clear()
        guard !found.isEmpty else {
            throw .file(path: path, reason: "tls: failed to find any PEM data in certificate input")
        }
        return found
    }

    static func key(_ path: String) throws(TLSError) -> PrivateKey {
        LibraryErrors.clear()
        let key = reading(try contents(path)) { PEM_read_bio_PrivateKey($0, nil, refusePassword, nil) }
        guard let key else {
            throw .file(path: path, reason: "tls: failed to read the key: " + LibraryErrors.take(otherwise: "no key found"))
        }
        return PrivateKey(owning: key)
    }

    /// Serial numbers, without sign and leading zeros, that a revocation list names.
    static func revokedSerials(_ path: String) throws(TLSError) -> Set<[UInt8]> {
        let bytes = try contents(path)
        LibraryErrors.clear()
        let list =
            reading(bytes) { PEM_read_bio_X509_CRL($0, nil, refusePassword, nil) } ?? reading(bytes) { d2i_X509_CRL_bio($0, nil) }
        LibraryErrors.clear()
        guard let list else { throw .file(path: path, reason: "x509: malformed crl") }
        defer { X509_CRL_free(list) }
        var serials: Set<[UInt8]> = []
        guard let revoked = X509_CRL_get_REVOKED(list) else { return [] }
        for index in 0..<max(0, copenssl_count_revoked(revoked)) {
            if let serial = copenssl_revoked_serial_at(revoked, index) { serials.insert(magnitude(serial)) }
        }
        return serials
    }

    /// Lends bytes as a BIO.
    private static func reading<Result>(_ bytes: [UInt8], _ body: (OpaquePointer) -> Result) -> Result {
        bytes.withUnsafeBytes { raw in
            guard let source = BIO_new_mem_buf(raw.baseAddress ?? UnsafeRawPointer(bitPattern: 1), Int32(raw.count)) else {
                preconditionFailure("OpenSSL is out of memory")
            }
            defer { BIO_free(source) }
            return body(source)
        }
    }

    static func magnitude(_ integer: UnsafePointer<ASN1_INTEGER>) -> [UInt8] {
        let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(integer), count: Int(ASN1_STRING_length(integer)))
        return Array(bytes.drop { $0 == 0 })
    }
}

/// Encrypted keys are refused: without this OpenSSL would ask for the password on the terminal.
private func refusePassword(_: UnsafeMutablePointer<CChar>?, _: Int32, _: Int32, _: UnsafeMutableRawPointer?) -> Int32 { 0 }

/// A certificate of the library's, freed with the last reference: use the pointer inside ``withPointer(_:)`` only.
final class Certificate {
    private let pointer: OpaquePointer
    init(owning pointer: OpaquePointer) { self.pointer = pointer }
    deinit { X509_free(pointer) }

    func withPointer<Result, Failure: Error>(_ body: (OpaquePointer) throws(Failure) -> Result) throws(Failure) -> Result {
        defer { extendLifetime(self) }
        return try body(pointer)
    }
}

/// A key, likewise.
final class PrivateKey {
    private let pointer: OpaquePointer
    init(owning pointer: OpaquePointer) { self.pointer = pointer }
    deinit { EVP_PKEY_free(pointer) }

    func withPointer<Result, Failure: Error>(_ body: (OpaquePointer) throws(Failure) -> Result) throws(Failure) -> Result {
        defer { extendLifetime(self) }
        return try body(pointer)
    }
}
