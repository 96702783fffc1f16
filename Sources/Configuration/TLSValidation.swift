/// Checks on TLS settings that need no file. Sources: `embed.Config.Validate`, `client/pkg/transport/listener.go`,
/// `client/pkg/tlsutil` and `server/embed/etcd.go` of etcd 3.5 to 3.7.
func validateTLS(_ configuration: MemberConfiguration) throws(ConfigurationError) {
    let minimum = try tlsVersion(configuration.minimumTLSVersion, "tls-min-version")
    let maximum = try tlsVersion(configuration.maximumTLSVersion, "tls-max-version")
    if maximum != 0, minimum > maximum {
        throw ConfigurationError(
            "min version (\(configuration.minimumTLSVersion)) is greater than max version (\(configuration.maximumTLSVersion))")
    }
    if minimum == 13, !configuration.cipherSuites.isEmpty {
        throw ConfigurationError("cipher suites cannot be configured when only TLS1.3 is enabled")
    }
    for suite in configuration.cipherSuites where !CipherSuites.names.contains(suite) {
        throw ConfigurationError("--cipher-suites: unexpected TLS cipher suite \(goQuoted(suite))")
    }
    try validatePairs(configuration.clientSecurity, prefix: "")
    try validatePairs(configuration.peerSecurity, prefix: "peer-")
    try validateSecureURLs(configuration)
}

/// 12, 13, or 0 for the library's choice.
private func tlsVersion(_ text: String, _ flag: String) throws(ConfigurationError) -> Int {
    switch text {
    case "": return 0
    case "TLS1.2": return 12
    case "TLS1.3": return 13
    default: throw ConfigurationError("--\(flag): unexpected TLS version \(goQuoted(text)) (must be one of: TLS1.2, TLS1.3)")
    }
}

private func validatePairs(_ security: TransportSecurity, prefix: String) throws(ConfigurationError) {
    if security.certificateFile.isEmpty != security.keyFile.isEmpty {
        throw ConfigurationError(
            "KeyFile and CertFile must both be present[key: \(security.keyFile), cert: \(security.certificateFile)] "
                + "(--\(prefix)key-file, --\(prefix)cert-file)")
    }
    if security.clientCertificateFile.isEmpty != security.clientKeyFile.isEmpty {
        throw ConfigurationError(
            "ClientKeyFile and ClientCertFile must both be present or both absent: key: \(security.clientKeyFile), "
                + "cert: \(security.clientCertificateFile)] (--\(prefix)client-key-file, --\(prefix)client-cert-file)")
    }
    if !security.allowedCommonNames.isEmpty, !security.allowedHostnames.isEmpty {
        let names = security.allowedCommonNames.map { goQuoted($0) }.joined(separator: " ")
        let hosts = security.allowedHostnames.map { goQuoted($0) }.joined(separator: " ")
        throw ConfigurationError("AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\(names)], hostnames=[\(hosts)])")
    }
}

/// A listener that encrypts needs a certificate, given or made at start.
private func validateSecureURLs(_ configuration: MemberConfiguration) throws(ConfigurationError) {
    let hasPeerCertificate = !configuration.peerSecurity.isEmpty || configuration.peerSecurity.isAutomatic
    let hasClientCertificate = !configuration.clientSecurity.isEmpty || configuration.clientSecurity.isAutomatic
    if let url = configuration.listenPeerURLs.first(where: { $0.isSecure }), !hasPeerCertificate {
        throw ConfigurationError(
            "cannot listen on TLS for \(url): KeyFile and CertFile are not presented (--peer-cert-file, --peer-key-file)")
    }
    let clientURLs = configuration.listenClientURLs + configuration.listenClientHTTPURLs
    if let url = clientURLs.first(where: { $0.isSecure }), !hasClientCertificate {
        throw ConfigurationError(
            "TLS key/cert (--cert-file, --key-file) must be provided for client url \(url) with HTTPS scheme")
    }
    if configuration.listenMetricsURLs.contains(where: { $0.isSecure }), !hasClientCertificate {
        throw ConfigurationError("client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url")
    }
}

/// Cipher suites by the names that Go's `crypto/tls` knows, insecure ones included, and etcd's two older spellings.
enum CipherSuites {
    static let names: Set<String> = [
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "TLS_RSA_WITH_RC4_128_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_AES_128_CBC_SHA256",
        "TLS_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
        "TLS_ECDHE_RSA_WITH_RC4_128_SHA", "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    ]
}
