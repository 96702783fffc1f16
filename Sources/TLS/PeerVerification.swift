import COpenSSL

/// What is checked of the other side's certificate besides its chain.
struct PeerRules {
    /// The other side is a client, whose certificate must be allowed to be one; otherwise a server.
    var isClient: Bool
    /// A server's certificate must be valid for this host.
    var hostname: String?
    var allowedNames: TLSNameRules
}

/// What verification found out, kept by the session.
struct PeerVerdict {
    var identity: TLSPeerIdentity?
    /// Go's words for why the certificate was refused.
    var failure: String?
}

/// Replaces OpenSSL's verification, so that the rules are Go's: etcd's users have certificates that were made for those.
func verifyPeerCertificate(_ store: OpaquePointer?, _: UnsafeMutableRawPointer?) -> Int32 {
    guard let store,
        let connection = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
        let owner = SSL_get_ex_data(OpaquePointer(connection), 0)
    else { return 0 }
    // The session is alive: it is inside the library's call that led here.
    let session = Unmanaged<TLSSession>.fromOpaque(owner).takeUnretainedValue()
    session.verdict = verdict(on: store, session.rules, session.context.revokedSerials)
    return session.verdict.failure == nil ? 1 : 0
}

private func verdict(on store: OpaquePointer, _ rules: PeerRules, _ revoked: Set<[UInt8]>) -> PeerVerdict {
    // The purpose is checked below by Go's rules, which know "any" and do not ask for nsCertType or key usage bits.
    X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(store), X509_PURPOSE_ANY)
    guard X509_verify_cert(store) == 1 else {
        let code = X509_STORE_CTX_get_error(store)
        return refuse(store, code, "tls: failed to verify certificate: " + chainFailure(code))
    }
    guard let chain = X509_STORE_CTX_get0_chain(store), let leaf = copenssl_certificate_at(chain, 0) else {
        return refuse(store, X509_V_ERR_UNSPECIFIED, "tls: failed to verify certificate: no chain")
    }
    guard permitsUse(chain, by: rules.isClient ? UInt32(XKU_SSL_CLIENT) : UInt32(XKU_SSL_SERVER)) else {
        return refuse(
            store, X509_V_ERR_INVALID_PURPOSE,
            "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage")
    }
    let identity = TLSPeerIdentity(certificate: leaf)
    if let hostname = rules.hostname, !identity.isValid(for: hostname) {
        return refuse(
            store, X509_V_ERR_HOSTNAME_MISMATCH, "tls: failed to verify certificate: " + identity.mismatch(with: hostname),
            identity)
    }
    if let serial = revokedSerial(store, leaf, revoked) {
        let text = serial.map { hexadecimal($0) }.joined()
        return refuse(store, X509_V_ERR_CERT_REVOKED, "transport: certificate serial \(text) revoked", identity)
    }
    guard isAllowed(identity, rules.allowedNames) else {
        return refuse(store, X509_V_ERR_CERT_REJECTED, "client certificate authentication failed", identity)
    }
    return PeerVerdict(identity: identity, failure: nil)
}

/// The code decides which alert OpenSSL sends.
private func refuse(_ store: OpaquePointer, _ code: Int32, _ reason: String, _ identity: TLSPeerIdentity? = nil) -> PeerVerdict {
    X509_STORE_CTX_set_error(store, code)
    return PeerVerdict(identity: identity, failure: reason)
}

private func chainFailure(_ code: Int32) -> String {
    switch code {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
        X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return "x509: certificate signed by unknown authority"
    case X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID:
        return "x509: certificate has expired or is not yet valid"
    default:
        return "x509: " + String(cString: X509_verify_cert_error_string(Int(code)))
    }
}

/// Every certificate of the chain that limits its use must allow this one.
private func permitsUse(_ chain: OpaquePointer, by use: UInt32) -> Bool {
    for index in 0..<max(0, copenssl_count_certificates(chain)) {
        guard let certificate = copenssl_certificate_at(chain, index) else { return false }
        guard X509_get_extension_flags(certificate) & UInt32(EXFLAG_XKUSAGE) != 0 else { continue }
        guard X509_get_extended_key_usage(certificate) & (use | UInt32(XKU_ANYEKU)) != 0 else { return false }
    }
    return true
}

/// Looks at every certificate that was sent, not only at those of the chain, as etcd does.
private func revokedSerial(_ store: OpaquePointer, _ leaf: OpaquePointer, _ revoked: Set<[UInt8]>) -> [UInt8]? {
    guard !revoked.isEmpty else { return nil }
    var certificates = [leaf]
    if let sent = X509_STORE_CTX_get0_untrusted(store) {
        for index in 0..<max(0, copenssl_count_certificates(sent)) {
            if let certificate = copenssl_certificate_at(sent, index) { certificates.append(certificate) }
        }
    }
    for certificate in certificates {
        guard let serial = X509_get0_serialNumber(certificate) else { continue }
        let number = CredentialFiles.magnitude(serial)
        if revoked.contains(number) { return number }
    }
    return nil
}

private func isAllowed(_ identity: TLSPeerIdentity, _ rules: TLSNameRules) -> Bool {
    if !rules.commonNames.isEmpty { return rules.commonNames.contains(identity.commonName) }
    if !rules.hostnames.isEmpty { return rules.hostnames.contains { identity.isValid(for: $0) } }
    return true
}

private func hexadecimal(_ byte: UInt8) -> String {
    let digits = Array("0123456789abcdef")
    return String([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
}
