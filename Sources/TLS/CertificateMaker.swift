import COpenSSL

/// What a new certificate is to say.
struct CertificateDescription {
    enum Use: String { case server = "serverAuth", client = "clientAuth" }

    var organization = ""
    var commonName = ""
    var dnsNames: [String] = []
    var ipAddresses: [IPAddressBytes] = []
    var uses: [Use] = [.server]
    /// OpenSSL's short names of key usage bits.
    var keyUsages = ["digitalSignature", "keyEncipherment"]
    var isAuthority = false
    /// Seconds from now.
    var notBefore = 0
    var notAfter = 365 * 86_400
}

/// A certificate with its key.
struct MadeCertificate {
    let certificate: Certificate
    let key: PrivateKey

    /// A new ECDSA key on P-521 and a certificate of it, signed by `issuer` or by itself.
    init(_ description: CertificateDescription, issuer: MadeCertificate? = nil) throws(TLSError) {
        LibraryErrors.clear()
        guard let keyPointer = copenssl_make_p521_key() else { throw Self.failure("no key") }
        key = PrivateKey(owning: keyPointer)
        guard let pointer = X509_new() else { throw Self.failure("no memory") }
        certificate = Certificate(owning: pointer)
        try Self.fill(pointer, description)
        guard X509_set_version(pointer, 2) == 1, X509_set_pubkey(pointer, keyPointer) == 1 else {
            throw Self.failure("fields refused")
        }
        try (issuer?.certificate ?? certificate).withPointer { signer throws(TLSError) in
            guard X509_set_issuer_name(pointer, X509_get_subject_name(signer)) == 1 else { throw Self.failure("issuer refused") }
            for (kind, value) in Self.extensions(description) { try Self.add(kind, value, to: pointer, signer: signer) }
        }
        guard (issuer?.key ?? key).withPointer({ X509_sign(pointer, $0, EVP_sha512()) }) > 0 else {
            throw Self.failure("not signed")
        }
    }

    private static func failure(_ otherwise: String) -> TLSError {
        .settings("cannot make a certificate: " + LibraryErrors.take(otherwise: otherwise))
    }

    private static func fill(_ pointer: OpaquePointer, _ description: CertificateDescription) throws(TLSError) {
        var random = [UInt8](repeating: 0, count: 16)
        guard RAND_bytes(&random, 16) == 1, let number = BN_bin2bn(random, 16, nil) else { throw failure("no randomness") }
        defer { BN_free(number) }
        guard BN_to_ASN1_INTEGER(number, X509_get_serialNumber(pointer)) != nil,
            X509_gmtime_adj(X509_getm_notBefore(pointer), description.notBefore) != nil,
            X509_gmtime_adj(X509_getm_notAfter(pointer), description.notAfter) != nil
        else { throw failure("fields refused") }
        let subject = X509_get_subject_name(pointer)
        for (field, value) in [("O", description.organization), ("CN", description.commonName)] where !value.isEmpty {
            let bytes = Array(value.utf8)
            guard X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8, bytes, Int32(bytes.count), -1, 0) == 1 else {
                throw failure("the subject is refused")
            }
        }
    }

    private static func extensions(_ description: CertificateDescription) -> [(Int32, String)] {
        let names = description.dnsNames.map { "DNS:" + $0 } + description.ipAddresses.map { "IP:" + $0.description }
        var list = [
            (NID_key_usage, "critical," + description.keyUsages.joined(separator: ",")),
            (NID_basic_constraints, "critical,CA:" + (description.isAuthority ? "TRUE" : "FALSE")),
            (NID_subject_key_identifier, "hash"),
        ]
        if !description.uses.isEmpty {
            list.append((NID_ext_key_usage, description.uses.map { $0.rawValue }.joined(separator: ",")))
        }
        if !names.isEmpty { list.append((NID_subject_alt_name, names.joined(separator: ","))) }
        return list
    }

    private static func add(
        _ kind: Int32, _ value: String, to pointer: OpaquePointer, signer: OpaquePointer
    ) throws(TLSError) {
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, signer, pointer, nil, nil, 0)
        guard let made = X509V3_EXT_conf_nid(nil, &context, kind, value) else { throw failure("extension \(value) refused") }
        defer { X509_EXTENSION_free(made) }
        guard X509_add_ext(pointer, made, -1) == 1 else { throw failure("extension \(value) refused") }
    }

    // MARK: PEM

    func certificatePEM() throws(TLSError) -> [UInt8] {
        try certificate.withPointer { pointer throws(TLSError) in try Self.text { PEM_write_bio_X509($0, pointer) } }
    }

    /// "EC PRIVATE KEY", as etcd writes it.
    func keyPEM() throws(TLSError) -> [UInt8] {
        try key.withPointer { pointer throws(TLSError) in
            try Self.text { PEM_write_bio_PrivateKey_traditional($0, pointer, nil, nil, 0, nil, nil) }
        }
    }

    private static func text(_ write: (OpaquePointer) -> Int32) throws(TLSError) -> [UInt8] {
        guard let bio = BIO_new(BIO_s_mem()) else { throw failure("no memory") }
        defer { BIO_free(bio) }
        var start: UnsafeMutablePointer<CChar>?
        guard write(bio) == 1, case let count = copenssl_text_of(bio, &start), count > 0, let start else {
            throw failure("no text")
        }
        return UnsafeRawBufferPointer(start: start, count: count).map { $0 }
    }
}
