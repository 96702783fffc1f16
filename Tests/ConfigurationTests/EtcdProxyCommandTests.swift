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
        "grpc-keepalive-timeout=3s", "advertise-client-url=10.0.0.1:23790", "resolver-ttl=-60",
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

    private func refusal(_ command: EtcdProxyCommand, _ flags: [String]) -> ConfigurationError? {
        do {
            _ = try started(command, flags)
            return nil
        } catch { return error as? ConfigurationError }
    }

    /// Values of flags without effect count as much as those of the others: what etcd refuses is a mistake here too.
    @Test(arguments: [
        ("dial-keepalive-time=bad", "time: invalid duration \"bad\""),
        ("dial-keepalive-timeout=5", "time: missing unit in duration \"5\""),
        ("grpc-keepalive-min-time=", "time: invalid duration \"\""),
        ("grpc-keepalive-interval=2 h", "time: unknown unit \" h\" in duration \"2 h\""),
        ("grpc-keepalive-timeout=1x", "time: unknown unit \"x\" in duration \"1x\""),
        ("endpoints-auto-sync-interval=x", "time: invalid duration \"x\""),
        ("permit-without-stream=maybe", "strconv.ParseBool: parsing \"maybe\": invalid syntax"),
        ("enable-pprof=2", "strconv.ParseBool: parsing \"2\": invalid syntax"),
        ("experimental-serializable-ordering=ja", "strconv.ParseBool: parsing \"ja\": invalid syntax"),
        ("experimental-enable-grpc-logging=", "strconv.ParseBool: parsing \"\": invalid syntax"),
        ("resolver-ttl=1.5", "strconv.ParseInt: parsing \"1.5\": invalid syntax"),
        ("max-send-bytes=99999999999999999999", "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"),
        ("max-recv-bytes=x", "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("max-concurrent-streams=-1", "strconv.ParseUint: parsing \"-1\": invalid syntax"),
        ("max-concurrent-streams=4294967296", "strconv.ParseUint: parsing \"4294967296\": value out of range"),
    ])
    func aValueThatMakesNoSenseIsRefusedAsEtcdDoes(_ flag: String, _ reason: String) throws {
        let error = try #require(refusal(.grpcProxy, ["--" + flag]))
        let parts = flag.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        #expect(
            error.message.hasPrefix("Error: invalid argument \"\(parts[1])\" for \"--\(parts[0])\" flag: \(reason)"), "\(error)")
        #expect(error.exitCode == 1)
    }

    @Test func flagsThatAreUnknownOrHaveNoValueAreNamed() throws {
        for command in [EtcdProxyCommand.grpcProxy, .gateway] {
            let unknown = try #require(refusal(command, ["--bad"]))
            #expect(unknown == ConfigurationError("Error: unknown flag: --bad"))
            let bare = try #require(refusal(command, ["--endpoints"]))
            #expect(bare == ConfigurationError("Error: flag needs an argument: --endpoints"))
        }
        let delay = try #require(refusal(.gateway, ["--retry-delay=x"]))
        #expect(delay.message.hasPrefix("Error: invalid argument \"x\" for \"--retry-delay\" flag: time: invalid duration \"x\""))
    }

    /// Rules between flags.
    @Test(arguments: [
        (["--resolver-prefix=/p"], "invalid resolver-ttl 0"),
        (["--resolver-prefix=/p", "--resolver-ttl=-3"], "invalid resolver-ttl -3"),
        (["--resolver-ttl=60"], "invalid resolver-prefix \"\""),
        (["--resolver-prefix=/p", "--resolver-ttl=60", "--advertise-client-url="], "invalid advertise-client-url \"\""),
    ])
    func aRegistrationThatMakesNoSenseIsRefused(_ flags: [String], _ reason: String) throws {
        #expect(refusal(.grpcProxy, flags) == ConfigurationError(reason))
        let whole = try started(.grpcProxy, ["--resolver-prefix=/p", "--resolver-ttl=60"])
        #expect(unused(whole.notices).count == 2)
    }
}
