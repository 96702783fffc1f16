import Testing

@testable import Configuration

struct SupportTests {
    /// The command line of the static pod that kubeadm 1.31 writes.
    static let kubeadm = [
        "--advertise-client-urls=https://10.0.0.5:2379", "--cert-file=/etc/kubernetes/pki/etcd/server.crt",
        "--client-cert-auth=true",
        "--data-dir=/var/lib/etcd", "--experimental-initial-corrupt-check=true",
        "--experimental-watch-progress-notify-interval=5s",
        "--initial-advertise-peer-urls=https://10.0.0.5:2380", "--initial-cluster=node1=https://10.0.0.5:2380",
        "--key-file=/etc/kubernetes/pki/etcd/server.key", "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.5:2379",
        "--listen-metrics-urls=http://127.0.0.1:2381", "--listen-peer-urls=https://10.0.0.5:2380", "--name=node1",
        "--peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt", "--peer-client-cert-auth=true",
        "--peer-key-file=/etc/kubernetes/pki/etcd/peer.key", "--peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
        "--snapshot-count=10000", "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
    ]

    @Test func kubeadmsCommandLineIsAccepted() throws {
        let configuration = try configured(Self.kubeadm).configuration
        #expect(configuration.clientSecurity.requiresClientCertificate)
        #expect(configuration.peerSecurity.trustedAuthorityFile == "/etc/kubernetes/pki/etcd/ca.crt")
        #expect(configuration.featureGates.isEnabled(.initialCorruptCheck))
        #expect(configuration.effectiveWatchProgressNotifyInterval == .seconds(5))
    }

    /// Every setting the table calls unsupported is refused by name when it asks for something, and accepted at its default.
    @Test func whatIsNotSupportedIsNeverSilent() throws {
        let table = SettingsTable()
        for setting in table.flagsByName {
            guard case .notSupportedYet(let message) = setting.effect else { continue }
            var draft = ConfigurationDraft()
            let sample: String
            switch setting.target.syntax {
            case .truth: sample = setting.target.read(draft.configuration) == "true" ? "false" : "true"
            case .number: sample = "7"
            case .duration: sample = "7s"
            case .text, .list: sample = "seven"
            }
            try draft.set(setting, sample)
            #expect(throws: ConfigurationError.self, "\(setting.name)") {
                try checkSupport(&draft, table)
            }
            do {
                try checkSupport(&draft, table)
            } catch {
                #expect(error.message == "--\(setting.name): \(message)")
            }
            var untouched = ConfigurationDraft()
            try untouched.set(setting, setting.target.read(untouched.configuration))
            try checkSupport(&untouched, table)
            #expect(untouched.notices.isEmpty, "\(setting.name) at its default says something")
        }
    }

    @Test func whatHasNoEffectIsSaid() throws {
        let (_, notices) = try configured(["--backend-bbolt-freelist-type=array", "--enable-pprof", "--proxy-read-timeout=5"])
        let named = notices.filter { $0.message == "setting has no effect" }.map { $0.fields[0].value }
        #expect(named == ["--backend-bbolt-freelist-type", "--enable-pprof", "--proxy-read-timeout"])
        #expect(try configured(["--enable-pprof=false"]).notices.allSatisfy { $0.message != "setting has no effect" })
    }

    @Test func severalRefusalsComeTogetherUnderTheNamesGiven() {
        let error = refusal(["--experimental-memory-mlock", "--auth-token=jwt,sign-method=RS256"])
        let message = error?.message ?? ""
        #expect(message.contains("--experimental-memory-mlock: ") == isUnsupported(Support.memoryLock))
        #expect(message.contains("--auth-token: ") == isUnsupported(Support.jwt))
    }

    /// etcd 3.6 refuses the flag and passes over the key; etcd 3.5's sample file has both of these.
    @Test func removedSettingsAreRefusedAsFlagsAndWarnedAboutInFiles() throws {
        #expect(refusal(["--enable-v2"])?.message == "--enable-v2: the v2 API left etcd in 3.6 and is not served")
        #expect(refusal(environment: ["ETCD_ENABLE_V2": "true"]) != nil)
        let notices = try configured(file: "enable-v2: true\ndiscovery-fallback: 'proxy'\n").notices
        let named = notices.filter { $0.message == "setting has no effect" }.map { $0.fields[0].value }
        #expect(named.contains("--enable-v2"))
    }

    /// What kubeadm writes for etcd 3.6.
    @Test func kubeadmsNewerFlagsAreKnown() throws {
        let arguments = ["--watch-progress-notify-interval=5s", "--feature-gates=InitialCorruptCheck=true", "--name=a"]
        let configuration = try configured(arguments).configuration
        #expect(configuration.effectiveWatchProgressNotifyInterval == .seconds(5))
        #expect(configuration.featureGates.isEnabled(.initialCorruptCheck))
    }

    private func isUnsupported(_ effect: SettingEffect) -> Bool {
        guard case .notSupportedYet = effect else { return false }
        return true
    }
}
