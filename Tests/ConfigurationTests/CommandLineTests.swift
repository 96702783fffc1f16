import Testing

@testable import Configuration

struct CommandLineTests {
    @Test(arguments: [
        ["-name", "a"], ["--name", "a"], ["-name=a"], ["--name=a"], ["--name=b", "--name=a"], ["--name=a", "--"],
    ])
    func everyNotationOfGoIsRead(_ arguments: [String]) throws {
        #expect(try configured(arguments).configuration.name == "a")
    }

    @Test func truthFlagsNeedNoValueAndTakeNoFollowingWord() throws {
        let configuration = try configured(["--socket-reuse-port", "--pre-vote=false", "--name", "a"]).configuration
        #expect(configuration.socketReusePort)
        #expect(!configuration.preVote)
        #expect(configuration.name == "a")
        #expect(refusal(["--pre-vote", "false"])?.message == "\"false\" is not a valid flag")
    }

    @Test func aValueMayContainEqualSignsAndBeEmpty() throws {
        #expect(try configured(["--initial-cluster-token=a=b"]).configuration.initialClusterToken == "a=b")
        #expect(try configured(["--initial-cluster-token="]).configuration.initialClusterToken.isEmpty)
    }

    struct Refused: Sendable {
        let arguments: [String]
        let message: String
        let exitCode: Int32
    }

    /// Texts and exit codes of etcd 3.5.30; "(allowed: ...)" is added here.
    @Test(arguments: [
        Refused(arguments: ["--foo"], message: "flag provided but not defined: -foo", exitCode: 2),
        Refused(arguments: ["--name"], message: "flag needs an argument: -name", exitCode: 2),
        Refused(arguments: ["---x"], message: "bad flag syntax: ---x", exitCode: 2),
        Refused(arguments: ["--=x"], message: "bad flag syntax: --=x", exitCode: 2),
        Refused(arguments: ["foo"], message: "\"foo\" is not a valid flag", exitCode: 1),
        Refused(arguments: ["-"], message: "\"-\" is not a valid flag", exitCode: 1),
        Refused(
            arguments: ["--heartbeat-interval", "abc"],
            message: "invalid value \"abc\" for flag -heartbeat-interval: parse error (allowed: a whole number, not negative)",
            exitCode: 2),
        Refused(
            arguments: ["--heartbeat-interval", "-1"],
            message: "invalid value \"-1\" for flag -heartbeat-interval: parse error (allowed: a whole number, not negative)",
            exitCode: 2),
        Refused(
            arguments: ["--heartbeat-interval", "99999999999999999999"],
            message: "invalid value \"99999999999999999999\" for flag -heartbeat-interval: value out of range "
                + "(allowed: a whole number, not negative)", exitCode: 2),
        Refused(
            arguments: ["--max-concurrent-streams=4294967296"],
            message: "invalid value \"4294967296\" for flag -max-concurrent-streams: value out of range "
                + "(allowed: a whole number from 0 to 4294967295)", exitCode: 2),
        Refused(
            arguments: ["--pre-vote=maybe"],
            message: "invalid boolean value \"maybe\" for -pre-vote: parse error (allowed: true or false)", exitCode: 2),
        Refused(
            arguments: ["--initial-cluster-state=maybe"],
            message:
                "invalid value \"maybe\" for flag -initial-cluster-state: invalid value (allowed: one of \"new\", \"existing\")",
            exitCode: 2),
        Refused(
            arguments: ["--grpc-keepalive-min-time=5"],
            message: "invalid value \"5\" for flag -grpc-keepalive-min-time: parse error "
                + "(allowed: a duration with its unit, as 300ms, 5s or 1h30m)", exitCode: 2),
        Refused(
            arguments: ["--listen-client-urls=127.0.0.1:2379"],
            message:
                "invalid value \"127.0.0.1:2379\" for flag -listen-client-urls: parse \"127.0.0.1:2379\": first path segment "
                + "in URL cannot contain colon (allowed: URLs as http://HOST:PORT or unix://PATH, separated by commas)",
            exitCode: 2),
        Refused(
            arguments: ["--feature-gates=Nope=true"],
            message:
                "invalid value \"Nope=true\" for flag -feature-gates: unrecognized feature gate: Nope (allowed: NAME=true or "
                + "NAME=false, separated by commas; names: CompactHashCheck, FastLeaseKeepAlive, InitialCorruptCheck, "
                + "LeaseCheckpoint, LeaseCheckpointPersist, PriorityRequest, SetMemberLocalAddr, StopGRPCServiceOnDefrag, "
                + "TxnModeWriteWithSharedBuffer, AllAlpha, AllBeta)", exitCode: 2),
    ])
    func mistakesAreNamedAsByGo(_ refused: Refused) {
        let error = refusal(refused.arguments)
        #expect(error?.message == refused.message)
        #expect(error?.exitCode == refused.exitCode)
        #expect(error?.showsUsage == (refused.exitCode == 2))
    }

    @Test func theFirstMistakeIsReported() {
        #expect(refusal(["--pre-vote=x", "--foo"])?.message.hasPrefix("invalid boolean value") == true)
        #expect(refusal(["--foo", "--help"])?.exitCode == 2)
    }

    @Test func versionTellsTheEtcdVersionOfTheCompatibility() throws {
        for (arguments, version) in [
            (["--version"], "3.6.14"), (["--version", "--compatibility-version=3.5"], "3.5.30"),
            (["--compatibility-version", "3.7", "-version=true"], "3.7.1"),
        ] {
            guard case .print(let text) = try request(arguments) else {
                Issue.record("\(arguments) does not print")
                continue
            }
            let lines = text.split(separator: "\n")
            #expect(lines[0] == "etcd Version: \(version)")
            #expect(lines[1] == "Git SHA: abc")
            #expect(lines[2] == "Quorate Version: 0.1.0")
        }
        #expect(throws: NotAMember.self) { try configured(["--version"]) }
        #expect(try configured(["--version=false"]).configuration.name == "default")
    }

    @Test func helpNamesEverySettingOfTheTable() throws {
        for word in ["-h", "--help", "-help"] {
            guard case .print(let text) = try request([word]) else {
                Issue.record("\(word) does not print")
                continue
            }
            for setting in SettingsTable().settings where !setting.isFileOnly {
                #expect(text.contains("  --\(setting.name)"), "\(setting.name) is missing")
            }
            #expect(text.contains("  --election-timeout '1000'\n"))
        }
    }

    @Test func programNamesChooseTheForm() {
        #expect(ProgramForm.of(["/usr/bin/etcd", "--name", "a"]) == .member(["--name", "a"]))
        #expect(ProgramForm.of(["etcd"]) == .member([]))
        #expect(ProgramForm.of(["etcd", "grpc-proxy", "start"]) == .other("grpc-proxy", ["start"]))
        #expect(ProgramForm.of(["./quorate", "member", "--name=a"]) == .member(["--name=a"]))
        #expect(ProgramForm.of(["quorate", "proxy", "x"]) == .other("proxy", ["x"]))
        #expect(ProgramForm.of(["quorate"]) == .nothing)
    }
}
