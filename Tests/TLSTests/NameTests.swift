import Testing

@testable import TLS

@Suite struct NameTests {
    /// Expectations follow Go's documentation of VerifyHostname and RFC 6125.
    @Test(arguments: [
        ("etcd.example", ["etcd.example"], true), ("ETCD.Example", ["etcd.example"], true),
        ("etcd.example.", ["etcd.example"], true),
        ("a.example", ["*.example"], true), ("a.b.example", ["*.example"], false), ("example", ["*.example"], false),
        ("a.example", ["a*.example"], false), ("a.example", ["*"], false), ("localhost", ["*"], true),
        ("10.0.0.1", ["10.0.0.1"], false), ("a.example", [], false), ("", [""], false), ("_srv.example", ["_srv.example"], true),
        ("-a.example", ["-a.example"], true),
    ])
    func hostNames(_ host: String, _ names: [String], _ isValid: Bool) {
        var identity = TLSPeerIdentity()
        identity.dnsNames = names
        #expect(identity.isValid(for: host) == isValid)
    }

    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1", true), ("::ffff:127.0.0.1", "127.0.0.1", true), ("[::1]", "::1", true), ("::1", "::1", true),
        ("fe80::1%lo", "fe80::1", true), ("127.0.0.2", "127.0.0.1", false), ("localhost", "127.0.0.1", false),
    ])
    func addresses(_ host: String, _ address: String, _ isValid: Bool) throws {
        var identity = TLSPeerIdentity()
        identity.commonName = host
        identity.ipAddresses = [try #require(IPAddressBytes(address))]
        #expect(identity.isValid(for: host) == isValid)
    }

    @Test func addressesAreComparedBeforeNamesAreResolved() throws {
        var identity = TLSPeerIdentity()
        #expect(AddressCheck.compare(identity, address: "10.0.0.1") == .valid)
        identity.ipAddresses = [try #require(IPAddressBytes("10.0.0.1"))]
        #expect(AddressCheck.compare(identity, address: "10.0.0.1") == .valid)
        let refused = AddressCheck.Answer.refused(.handshake("x509: certificate is valid for 10.0.0.1, not 10.0.0.2"))
        #expect(AddressCheck.compare(identity, address: "10.0.0.2") == refused)
        identity.dnsNames = ["a.example"]
        #expect(AddressCheck.compare(identity, address: "10.0.0.2") == .unknown)
    }

    @Test func everySuiteOfGoHasAName() throws {
        #expect(try CipherSuiteNames.libraryList(CipherSuiteNames.defaults).count == CipherSuiteNames.defaults.count)
        #expect(try CipherSuiteNames.libraryList(CipherSuiteNames.version13).isEmpty)
    }
}
