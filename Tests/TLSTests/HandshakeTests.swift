import NIOCore
import NIOEmbedded
import Testing

@testable import TLS

@Suite struct HandshakeTests {
    let certificates: TestCertificates

    init() throws {
        certificates = try TestCertificates()
        try certificates.issue("server")
        try certificates.issue("alice")
    }

    private func mutual(_ change: (inout TLSServerSettings) -> Void = { _ in }) throws -> TLSServerContext {
        var settings = certificates.serverSettings()
        settings.trustedAuthorityFile = certificates.path("ca.pem")
        settings.identityEvent = { TestIdentity(commonName: $0.commonName) }
        change(&settings)
        return try TLSServerContext(settings)
    }

    @Test func bytesGoBothWaysAndBothSidesAreNamed() throws {
        let pair = try TestPair(mutual(), TLSClientContext(certificates.clientSettings("alice")))
        pair.exchange()
        pair.client.send("hello")
        pair.exchange()
        pair.server.send("welcome")
        pair.exchange()
        #expect(pair.server.text == "hello")
        #expect(pair.client.text == "welcome")
        #expect(pair.server.recorder.events == ["identity alice", "established", "active", "complete", "read", "complete"])
        #expect(pair.server.recorder.established?.identity?.commonName == "alice")
        #expect(pair.client.recorder.established?.identity?.commonName == "server")
        #expect(pair.client.recorder.established?.applicationProtocol == "h2")
        #expect(pair.client.recorder.established?.version == "TLSv1.3")
    }

    /// Every cut of the byte stream, and one byte at a time, in both versions.
    @Test(arguments: [TLSProtocolSettings.Version.tls12, .tls13])
    func aHandshakeMayBeCutAnywhere(_ version: TLSProtocolSettings.Version) throws {
        let server = try mutual()
        var settings = certificates.clientSettings("alice")
        settings.protocols.maximumVersion = version
        let client = try TLSClientContext(settings)
        for piece in [1, 2, 3, 5, 7, 64, 1_000] {
            let pair = try TestPair(server, client)
            pair.client.send("early")
            pair.exchange(piece: piece)
            pair.server.send("late")
            pair.exchange(piece: piece)
            #expect(pair.server.text == "early")
            #expect(pair.client.text == "late")
        }
    }

    @Test func theServersPreferredProtocolIsChosen() throws {
        var settings = certificates.clientSettings()
        settings.applicationProtocols = ["http/1.1", "h2"]
        let server = try TLSServerContext(certificates.serverSettings())
        let pair = try TestPair(server, TLSClientContext(settings))
        pair.exchange()
        #expect(pair.client.recorder.established?.applicationProtocol == "h2")

        settings.applicationProtocols = ["spdy/3"]
        let refused = try TestPair(server, TLSClientContext(settings))
        refused.exchange()
        #expect(refused.client.recorder.errors == [.handshake("remote error: tls: no application protocol")])

        settings.applicationProtocols = []
        let silent = try TestPair(server, TLSClientContext(settings))
        silent.exchange()
        #expect(silent.client.recorder.established?.applicationProtocol == nil)
        #expect(silent.server.recorder.established != nil)
    }

    @Test func aClientWithoutACertificateIsRefused() throws {
        let log = LogCollector()
        let pair = try TestPair(mutual { $0.log = log.log }, TLSClientContext(certificates.clientSettings()))
        pair.exchange()
        #expect(pair.client.recorder.errors == [.broken("remote error: tls: certificate required")])
        #expect(log.rejections.map { $0.error } == [.handshake("tls: client didn't provide a certificate")])
        #expect(log.rejections.first?.remoteAddress == "127.0.0.1:40100")
        #expect(log.rejections.first?.serverName == "localhost")
        #expect(pair.server.recorder.established == nil)
    }

    @Test func aClientOfAnotherAuthorityIsRefused() throws {
        let log = LogCollector()
        let stranger = try TestCertificates.makeAuthority("stranger")
        try certificates.issue("mallory", by: stranger)
        let pair = try TestPair(mutual { $0.log = log.log }, TLSClientContext(certificates.clientSettings("mallory")))
        pair.exchange()
        #expect(
            log.rejections.map { $0.error } == [
                .handshake("tls: failed to verify certificate: x509: certificate signed by unknown authority")
            ])
        #expect(pair.server.recorder.established == nil)
    }

    @Test func aServerOfAnotherAuthorityIsRefused() throws {
        let stranger = try TestCertificates.makeAuthority("stranger")
        try certificates.issue("elsewhere", by: stranger)
        let log = LogCollector()
        var settings = certificates.serverSettings("elsewhere")
        settings.log = log.log
        let pair = try TestPair(TLSServerContext(settings), TLSClientContext(certificates.clientSettings()))
        pair.exchange()
        #expect(
            pair.client.recorder.errors == [
                .handshake("tls: failed to verify certificate: x509: certificate signed by unknown authority")
            ])
        #expect(log.rejections.map { $0.error } == [.handshake("remote error: tls: unknown certificate authority")])
    }

    @Test func certificatesOutOfTimeOrForOtherUseAreRefused() throws {
        try certificates.issue("expired") { ($0.notBefore, $0.notAfter) = (-7_200, -3_600) }
        try certificates.issue("serving") { $0.uses = [.server] }
        try certificates.issue("anything") { $0.uses = [] }
        let log = LogCollector()
        let server = try mutual { $0.log = log.log }
        for (name, isServed) in [("expired", false), ("serving", false), ("anything", true)] {
            let pair = try TestPair(server, TLSClientContext(certificates.clientSettings(name)))
            pair.exchange()
            #expect((pair.server.recorder.established != nil) == isServed, "\(name)")
        }
        #expect(
            log.rejections.map { $0.error.description } == [
                "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
                "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage",
            ])
    }

    @Test func anIntermediateIsFollowedWhenSentAndMayBeTrustedItself() throws {
        var description = CertificateDescription()
        (description.commonName, description.isAuthority, description.uses) = ("intermediate", true, [])
        description.keyUsages = ["keyCertSign"]
        let intermediate = try MadeCertificate(description, issuer: certificates.authority)
        let leaf = try certificates.issue("bob", by: intermediate)
        let alone = try TestPair(mutual(), TLSClientContext(certificates.clientSettings("bob")))
        alone.exchange()
        #expect(alone.server.recorder.established == nil)

        try certificates.write("intermediate.pem", intermediate.certificatePEM())
        let trusted = try TestPair(
            mutual { [certificates] in $0.trustedAuthorityFile = certificates.path("intermediate.pem") },
            TLSClientContext(certificates.clientSettings("bob")))
        trusted.exchange()
        #expect(trusted.server.recorder.established?.identity?.commonName == "bob")

        try certificates.write("bob.pem", leaf.certificatePEM() + intermediate.certificatePEM())
        let sent = try TestPair(mutual(), TLSClientContext(certificates.clientSettings("bob")))
        sent.exchange()
        #expect(sent.server.recorder.established?.identity?.commonName == "bob")
    }

    @Test func theServersNameMustBeTheOneDialled() throws {
        let server = try TLSServerContext(certificates.serverSettings())
        let client = try TLSClientContext(certificates.clientSettings())
        for (host, error) in [
            ("localhost", nil), ("127.0.0.1", nil),
            ("127.0.0.2", "tls: failed to verify certificate: x509: certificate is valid for 127.0.0.1, not 127.0.0.2"),
            ("etcd.example", "tls: failed to verify certificate: x509: certificate is valid for localhost, not etcd.example"),
        ] {
            let pair = try TestPair(server, client, host: host)
            pair.exchange()
            #expect(pair.client.recorder.errors.first?.description == error)
        }
        var settings = certificates.clientSettings()
        settings.serverName = "localhost"
        let renamed = try TestPair(server, TLSClientContext(settings), host: "10.0.0.1")
        renamed.exchange()
        #expect(renamed.client.recorder.established != nil)

        settings = TLSClientSettings()
        settings.skipsVerification = true
        let trusting = try TestPair(server, TLSClientContext(settings), host: "10.0.0.1")
        trusting.exchange()
        #expect(trusting.client.recorder.established != nil)
    }

    @Test func onlyAllowedNamesGetIn() throws {
        try certificates.issue("bob") { $0.dnsNames = ["*.members.example"] }
        let log = LogCollector()
        for (rules, isServed) in [
            (["bob", "carol"], [] as [String], true), (["carol"], [], false), ([], ["a.members.example"], true),
            ([], ["bob"], false), ([], ["127.0.0.1"], true),
        ].map({ (TLSNameRules(commonNames: $0.0, hostnames: $0.1), $0.2) }) {
            let server = try mutual {
                $0.allowedNames = rules
                $0.log = log.log
            }
            let pair = try TestPair(server, TLSClientContext(certificates.clientSettings("bob")))
            pair.exchange()
            #expect((pair.server.recorder.established != nil) == isServed, "\(rules)")
        }
        #expect(log.rejections.allSatisfy { $0.error == .handshake("client certificate authentication failed") })
        #expect(log.rejections.first?.identity?.commonName == "bob")
    }

    @Test func versionsAndSuitesAreThoseAllowed() throws {
        var settings = certificates.serverSettings()
        settings.protocols.minimumVersion = .tls13
        var old = certificates.clientSettings()
        old.protocols.maximumVersion = .tls12
        let refused = try TestPair(TLSServerContext(settings), TLSClientContext(old))
        refused.exchange()
        #expect(refused.client.recorder.errors == [.handshake("remote error: tls: protocol version not supported")])

        settings.protocols.minimumVersion = .tls12
        settings.protocols.cipherSuites = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]
        old.protocols.cipherSuites = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
        let disjoint = try TestPair(TLSServerContext(settings), TLSClientContext(old))
        disjoint.exchange()
        #expect(disjoint.client.recorder.errors == [.handshake("remote error: tls: handshake failure")])

        old.protocols.cipherSuites = []
        let common = try TestPair(TLSServerContext(settings), TLSClientContext(old))
        common.exchange()
        #expect(common.server.recorder.established?.version == "TLSv1.2")

        settings.protocols.cipherSuites = ["TLS_NONSENSE"]
        #expect(throws: TLSError.settings("unexpected TLS cipher suite \"TLS_NONSENSE\"")) { try TLSServerContext(settings) }
    }
}

extension TLSNameRules {
    fileprivate init(commonNames: [String], hostnames: [String]) {
        self.init()
        self.commonNames = commonNames
        self.hostnames = hostnames
    }
}
