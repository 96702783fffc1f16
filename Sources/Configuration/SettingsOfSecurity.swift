/// Rows about TLS, access from browsers and authentication.
enum SecuritySettings {
    static var rows: [Setting] { client + peer + common + authentication }

    private static func clientKey(_ name: String) -> [String] { ["client-transport-security/" + name] }
    private static func peerKey(_ name: String) -> [String] { ["peer-transport-security/" + name] }

    private static var client: [Setting] {
        [
            Setting(
                "cert-file", .security, .text(\.clientSecurity.certificateFile), .all, file: clientKey("cert-file"),
                "Certificate shown to clients."),
            Setting(
                "key-file", .security, .text(\.clientSecurity.keyFile), .all, file: clientKey("key-file"),
                "Key of that certificate."),
            Setting(
                "client-cert-file", .security, .text(\.clientSecurity.clientCertificateFile), .since35,
                file: clientKey("client-cert-file"), "Certificate for the member's own connections to its client listeners."),
            Setting(
                "client-key-file", .security, .text(\.clientSecurity.clientKeyFile), .since35,
                file: clientKey("client-key-file"), "Key of that certificate."),
            Setting(
                "client-cert-auth", .security, .truth(\.clientSecurity.requiresClientCertificate), .all,
                file: clientKey("client-cert-auth"), "Demand a certificate of every client."),
            Setting(
                "client-crl-file", .security, .text(\.clientSecurity.revocationListFile), .all, file: [],
                "Revocation list for clients' certificates."),
            Setting(
                "client-cert-allowed-hostname", .security, .list(\.clientSecurity.allowedHostnames), .all,
                file: clientKey("allowed-hostname"), "Host names of which a client's certificate must carry one."),
            Setting(
                "client-transport-security/allowed-cn", .security, .list(\.clientSecurity.allowedCommonNames), .since35,
                file: clientKey("allowed-cn"), "Common names of which a client's certificate must carry one."),
            Setting(
                "trusted-ca-file", .security, .text(\.clientSecurity.trustedAuthorityFile), .all,
                file: clientKey("trusted-ca-file"), "Authorities trusted for clients' certificates."),
            Setting(
                "auto-tls", .security, .truth(\.clientSecurity.isAutomatic), .all, file: clientKey("auto-tls"),
                "Serve clients with a certificate made at start."),
            Setting(
                "client-transport-security/skip-client-san-verification", .security,
                .truth(\.clientSecurity.skipsClientSANVerification),
                .since36, file: clientKey("skip-client-san-verification"),
                "Do not check clients' addresses against their certificates."),
        ]
    }

    private static var peer: [Setting] {
        [
            Setting(
                "peer-cert-file", .security, .text(\.peerSecurity.certificateFile), .all, file: peerKey("cert-file"),
                "Certificate shown to other members."),
            Setting(
                "peer-key-file", .security, .text(\.peerSecurity.keyFile), .all, file: peerKey("key-file"),
                "Key of that certificate."),
            Setting(
                "peer-client-cert-file", .security, .text(\.peerSecurity.clientCertificateFile), .since35,
                file: peerKey("client-cert-file"), "Certificate for connections to other members, when it is another one."),
            Setting(
                "peer-client-key-file", .security, .text(\.peerSecurity.clientKeyFile), .since35,
                file: peerKey("client-key-file"), "Key of that certificate."),
            Setting(
                "peer-client-cert-auth", .security, .truth(\.peerSecurity.requiresClientCertificate), .all,
                file: peerKey("client-cert-auth"), "Demand a certificate of every member that connects."),
            Setting(
                "peer-crl-file", .security, .text(\.peerSecurity.revocationListFile), .all, file: [],
                "Revocation list for members' certificates."),
            Setting(
                "peer-trusted-ca-file", .security, .text(\.peerSecurity.trustedAuthorityFile), .all,
                file: peerKey("trusted-ca-file"), "Authorities trusted for members' certificates."),
            Setting(
                "peer-cert-allowed-cn", .security, .list(\.peerSecurity.allowedCommonNames), .all,
                file: peerKey("allowed-cn"), "Common names of which a member's certificate must carry one."),
            Setting(
                "peer-cert-allowed-hostname", .security, .list(\.peerSecurity.allowedHostnames), .all,
                file: peerKey("allowed-hostname"), "Host names of which a member's certificate must carry one."),
            Setting(
                "peer-auto-tls", .security, .truth(\.peerSecurity.isAutomatic), .all, file: peerKey("auto-tls"),
                "Serve other members with a certificate made at start."),
            Setting(
                "peer-skip-client-san-verification", .security, .truth(\.peerSecurity.skipsClientSANVerification), .since36,
                file: peerKey("skip-client-san-verification"),
                "Do not check members' addresses against their certificates."),
        ]
    }

    private static var common: [Setting] {
        [
            Setting(
                "self-signed-cert-validity", .security, .unsigned(\.selfSignedCertificateYears), .since35,
                "Years that certificates made at start are valid."),
            Setting(
                "cipher-suites", .security, .list(\.cipherSuites), .all,
                "Cipher suites in order of preference; not together with --tls-min-version=TLS1.3."),
            Setting(
                "tls-min-version", .security, .text(\.minimumTLSVersion, allowed: "\"TLS1.2\" or \"TLS1.3\""), .all,
                "Oldest TLS version accepted: TLS1.2 or TLS1.3."),
            Setting(
                "tls-max-version", .security, .text(\.maximumTLSVersion, allowed: "\"TLS1.2\" or \"TLS1.3\""), .all,
                "Newest TLS version accepted: TLS1.2 or TLS1.3."),
            Setting(
                "cors", .security, .origins(\.corsOrigins), .all, "Origins from which browsers may call; * for all."),
            Setting(
                "host-whitelist", .security, .set(\.hostWhitelist), .all,
                "Host names accepted in plaintext HTTP requests; * for all."),
        ]
    }

    private static var authentication: [Setting] {
        [
            Setting(
                "auth-token", .auth, .text(\.authToken, allowed: "\"simple\" or \"jwt,OPTION=VALUE,...\""), .all,
                "Kind of token and its options: simple, or jwt,pub-key=FILE,priv-key=FILE,sign-method=METHOD,ttl=DURATION."),
            Setting("bcrypt-cost", .auth, .unsigned(\.bcryptCost), .all, "Cost of hashing passwords, from 4 to 31."),
            Setting(
                "auth-token-ttl", .auth, .unsigned(\.authTokenSeconds), .all, "Seconds that a simple token stays valid unused."),
        ]
    }
}
