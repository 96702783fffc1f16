import Testing

@testable import Configuration

/// `etcd grpc-proxy start` and `etcd gateway start`.
struct EtcdProxyCommandTests {
    private func started(
        _ command: EtcdProxyCommand, _ flags: [String]
    ) throws -> (configuration: ProxyConfiguration, notices: [ConfigurationNotice]) {
        let version = BuildVersion(version: "0.1.0", revision: "abc")
        guard case .run(let configuration, let notices) = try readEtcdProxyCommand(command, ["start"] + flags, version: version)
        else { throw NotAMember() }
        return (configuration, notices)
    }

    /// What is said of flags without effect: setting and reason.
    private func unused(_ notices: [ConfigurationNotice]) -> [[String]] {
        notices.filter { $0.level == .warning && $0.message == "setting has no effect" }.map { $0.fields.map(\.value) }
    }

    static let withoutEffect = [
        "experimental-serializable-ordering", "experimental-enable-grpc-logging=true", "dial-keepalive-time=10s",
        "dial-keepalive-timeout=3s", "permit-without-stream", "grpc-keepalive-min-time=1s", "grpc-keepalive-interval=1h",
        "grpc-keepalive-timeout=3s", "advertise-client-url=10.0.0.1:23790", "resolver-prefix=/proxies", "resolver-ttl=60",
        "max-send-bytes=1000", "max-recv-bytes=1000", "enable-pprof",
    ]

    @Test(arguments: withoutEffect)
    func aFlagWithoutEffectIsNamedAndStartsTheProxy(_ flag: String) throws {
        let (configuration, notices) = try started(.grpcProxy, ["--" + flag])
        let said = unused(notices)
        let name = flag.prefix { $0 != "=" }
        #expect(said.count == 1 && said[0].count == 2)
        #expect(said.first?.first == "--\(name)")
        #expect((said.first?.last?.count ?? 0) > 10, "the reason")
        #expect(configuration.mode == .http)
    }

    @Test func nothingIsSaidOfFlagsThatHaveAnEffectOrAreNotGiven() throws {
        #expect(unused(try started(.grpcProxy, []).notices).isEmpty)
        let given = ["--endpoints=a:1,b:2", "--max-concurrent-streams=7", "--endpoints-auto-sync-interval=9s", "--debug"]
        let (configuration, notices) = try started(.grpcProxy, given)
        #expect(unused(notices).isEmpty)
        #expect(configuration.endpoints.count == 2)
        #expect(configuration.maximumConcurrentStreams == 7)
        #expect(configuration.refreshInterval == .seconds(9))
        #expect(configuration.logging.level == "debug")
    }

    @Test func aGatewaysDelayHasNoEffectEither() throws {
        let (configuration, notices) = try started(.gateway, ["--retry-delay=5s"])
        #expect(unused(notices).map(\.first) == ["--retry-delay"])
        #expect(configuration.mode == .tcp)
    }

    /// Without the prefix clients would read and write other keys than they mean to.
    @Test(arguments: ["namespace=/a", "experimental-leasing-prefix=/a"])
    func whatIsNotThereIsRefused(_ flag: String) {
        #expect(throws: ConfigurationError.self) { try started(.grpcProxy, ["--" + flag]) }
    }
}
