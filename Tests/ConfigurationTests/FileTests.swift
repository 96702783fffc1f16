import Testing

@testable import Configuration

struct FileTests {
    /// Every kind of key, as etcd's own sample file arranges them.
    @Test func aWholeFileIsRead() throws {
        let text = """
            # This is the configuration file for the etcd server.
            name: 'infra1'
            data-dir: /var/lib/etcd
            snapshot-count: 5000
            heartbeat-interval: 200
            election-timeout: 2000
            quota-backend-bytes: -1
            listen-peer-urls: http://localhost:2380
            listen-client-urls: http://localhost:2379,http://10.0.0.1:2379
            advertise-client-urls: http://10.0.0.1:2379
            initial-cluster: infra1=http://localhost:2380
            initial-cluster-state: existing
            auto-compaction-mode: revision
            auto-compaction-retention: "1000"
            strict-reconfig-check: no
            pre-vote: off
            cors: "http://a:1,http://b:2"
            host-whitelist: b,a
            log-outputs: [/tmp/b, /tmp/a]
            log-level: debug
            grpc-keepalive-min-time: 3000000000
            grpc-keepalive-interval: 1h
            max-concurrent-streams: 0x10
            socket-options:
              reuse-port: true
            client-transport-security:
              cert-file:
              client-cert-auth: false
            peer-transport-security:
              auto-tls: false
            feature-gates: StopGRPCServiceOnDefrag=true
            discovery-config:
              token: ""
              client:
                dial-timeout: 2000000000
            experimental-snapshot-catch-up-entries: 12
            compatibility-version: "3.5"
            """
        let (configuration, _) = try configured(file: text)
        #expect(configuration.name == "infra1")
        #expect(configuration.snapshotCount == 5_000)
        #expect(configuration.heartbeatInterval == .milliseconds(200))
        #expect(configuration.effectiveQuotaBytes == nil)
        #expect(configuration.listenClientURLs.count == 2)
        #expect(configuration.initialClusterState == .existing)
        #expect(configuration.autoCompaction == .revisions(1_000))
        #expect(!configuration.strictReconfigurationCheck)
        #expect(!configuration.preVote)
        #expect(configuration.corsOrigins == ["http://a:1", "http://b:2"])
        #expect(configuration.hostWhitelist == ["a", "b"])
        #expect(configuration.logging.outputs == ["/tmp/a", "/tmp/b"])
        #expect(configuration.logging.level == "debug")
        #expect(configuration.keepAliveMinimumTime == .seconds(3))
        #expect(configuration.keepAliveInterval == .seconds(3_600))
        #expect(configuration.maxConcurrentStreams == 16)
        #expect(configuration.socketReusePort)
        #expect(configuration.featureGates.isEnabled(.stopGRPCServiceOnDefragmentation))
        #expect(configuration.snapshotCatchUpEntries == 12)
        #expect(configuration.compatibilityVersion == .v35)
        #expect(configuration.wasSet("snapshot-catchup-entries"))
        #expect(!configuration.wasSet("cert-file"))
    }

    @Test func securitySectionsFillBothSides() throws {
        let table = SettingsTable()
        let text = """
            client-transport-security:
              cert-file: c.pem
              key-file: k.pem
              allowed-cn: [a, b]
              trusted-ca-file: ca.pem
            peer-transport-security:
              cert-file: pc.pem
              key-file: pk.pem
              client-cert-auth: true
              allowed-hostname:
                - h
              skip-client-san-verification: true
            """
        let inputs = ConfigurationInputs(
            arguments: [], environment: [:],
            readFile: { _ throws(ConfigurationInputs.FileProblem) in Array(text.utf8) }, defaultHost: { nil })
        let configuration = try readConfigurationFile("f", inputs, table).configuration
        #expect(configuration.clientSecurity.certificateFile == "c.pem")
        #expect(configuration.clientSecurity.allowedCommonNames == ["a", "b"])
        #expect(configuration.clientSecurity.trustedAuthorityFile == "ca.pem")
        #expect(configuration.peerSecurity.keyFile == "pk.pem")
        #expect(configuration.peerSecurity.requiresClientCertificate)
        #expect(configuration.peerSecurity.allowedHostnames == ["h"])
        #expect(configuration.peerSecurity.skipsClientSANVerification)
    }

    @Test(arguments: [
        ("a: 1\nname: [x]\n", "etcd.yaml:2: name: a single value is expected, not a list"),
        ("\nheartbeat-interval: -1\n", "etcd.yaml:2: invalid value \"-1\" for heartbeat-interval: parse error"),
        ("name: a\npre-vote: maybe\n", "etcd.yaml:2: invalid value \"maybe\" for pre-vote: parse error"),
        ("grpc-keepalive-min-time: 5.5\n", "etcd.yaml:1: invalid value \"5.5\" for grpc-keepalive-min-time: parse error"),
        (
            "listen-client-urls: foo\n",
            "etcd.yaml:1: invalid value \"foo\" for listen-client-urls: URL scheme must be http, https,"
        ),
        ("client-transport-security: x\n", "etcd.yaml:1: client-transport-security must consist of keys and values"),
        ("name:\n  a: b\n", "etcd.yaml:2: name: a value is expected, not further keys"),
        ("- a\n", "etcd.yaml:1: the file must consist of keys and values"),
        ("name: a\nb: [c\n", "etcd.yaml:3: did not find expected ',' or ']'"),
        ("name: a\n\tb: c\n", "etcd.yaml:2: found a tab character that violates indentation"),
        ("base: &b {x: y}\n<<: *b\n", "etcd.yaml:2: merge keys (<<) are not supported"),
        ("? [a]\n: b\n", "etcd.yaml:1: a key must be a single word"),
        ("name: *nope\n", "etcd.yaml:1: found undefined alias"),
        ("heartbeat-interval: 0\n", "--heartbeat-interval must be >0"),
        ("initial-cluster-state: foo\n", "etcd.yaml:1: invalid value \"foo\" for initial-cluster-state: invalid value"),
    ])
    func mistakesAreNamedWithTheirLine(_ text: String, _ message: String) {
        let error = refusal(file: text)
        #expect(error?.message.hasPrefix(message) == true, "\(error?.message ?? "accepted")")
        #expect(error?.exitCode == 1)
    }

    @Test func aMissingFileIsNamed() {
        #expect(refusal(["--config-file=nope"])?.message == "open nope: no such file or directory")
    }

    @Test func emptyFilesAndNullsMeanDefaults() throws {
        for text in ["", "# nothing\n", "---\n", "~\n", "name: null\nheartbeat-interval: ~\ncors:\n"] {
            var configuration = try configured(file: text).configuration
            configuration.configurationFile = ""
            #expect(configuration == (try configured().configuration), "\(text)")
        }
    }

    /// etcd passes over what it does not know; here it is said with the line.
    @Test func unknownAndMisplacedKeysAreWarnedAbout() throws {
        let text = "name: a\nfoo: 1\nclient-transport-security:\n  bar: x\ncert-file: y\nraft-read-timeout: 5s\n"
        let notices = try configured(file: text).notices
        func fields(_ key: String) -> [String] {
            notices.first { $0.fields.contains { $0.name == "key" && $0.value == key } }?.fields.map { $0.value } ?? []
        }
        #expect(fields("foo") == ["etcd.yaml", "2", "foo"])
        #expect(fields("client-transport-security/bar") == ["etcd.yaml", "4", "client-transport-security/bar"])
        #expect(fields("cert-file") == ["etcd.yaml", "5", "cert-file", "expected under client-transport-security: cert-file"])
        #expect(fields("raft-read-timeout") == ["etcd.yaml", "6", "raft-read-timeout", "a file cannot set this"])
    }

    @Test func repeatedKeysCountOnceAndCaseDoesNot() throws {
        let (configuration, notices) = try configured(file: "name: a\nNAME: b\nHeartbeat-Interval: 50\n")
        #expect(configuration.name == "b")
        #expect(configuration.heartbeatMilliseconds == 50)
        #expect(notices.contains { $0.message == "key is given twice; the later value counts" })
    }

    @Test func listeningWithoutAdvertisingKeepsTheDefaultAsInEtcd() throws {
        let configuration = try configured(file: "listen-client-urls: http://127.0.0.1:1\n").configuration
        #expect(configuration.advertiseClientURLs == MemberConfiguration().advertiseClientURLs)
    }

    /// An alias that contains aliases grows by powers; the number of nodes is bounded.
    @Test func aliasBombsAreRefused() {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...8 {
            let previous = (0..<10).map { _ in "*a\(level - 1)" }.joined(separator: ", ")
            text += "a\(level): &a\(level) [\(previous)]\n"
        }
        #expect(refusal(file: text)?.message.contains("nested too deeply or too large") == true)
        #expect(refusal(file: String(repeating: "[", count: 200) + String(repeating: "]", count: 200)) != nil)
    }

    @Test func anyBytesEndInAnAnswer() throws {
        var generator = SplitMix(state: 42)
        let alphabet = Array("name: a\n-[]{}&*!|>'\"%@`#\t?,:\u{0}\u{FFFD}0123".utf8)
        for _ in 0..<3_000 {
            let bytes = (0..<Int(generator.next() % 40)).map { _ in alphabet[Int(generator.next() % UInt64(alphabet.count))] }
            do {
                _ = try YAMLNode.parse(bytes)
            } catch {
                #expect(error.line >= 1)
            }
        }
    }
}

/// A small deterministic generator.
struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
