import Testing

@testable import Configuration

/// `etcd --proxy` and what becomes of its settings.
struct ProxyOfMemberFlagsTests {
    private func member(_ arguments: [String]) throws -> MemberConfiguration { try configured(arguments).configuration }

    @Test func theDirectoryDecidesAndTheFlagOnlyForAFreshOne() throws {
        let wanted = try member(["--proxy=on"])
        let unwanted = try member([])
        #expect(try wanted.startsProxy { _ in false } && !unwanted.startsProxy { _ in false })
        #expect(try !wanted.startsProxy { $0 == "member" } && unwanted.startsProxy { $0 == "proxy" })
        #expect(throws: ConfigurationError.self) { try wanted.startsProxy { _ in true } }
    }

    @Test func defaultsAreThoseOfEtcd() throws {
        let (proxy, notices) = try member(["--proxy=on", "--data-dir=d"]).asProxy()
        #expect(proxy.dataDirectory == "d/proxy" && proxy.mode == .http && !proxy.isReadOnly)
        #expect(proxy.refreshInterval == .seconds(30) && proxy.ejectionTime == .seconds(5) && proxy.connectTimeout == .seconds(1))
        #expect(proxy.listenClientURLs.map(\.description) == ["http://localhost:2379"])
        #expect(proxy.peers?.urls == ["http://localhost:2380"])
        #expect(notices.map(\.message) == ["running as quorate proxy"])
    }

    @Test func timesSourcesAndModeAreTaken() throws {
        let arguments = [
            "--proxy=readonly", "--proxy-failure-wait=7000", "--proxy-refresh-interval=100", "--proxy-dial-timeout=0",
            "--initial-cluster=b=http://b:1,a=https://a:1", "--listen-client-urls=http://127.0.0.1:9", "--max-request-bytes=5",
        ]
        let (proxy, notices) = try member(arguments).asProxy()
        #expect(proxy.isReadOnly && proxy.ejectionTime == .seconds(7) && proxy.refreshInterval == .milliseconds(100))
        #expect(proxy.connectTimeout == .seconds(1) && proxy.peers?.urls == ["https://a:1", "http://b:1"])
        #expect(notices.last?.fields.first?.value == "--max-request-bytes")
        let found = try member(["--proxy=on", "--discovery-srv=example.com", "--discovery-srv-name=x"]).asProxy().0
        #expect(found.peers?.domain == "example.com" && found.peers?.suffix == "x" && found.peers?.urls == [])
    }

    @Test func clientsTLSIsForMembersTooAndPeersTLSStandsIn() throws {
        let peer = ["--peer-cert-file=pc", "--peer-key-file=pk", "--peer-trusted-ca-file=pa"]
        let alone = try member(["--proxy=on"] + peer).asProxy().0
        #expect(alone.memberSecurity == alone.peers?.security && alone.memberSecurity.certificateFile == "pc")
        let both = try member(["--proxy=on", "--cert-file=c", "--key-file=k", "--trusted-ca-file=a"] + peer).asProxy().0
        #expect(both.memberSecurity.certificateFile == "c" && both.memberSecurity.trustedAuthorityFile == "a")
        #expect(both.peers?.security.certificateFile == "pc" && both.clientSecurity.certificateFile == "c")
    }
}

struct MemberLocalAddressTests {
    @Test func theFirstAddressOthersCanReach() throws {
        func address(_ urls: String) throws -> String? {
            try configured(["--initial-advertise-peer-urls=\(urls)", "--initial-cluster=default=http://h:1"]).configuration
                .memberLocalAddress
        }
        #expect(try address("http://host:1,http://127.0.0.1:2,http://10.0.0.5:2380,http://10.0.0.6:2380") == "10.0.0.5")
        #expect(try address("http://[::1]:1,http://[fe80::1]:2") == "fe80::1")
        #expect(try address("http://0.0.0.0:1") == nil)
    }
}
