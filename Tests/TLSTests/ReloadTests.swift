import NIOCore
import NIOEmbedded
import Testing

@testable import TLS

@Suite struct ReloadTests {
    let certificates: TestCertificates
    let log = LogCollector()

    init() throws {
        certificates = try TestCertificates()
        try certificates.issue("server") { $0.commonName = "first" }
    }

    private func servedName(_ server: TLSServerContext) throws -> String? {
        let pair = try TestPair(server, TLSClientContext(certificates.clientSettings()))
        pair.exchange()
        return pair.client.recorder.established?.identity?.commonName
    }

    @Test func newFilesAreUsedByNewConnections() throws {
        var settings = certificates.serverSettings()
        settings.log = log.log
        let server = try TLSServerContext(settings)
        let old = try TestPair(server, TLSClientContext(certificates.clientSettings()))
        old.exchange()
        try certificates.issue("server") { $0.commonName = "second" }
        #expect(try servedName(server) == "second")
        old.client.send("still here")
        old.exchange()
        #expect(old.server.text == "still here")

        // Half of a new pair is not used, the old one is, and it is said once.
        let third = try certificates.issue("third") { $0.commonName = "third" }
        try certificates.write("server.pem", third.certificatePEM())
        for _ in 0..<3 { #expect(try servedName(server) == "second") }
        let failures = log.all.filter { if case .reloadFailed = $0 { true } else { false } }
        #expect(
            failures == [
                .reloadFailed(reason: certificates.path("server-key.pem") + ": tls: private key does not match public key")
            ])
        #expect(server.reload() != nil)
        try certificates.write("server-key.pem", third.keyPEM())
        #expect(try servedName(server) == "third")
        #expect(server.reload() == nil)
    }

    @Test func revocationListsAndAuthoritiesAreReadAgain() throws {
        try certificates.issue("alice")
        var settings = certificates.serverSettings()
        settings.trustedAuthorityFile = certificates.path("clients.pem")
        try certificates.write("clients.pem", certificates.authority.certificatePEM())
        let server = try TLSServerContext(settings)
        let client = try TLSClientContext(certificates.clientSettings("alice"))
        func isServed() throws -> Bool {
            let pair = try TestPair(server, client)
            pair.exchange()
            return pair.server.recorder.established != nil
        }
        #expect(try isServed())
        try certificates.write("clients.pem", TestCertificates.makeAuthority("other").certificatePEM())
        #expect(try !isServed())
        try certificates.write("clients.pem", certificates.authority.certificatePEM())
        #expect(try isServed())
    }

    @Test func settingsThatCannotWorkAreRefused() throws {
        var settings = certificates.serverSettings()
        settings.keyFile = certificates.path("missing")
        let missing = TLSError.file(path: "open " + certificates.path("missing"), reason: "no such file or directory")
        #expect(throws: missing) { try TLSServerContext(settings) }
        #expect(missing.description == "open \(certificates.path("missing")): no such file or directory")
        settings = certificates.serverSettings()
        try certificates.write("empty", [])
        settings.trustedAuthorityFile = certificates.path("empty")
        #expect(throws: TLSError.self) { try TLSServerContext(settings) }
        settings = certificates.serverSettings()
        settings.protocols.cipherSuites = ["TLS_AES_128_GCM_SHA256"]
        settings.protocols.maximumVersion = .tls12
        #expect(throws: TLSError.settings("no cipher suite of TLS 1.2 is allowed")) { try TLSServerContext(settings) }
    }

    @Test func selfSignedCertificatesAreMadeOnceAndWork() throws {
        let made = try SelfSignedCertificate(
            directory: certificates.directory, hosts: ["127.0.0.1", "localhost", ""], years: 1)
        #expect(made.isNew)
        #expect(try !SelfSignedCertificate(directory: certificates.directory, hosts: [], years: 1).isNew)
        #expect(throws: TLSError.self) { try SelfSignedCertificate(directory: certificates.directory, hosts: [], years: 0) }
        let server = try TLSServerContext(TLSServerSettings(certificateFile: made.certificateFile, keyFile: made.keyFile))
        // Whoever trusts that very certificate can verify it.
        var settings = TLSClientSettings()
        settings.trustedAuthorityFile = made.certificateFile
        let pair = try TestPair(server, TLSClientContext(settings))
        pair.exchange()
        #expect(pair.client.recorder.established != nil)
    }
}
