import Testing

@testable import Configuration

/// `quorate proxy`'s own command line, environment and file.
struct ProxyConfigurationTests {
    private func read(
        _ arguments: [String] = [], environment: [String: String] = [:], files: [String: String] = [:]
    ) throws(ConfigurationError) -> ProxyRequest {
        let inputs = ConfigurationInputs(arguments, environment, files: files)
        return try readProxyConfiguration(inputs, version: BuildVersion(version: "0.1.0", revision: "abc"))
    }

    private func configured(
        _ arguments: [String] = [], environment: [String: String] = [:], files: [String: String] = [:]
    ) throws -> ProxyConfiguration {
        guard case .run(let configuration, _) = try read(arguments, environment: environment, files: files) else {
            throw NotAMember()
        }
        return configuration
    }

    private func refusal(_ arguments: [String]) -> String? {
        do throws(ConfigurationError) {
            _ = try read(arguments)
            return nil
        } catch { return error.message }
    }

    @Test func defaults() throws {
        let proxy = try configured()
        #expect(proxy.listenClientURLs.map(\.description) == ["http://127.0.0.1:23790"])
        #expect(proxy.endpoints.map(\.description) == ["http://127.0.0.1:2379"])
        #expect(proxy.mode == .http && !proxy.isReadOnly && !proxy.allowSharedIdentity)
        #expect(proxy.policy == .leastLoaded && !proxy.prefersLeaderForWrites && proxy.preferredEndpoints.isEmpty)
        #expect(proxy.replayBufferBytes == 1 << 20)
        #expect(proxy.dataDirectory == "default.proxy")
    }

    @Test func theCommandLineOfTheReadme() throws {
        let proxy = try configured(["--endpoints", "https://a:2379,https://b:2379,https://c:2379", "--mode", "tcp"])
        #expect(proxy.endpoints.map(\.description) == ["https://a:2379", "https://b:2379", "https://c:2379"])
        #expect(proxy.mode == .tcp)
    }

    @Test func endpointsWithoutSchemeFollowTheMembersTLS() throws {
        let plain = try configured(["--endpoints", "a:1,b,a:1"])
        #expect(plain.endpoints.map(\.description) == ["http://a:1", "http://b:2379"])
        for flags in [["--cacert", "ca"], ["--cert", "c", "--key", "k"], ["--insecure-skip-tls-verify"]] {
            let secure = try configured(["--endpoints", "a:1,http://b:1"] + flags)
            #expect(secure.endpoints.map(\.description) == ["https://a:1", "http://b:1"], "\(flags)")
        }
    }

    @Test func environmentAndFileSetTheSame() throws {
        let environment = ["QUORATE_PROXY_MODE": "tcp", "QUORATE_PROXY_ENDPOINTS": "a:1", "QUORATE_PROXY_PROBE_INTERVAL": "2s"]
        let file = "mode: tcp\nendpoints: a:1\nprobe-interval: 2s\n"
        let both = [
            try configured(environment: environment),
            try configured(["--config-file", "p.yaml"], files: ["p.yaml": file]),
            try configured(environment: ["QUORATE_PROXY_CONFIG_FILE": "p.yaml"], files: ["p.yaml": file]),
        ]
        for proxy in both {
            #expect(proxy.mode == .tcp && proxy.probeInterval == .seconds(2))
            #expect(proxy.endpoints.map(\.description) == ["http://a:1"])
        }
    }

    /// Whoever forges records must not get clients' requests.
    @Test func endpointsFromRecordsHaveToProveTheDomain() throws {
        #expect(try configured(["--discovery-srv", "example.com"]).memberSecurity.serverName == "example.com")
        #expect(try configured(["--discovery-srv", "example.com", "--insecure-discovery"]).memberSecurity.serverName.isEmpty)
        let named = try configured(["--discovery-srv", "example.com", "--server-name", "etcd"])
        #expect(named.memberSecurity.serverName == "etcd" && named.endpoints.isEmpty)
    }

    @Test(arguments: [
        (["--readonly", "--mode", "tcp"], "--readonly needs --mode http"),
        (["--endpoints", "a:1", "--endpoints-file", "f"], "only one of --endpoints, --endpoints-file and --discovery-srv"),
        (["--endpoints", "a:1", "--discovery-srv", "d"], "only one of --endpoints, --endpoints-file and --discovery-srv"),
        (["--endpoints", "ftp://a:1"], "for --endpoints"), (["--endpoints", ""], "--endpoints"),
        (["--mode", "udp"], "-mode"), (["--policy", "random"], "-policy"), (["--cluster-id", "xyz"], "-cluster-id"),
        (["--prefer-endpoints", "10.0.0.0/40"], "-prefer-endpoints"), (["--probe-interval", "1ms"], "--probe-interval"),
        (["--probe-timeout", "0s"], "--probe-timeout"), (["--probe-rise", "0"], "--probe-rise"),
        (["--probe-fall", "0"], "--probe-fall"),
        (["--ejection-time", "20s", "--ejection-max-time", "10s"], "--ejection-max-time"),
        (["--retry-percent", "1001"], "--retry-percent"), (["--threads", "65"], "--threads"),
        (["--upstream-connections", "0"], "--upstream-connections"),
        (["--replay-buffer-bytes", "2000000000"], "--replay-buffer-bytes"),
        (["--refresh-interval", "10ms"], "--refresh-interval"), (["--listen-client-urls", "ftp://a:1"], "-listen-client-urls"),
    ])
    func whatMakesNoSenseIsRefusedByName(_ arguments: [String], _ words: String) throws {
        let said = try #require(refusal(arguments))
        #expect(said.contains(words), "\(said)")
    }
}
