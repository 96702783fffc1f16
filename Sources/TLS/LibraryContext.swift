import COpenSSL

/// Everything that the files said at one time: OpenSSL's context and what is checked besides. Never changed once made.
///
/// `@unchecked Sendable`: the context is configured before this object is shared, and OpenSSL allows any number of threads to make
/// connections from one context that is not changed any more. The protocol list is only read, and the rest are values.
final class LibraryContext: @unchecked Sendable {
    let pointer: OpaquePointer
    let revokedSerials: Set<[UInt8]>
    /// As the wire has them: each with its length in front. Read by the ALPN callback for as long as the context lives.
    private let applicationProtocols: UnsafeMutableBufferPointer<UInt8>

    /// What one side reads.
    struct Sources {
        var certificateFile = ""
        var keyFile = ""
        var trustedAuthorityFile = ""
        var revocationListFile = ""
        /// The other side's certificate is demanded and verified.
        var verifies = false
        var isServer = false
        var protocols = TLSProtocolSettings()
        var applicationProtocols: [String] = []

        /// The files that are read, in a fixed order.
        var files: [String] {
            [certificateFile, keyFile, trustedAuthorityFile, revocationListFile].filter { !$0.isEmpty }
        }
    }

    init(_ sources: Sources) throws(TLSError) {
        revokedSerials =
            sources.revocationListFile.isEmpty ? [] : try CredentialFiles.revokedSerials(sources.revocationListFile)
        guard let context = SSL_CTX_new(TLS_method()) else {
            throw .settings("OpenSSL: " + LibraryErrors.take(otherwise: "no context"))
        }
        pointer = context
        let names = sources.applicationProtocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        applicationProtocols = .allocate(capacity: max(1, names.count))
        applicationProtocols.initialize(repeating: 0)
        for (index, byte) in names.enumerated() { applicationProtocols[index] = byte }
        copenssl_set_policy(context)
        // 1: signatures by SHA-1 are refused and RSA keys of 1,024 bits accepted, as Go does. Debian's default of 2 would refuse
        // certificates that etcd runs with.
        SSL_CTX_set_security_level(context, 1)
        try setProtocols(sources.protocols)
        if !sources.certificateFile.isEmpty { try loadIdentity(sources.certificateFile, sources.keyFile) }
        try setVerification(sources)
        if !names.isEmpty { try setApplicationProtocols(isServer: sources.isServer, byteCount: names.count) }
    }

    deinit {
        SSL_CTX_free(pointer)
        applicationProtocols.deallocate()
    }

    private func setProtocols(_ settings: TLSProtocolSettings) throws(TLSError) {
        var minimum = settings.minimumVersion
        let names = settings.cipherSuites.isEmpty ? CipherSuiteNames.defaults : settings.cipherSuites
        let list = try CipherSuiteNames.libraryList(names)
        if list.isEmpty {
            guard settings.maximumVersion > .tls12 else { throw .settings("no cipher suite of TLS 1.2 is allowed") }
            minimum = .tls13
        } else if SSL_CTX_set_cipher_list(pointer, list.joined(separator: ":")) != 1 {
            LibraryErrors.clear()
            throw .settings("none of the TLS cipher suites \(names) is known to this system's OpenSSL")
        }
        let version13 = CipherSuiteNames.version13.joined(separator: ":")
        // Curves of Go's default; P-521 is what certificates made at start use.
        guard SSL_CTX_set_ciphersuites(pointer, version13) == 1, copenssl_set_groups(pointer, "X25519:P-256:P-384:P-521") == 1,
            copenssl_set_versions(pointer, minimum.rawValue, settings.maximumVersion.rawValue) == 1
        else {
            throw .settings("OpenSSL: " + LibraryErrors.take(otherwise: "protocol settings refused"))
        }
    }

    private func loadIdentity(_ certificateFile: String, _ keyFile: String) throws(TLSError) {
        let chain = try CredentialFiles.certificates(certificateFile)
        let key = try CredentialFiles.key(keyFile)
        guard chain[0].withPointer({ SSL_CTX_use_certificate(pointer, $0) }) == 1 else {
            throw .file(path: certificateFile, reason: LibraryErrors.take(otherwise: "the certificate is refused"))
        }
        for issuer in chain.dropFirst() where issuer.withPointer({ copenssl_add_chain_certificate(pointer, $0) }) != 1 {
            throw .file(path: certificateFile, reason: LibraryErrors.take(otherwise: "the chain is refused"))
        }
        guard key.withPointer({ SSL_CTX_use_PrivateKey(pointer, $0) }) == 1, SSL_CTX_check_private_key(pointer) == 1 else {
            LibraryErrors.clear()
            throw .file(path: keyFile, reason: "tls: private key does not match public key")
        }
    }

    private func setVerification(_ sources: Sources) throws(TLSError) {
        guard sources.verifies else {
            SSL_CTX_set_verify(pointer, SSL_VERIFY_NONE, nil)
            return
        }
        SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        SSL_CTX_set_cert_verify_callback(pointer, verifyPeerCertificate, nil)
        guard let store = SSL_CTX_get_cert_store(pointer) else { preconditionFailure("a context without a store") }
        // Any certificate of the bundle is trusted, an intermediate too, as in Go.
        X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN))
        guard !sources.trustedAuthorityFile.isEmpty else {
            guard SSL_CTX_set_default_verify_paths(pointer) == 1 else {
                throw .settings("OpenSSL: " + LibraryErrors.take(otherwise: "the system's authorities cannot be read"))
            }
            return
        }
        for authority in try CredentialFiles.certificates(sources.trustedAuthorityFile) {
            guard authority.withPointer({ X509_STORE_add_cert(store, $0) }) == 1 else {
                throw .file(
                    path: sources.trustedAuthorityFile, reason: LibraryErrors.take(otherwise: "an authority is refused"))
            }
            // Tells clients with several certificates which one to show.
            if sources.isServer { _ = authority.withPointer { SSL_CTX_add_client_CA(pointer, $0) } }
        }
        LibraryErrors.clear()
    }

    private func setApplicationProtocols(isServer: Bool, byteCount: Int) throws(TLSError) {
        if isServer {
            // Unretained: connections keep this object for as long as they keep the library's context.
            SSL_CTX_set_alpn_select_cb(pointer, chooseApplicationProtocol, Unmanaged.passUnretained(self).toOpaque())
        } else if SSL_CTX_set_alpn_protos(pointer, applicationProtocols.baseAddress, UInt32(byteCount)) != 0 {
            throw .settings("OpenSSL refuses the application protocols")
        }
    }

    /// The first of ours that the client offers.
    fileprivate func choose(from offered: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8>? {
        var ours = applicationProtocols[...]
        while let length = ours.first, length > 0, ours.count > Int(length) {
            let name = ours.dropFirst().prefix(Int(length))
            var theirs = offered[...]
            while let length = theirs.first, theirs.count > Int(length) {
                let candidate = theirs.dropFirst().prefix(Int(length))
                if candidate.elementsEqual(name) { return UnsafeBufferPointer(rebasing: candidate) }
                theirs = theirs.dropFirst(1 + Int(length))
            }
            ours = ours.dropFirst(1 + name.count)
        }
        return nil
    }
}

private func chooseApplicationProtocol(
    _: OpaquePointer?, chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?, length: UnsafeMutablePointer<UInt8>?,
    offered: UnsafePointer<UInt8>?, offeredLength: UInt32, context: UnsafeMutableRawPointer?
) -> Int32 {
    guard let context, let chosen, let length else { return SSL_TLSEXT_ERR_ALERT_FATAL }
    let shared = Unmanaged<LibraryContext>.fromOpaque(context).takeUnretainedValue()
    guard let name = shared.choose(from: UnsafeBufferPointer(start: offered, count: Int(offeredLength))) else {
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }
    chosen.pointee = name.baseAddress
    length.pointee = UInt8(name.count)
    return SSL_TLSEXT_ERR_OK
}
