import Testing

@testable import Configuration

struct ValidationTests {
    struct Refused: Sendable {
        let arguments: [String]
        let message: String
        var exitCode: Int32 = 1
    }

    /// Each text begins as etcd's does.
    @Test(arguments: [
        Refused(arguments: ["--heartbeat-interval=0"], message: "--heartbeat-interval must be >0 (set to 0ms)"),
        Refused(arguments: ["--election-timeout=0"], message: "--election-timeout must be >0 (set to 0ms)"),
        Refused(
            arguments: ["--heartbeat-interval=300"],
            message: "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[300ms]"),
        Refused(
            arguments: ["--heartbeat-interval=18446744073709551615"],
            message: "--election-timeout[1000ms] should be at least as 5 times as"),
        Refused(
            arguments: ["--election-timeout=50001"],
            message: "--election-timeout[50001ms] is too long, and should be set less than 50000ms"),
        Refused(arguments: ["--listen-client-urls=http://foo:2379"], message: "expected IP in URL for binding (http://foo:2379)"),
        Refused(arguments: ["--listen-peer-urls=http://:2380"], message: "expected IP in URL for binding (http://:2380)"),
        Refused(
            arguments: ["--listen-metrics-urls=http://metrics:1"], message: "expected IP in URL for binding (http://metrics:1)"),
        Refused(
            arguments: ["--listen-client-urls=http://127.0.0.1:2379"],
            message: "--advertise-client-urls is required when --listen-client-urls is set explicitly"),
        Refused(
            arguments: ["--initial-advertise-peer-urls=http://:2380"],
            message: "--initial-advertise-peer-urls \"http://:2380\" must be \"host:port\" (unexpected empty host (http://:2380))"
        ),
        Refused(
            arguments: ["--advertise-client-urls=http://:2379"],
            message: "--advertise-client-urls \"http://:2379\" must be in the format \"host:port\", \"unix:/path/to/socket\" or "
                + "\"unixs:/path/to/socket\" (unexpected empty host (http://:2379))"),
        Refused(
            arguments: ["--listen-client-http-urls=http://localhost:2379"],
            message: "cannot bind both --listen-client-urls and --listen-client-http-urls on the same url http://localhost:2379"),
        Refused(
            arguments: ["--discovery-srv=example.com", "--initial-cluster=a=http://1.2.3.4:1"],
            message: "multiple discovery or bootstrap flags are set."),
        Refused(arguments: ["--discovery-token=x"], message: "both --discovery-token and --discovery-endpoints must be set"),
        Refused(
            arguments: ["--discovery-fallback=proxy", "--discovery-srv=a"],
            message: "v2 proxy is deprecated, and --discovery-fallback can't be"),
        Refused(arguments: ["--auto-compaction-mode=foo"], message: "unknown auto-compaction-mode \"foo\""),
        Refused(arguments: ["--auto-compaction-mode="], message: "undefined auto-compaction-mode"),
        Refused(
            arguments: ["--auto-compaction-retention=foo"],
            message: "--auto-compaction-retention: error parsing CompactionRetention: time: invalid duration \"foo\""),
        Refused(
            arguments: ["--auto-compaction-retention=5d"],
            message: "--auto-compaction-retention: error parsing CompactionRetention: time: unknown unit \"d\" in duration \"5d\""
        ),
        Refused(
            arguments: ["--compact-hash-check-time=0s"], message: "--compact-hash-check-time must be >0 (set to 0s)"),
        Refused(
            arguments: ["--enable-distributed-tracing", "--distributed-tracing-sampling-rate=1000001"],
            message: "distributed tracing configurition is not valid: (tracing sampling rate must be less than 1000000)"),
        Refused(
            arguments: ["--feature-gates=LeaseCheckpointPersist=true"],
            message: "enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint"),
        Refused(arguments: ["--tls-min-version=TLS1.1"], message: "--tls-min-version: unexpected TLS version \"TLS1.1\""),
        Refused(
            arguments: ["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
            message: "min version (TLS1.3) is greater than max version (TLS1.2)"),
        Refused(
            arguments: ["--tls-min-version=TLS1.3", "--cipher-suites=TLS_AES_128_GCM_SHA256"],
            message: "cipher suites cannot be configured when only TLS1.3 is enabled"),
        Refused(arguments: ["--cipher-suites=foo"], message: "--cipher-suites: unexpected TLS cipher suite \"foo\""),
        Refused(arguments: ["--cert-file=a"], message: "KeyFile and CertFile must both be present[key: , cert: a]"),
        Refused(
            arguments: ["--peer-cert-allowed-cn=a", "--peer-cert-allowed-hostname=b"],
            message: "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"a\"], hostnames=[\"b\"])"),
        Refused(
            arguments: ["--listen-client-urls=https://1.2.3.4:1", "--advertise-client-urls=https://1.2.3.4:1"],
            message: "TLS key/cert (--cert-file, --key-file) must be provided for client url https://1.2.3.4:1 with"),
        Refused(arguments: ["--listen-peer-urls=https://1.2.3.4:1"], message: "cannot listen on TLS for https://1.2.3.4:1"),
        Refused(
            arguments: ["--listen-metrics-urls=unixs://m"],
            message: "client TLS key/cert (--cert-file, --key-file) must be provided for metrics"),
        Refused(arguments: ["--auth-token=foo"], message: "--auth-token: invalid auth options"),
        Refused(arguments: ["--auth-token=jwt,ttl"], message: "--auth-token: invalid auth options"),
        Refused(arguments: ["--auth-token=jwt,ttl=1s,ttl=2s"], message: "--auth-token: invalid auth options"),
        Refused(arguments: ["--logger=capnslog"], message: "--logger=capnslog is removed in v3.5"),
        Refused(arguments: ["--logger=foo"], message: "unknown logger option \"foo\""),
        Refused(arguments: ["--log-level=foo"], message: "--log-level: unrecognized level: \"foo\"", exitCode: 2),
        Refused(
            arguments: ["--log-format=xml"], message: "--log-format: unknown log format: xml, supported values json, console"),
        Refused(arguments: ["--log-outputs=default,stdout"], message: "multi logoutput for \"default\" is not supported yet"),
        Refused(
            arguments: ["--enable-log-rotation"],
            message: "--log-outputs requires a single file path when --log-rotate-config-json is defined"),
        Refused(
            arguments: ["--enable-log-rotation", "--log-outputs=/a", "--log-rotation-config-json={"],
            message: "--log-rotation-config-json: improperly formatted log rotation config:"),
        Refused(
            arguments: ["--enable-log-rotation", "--log-outputs=/a", "--log-rotation-config-json={\"maxsize\": \"x\"}"],
            message: "--log-rotation-config-json: invalid log rotation config: maxsize cannot be \"x\""),
    ])
    func etcdsRefusals(_ refused: Refused) {
        let error = refusal(refused.arguments)
        #expect(error?.message.hasPrefix(refused.message) == true, "\(error?.message ?? "accepted")")
        #expect(error?.exitCode == refused.exitCode)
    }

    @Test(
        arguments: [
            ("periodic", "0", nil), ("periodic", "", nil), ("periodic", "1", .periodic(.seconds(3_600))),
            ("periodic", "1h", .periodic(.seconds(3_600))), ("periodic", "5m", .periodic(.seconds(300))),
            ("periodic", "1h30m", .periodic(.seconds(5_400))), ("revision", "1000", .revisions(1_000)), ("revision", "0", nil),
        ] as [(String, String, AutoCompaction?)])
    func retentionIsReadByMode(_ mode: String, _ retention: String, _ expected: AutoCompaction?) throws {
        let arguments = ["--auto-compaction-mode=\(mode)", "--auto-compaction-retention=\(retention)"]
        #expect(try configured(arguments).configuration.autoCompaction == expected)
    }

    @Test func unixSocketsAreListenedOnAndAdvertised() throws {
        let arguments = [
            "--listen-client-urls=unix:///run/etcd.sock,http://127.0.0.1:2379", "--advertise-client-urls=unix:///run/etcd.sock",
            "--listen-peer-urls=unix://localhost:2380", "--listen-metrics-urls=unix:m",
        ]
        let configuration = try configured(arguments).configuration
        #expect(configuration.listenClientURLs.map { $0.description } == ["http://127.0.0.1:2379", "unix:///run/etcd.sock"])
        #expect(configuration.listenClientURLs[1].socketPath == "/run/etcd.sock")
        #expect(configuration.listenPeerURLs[0].socketPath == "localhost:2380")
        #expect(configuration.listenMetricsURLs[0].socketPath == "m")
    }

    @Test func dataDirectoryFollowsTheName() throws {
        let (configuration, notices) = try configured(["--name=infra1"])
        #expect(configuration.dataDirectory == "infra1.etcd")
        #expect(configuration.effectiveWALDirectory == "infra1.etcd/member/wal")
        #expect(notices.contains { $0.message == "'data-dir' was empty; using default" })
        #expect(try configured(["--wal-dir=/w"]).configuration.effectiveWALDirectory == "/w")
    }

    @Test func aNameAloneMakesAClusterOfOne() throws {
        #expect(try configured(["--name=a"]).configuration.initialCluster == "a=http://localhost:2380")
        let arguments = ["--name=a", "--initial-advertise-peer-urls=http://b:2,http://a:1"]
        #expect(try configured(arguments).configuration.initialCluster == "a=http://a:1,a=http://b:2")
    }

    @Test func listeningEverywhereAdvertisesTheMachinesAddress() throws {
        let arguments = ["--name=a", "--listen-peer-urls=http://0.0.0.0:1380"]
        let configuration = try configured(arguments, host: "10.0.0.7").configuration
        #expect(configuration.initialAdvertisePeerURLs.map { $0.description } == ["http://10.0.0.7:1380"])
        #expect(configuration.initialCluster == "a=http://10.0.0.7:1380")
        #expect(
            try configured(arguments).configuration.initialAdvertisePeerURLs == MemberConfiguration().initialAdvertisePeerURLs)
        let told = try configured(arguments + ["--initial-advertise-peer-urls=http://h:1"], host: "10.0.0.7").configuration
        #expect(told.initialAdvertisePeerURLs.map { $0.description } == ["http://h:1"])
    }

    @Test func valuesThatEtcdRaisesOrReplacesAreSaid() throws {
        let (configuration, notices) = try configured(["--raft-read-timeout=1s", "--raft-write-timeout=9s", "--bcrypt-cost=40"])
        #expect(configuration.raftReadTimeout == .seconds(5))
        #expect(configuration.raftWriteTimeout == .seconds(9))
        #expect(configuration.bcryptCost == 10)
        #expect(notices.contains { $0.message == "raft-read-timeout increased to minimum value: 5s" })
        #expect(notices.contains { $0.message == "use default bcrypt cost instead of the invalid given cost" })
    }

    @Test func quotaHasThreeMeanings() throws {
        #expect(try configured(["--quota-backend-bytes=-1"]).configuration.effectiveQuotaBytes == nil)
        #expect(try configured(["--quota-backend-bytes=0"]).configuration.effectiveQuotaBytes == 2 << 30)
        let (configuration, notices) = try configured(["--quota-backend-bytes=8589934593"])
        #expect(configuration.effectiveQuotaBytes == 8_589_934_593)
        #expect(notices.contains { $0.message == "quota exceeds the maximum value" })
    }

    @Test func fiveHeartbeatsAreEnough() throws {
        #expect(try configured(["--heartbeat-interval=200"]).configuration.electionTicks == 5)
        #expect(refusal(["--heartbeat-interval=201"]) != nil)
        #expect(try configured(["--election-timeout=50000"]).configuration.electionMilliseconds == 50_000)
    }

    @Test func timesFollowFromTicks() throws {
        let configuration = try configured(["--heartbeat-interval=150", "--election-timeout=1000"]).configuration
        #expect(configuration.electionTicks == 6)
        #expect(configuration.electionTimeout == .milliseconds(900))
        #expect(configuration.requestTimeout == .milliseconds(6_800))
    }

    @Test func logRotationIsRead() throws {
        let json = #"{"maxsize": 5, "maxage": 3, "MaxBackups": 2, "other": "x"}"#
        let arguments = ["--enable-log-rotation", "--log-outputs=/var/log/etcd.log", "--log-rotation-config-json=\(json)"]
        var expected = LogRotation()
        expected.maxSizeMegabytes = 5
        expected.maxAgeDays = 3
        expected.maxBackups = 2
        #expect(try configured(arguments).configuration.logRotation == expected)
        #expect(try configured().configuration.logRotation == nil)
        let compressing = ["--enable-log-rotation", "--log-outputs=/l", "--log-rotation-config-json={\"compress\": true}"]
        #expect(refusal(compressing)?.message.contains("compress") ?? (Support.logRotationDetail == .supported))
    }
}
