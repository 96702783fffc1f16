import Testing

@testable import Configuration

struct PrecedenceTests {
    @Test func variablesAreReadWhereNoFlagIs() throws {
        let environment = [
            "ETCD_NAME": "a", "ETCD_HEARTBEAT_INTERVAL": "50", "ETCD_PRE_VOTE": "0", "QUORATE_NOSPACE_AUTO_DISARM": "f",
        ]
        let (configuration, notices) = try configured(["--election-timeout", "500"], environment: environment)
        #expect(configuration.name == "a")
        #expect(configuration.heartbeatMilliseconds == 50)
        #expect(configuration.electionMilliseconds == 500)
        #expect(!configuration.preVote)
        #expect(!configuration.nospaceAutoDisarm)
        #expect(
            configuration.explicitSettings == [
                "election-timeout", "heartbeat-interval", "name", "nospace-auto-disarm", "pre-vote",
            ])
        #expect(notices.filter { $0.message == "recognized and used environment variable" }.count == 4)
    }

    @Test func aVariableAndAFlagForTheSameThingConflict() {
        let error = refusal(["--name=b"], environment: ["ETCD_NAME": "a"])
        #expect(error?.exitCode == 1)
        #expect(
            error?.message.hasPrefix("conflicting environment variable is shadowed by corresponding command-line flag") == true)
        #expect(error?.message.contains("ETCD_NAME") == true)
    }

    @Test func anEmptyVariableCountsForNothingUnlessItConflicts() throws {
        #expect(try configured(environment: ["ETCD_HEARTBEAT_INTERVAL": ""]).configuration.heartbeatMilliseconds == 100)
        #expect(refusal(["--name=b"], environment: ["ETCD_NAME": ""]) != nil)
    }

    @Test func aBadVariableIsNamed() {
        let error = refusal(environment: ["ETCD_HEARTBEAT_INTERVAL": "x"])
        #expect(
            error?.message
                == "invalid value \"x\" for ETCD_HEARTBEAT_INTERVAL: parse error (allowed: a whole number, not negative)")
        #expect(error?.exitCode == 1)
    }

    @Test func unknownVariablesAreWarnedAboutWithoutTheirValue() throws {
        let environment = ["ETCD_FOO": "secret", "QUORATE_BAR": "1", "ETCD_VERSION": "v3", "ETCDCTL_API": "3", "PATH": "/bin"]
        let notices = try configured(environment: environment).notices
        let unknown = notices.filter { $0.message == "unrecognized environment variable" }
        #expect(unknown.map { $0.fields[0].value } == ["ETCD_FOO", "QUORATE_BAR"])
        #expect(notices.contains { $0.message == "cannot set special environment variable" })
    }

    @Test func secretsStayOutOfNotices() throws {
        let notices = try configured(environment: ["ETCD_DISCOVERY_PASSWORD": "hunter2"]).notices
        #expect(!notices.contains { $0.fields.contains { $0.value.contains("hunter2") } })
    }

    @Test func aFileMakesFlagsAndVariablesCountForNothing() throws {
        let files = ["f.yaml": "name: file\n"]
        let (configuration, notices) = try configured(
            ["--config-file=f.yaml", "--heartbeat-interval=50"], environment: ["ETCD_NAME": "variable", "ETCD_MAX_WALS": "bad"],
            files: files)
        #expect(configuration.name == "file")
        #expect(configuration.heartbeatMilliseconds == 100)
        #expect(configuration.configurationFile == "f.yaml")
        #expect(notices.first?.message.hasPrefix("loaded server configuration") == true)
        #expect(notices.first?.fields.last?.value == "--heartbeat-interval")
        let byVariable = try configured(environment: ["ETCD_CONFIG_FILE": "f.yaml", "ETCD_NAME": "v"], files: files).configuration
        #expect(byVariable.name == "file")
        #expect(refusal(["--config-file=f.yaml", "--foo"], files: files)?.exitCode == 2)
    }

    @Test func anOlderNameAndItsSuccessorConflict() throws {
        let error = refusal(["--experimental-compaction-batch-limit=5", "--compaction-batch-limit=6"])
        #expect(
            error?.message
                == "cannot set --experimental-compaction-batch-limit and --compaction-batch-limit at the same time, "
                + "please use --compaction-batch-limit only")
        let (configuration, notices) = try configured(["--experimental-compaction-batch-limit=5"])
        #expect(configuration.compactionBatchLimit == 5)
        #expect(configuration.wasSet("compaction-batch-limit"))
        #expect(
            notices.contains(
                .warning("--experimental-compaction-batch-limit is deprecated; use --compaction-batch-limit instead")))
    }

    @Test func aGateAndItsOlderFlagConflictOnlyForTheSameFeature() throws {
        let older = "--experimental-txn-mode-write-with-shared-buffer=true"
        #expect(refusal([older, "--feature-gates=TxnModeWriteWithSharedBuffer=true"]) != nil)
        let gates = try configured([older, "--feature-gates=StopGRPCServiceOnDefrag=true"]).configuration.featureGates
        #expect(gates.isEnabled(.stopGRPCServiceOnDefragmentation))
        #expect(gates.isEnabled(.transactionSharedBuffer))
    }

    @Test func longIgnoredFlagsAreStillIgnored() throws {
        let (configuration, notices) = try configured(["--snapshot", "--v=5", "--cluster-active-size=9", "--name=a"])
        #expect(configuration.name == "a")
        #expect(notices.filter { $0.message == "flag is no longer supported - ignoring" }.count == 3)
    }
}
