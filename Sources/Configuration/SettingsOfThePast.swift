/// Rows that older releases of etcd knew under other names, that lost their meaning, or that never had one.
enum PastSettings {
    static var rows: [Setting] { experimental + experimentalTracing + experimentalGates + removed + proxy + legacy }

    /// An older name. Like the newer ones, experimental settings of a file carry the flag's name.
    private static func alias(
        _ name: String, _ target: SettingTarget, _ releases: EtcdReleases, of successor: String, file: [String]? = nil
    ) -> Setting {
        Setting(name, .deprecated, target, releases, .deprecatedAlias(of: successor), file: file, "Older name of --\(successor).")
    }

    private static var experimental: [Setting] {
        [
            alias("experimental-backend-bbolt-freelist-type", .text(\.freeListType), .v34, of: "backend-bbolt-freelist-type"),
            alias(
                "experimental-bootstrap-defrag-threshold-megabytes", .unsigned(\.bootstrapDefragmentationMegabytes),
                .between35And36,
                of: "bootstrap-defrag-threshold-megabytes"),
            alias(
                "experimental-compact-hash-check-time", .duration(\.compactHashCheckTime), .between35And36,
                of: "compact-hash-check-time"),
            alias(
                "experimental-compaction-batch-limit", .signed(\.compactionBatchLimit), .until36, of: "compaction-batch-limit"),
            alias(
                "experimental-compaction-sleep-interval", .duration(\.compactionSleepInterval), .between35And36,
                of: "compaction-sleep-interval"),
            alias("experimental-corrupt-check-time", .duration(\.corruptCheckTime), .until36, of: "corrupt-check-time"),
            alias(
                "experimental-downgrade-check-time", .duration(\.downgradeCheckTime), .between35And36,
                of: "downgrade-check-time"),
            alias("experimental-memory-mlock", .truth(\.memoryLock), .between35And36, of: "memory-mlock"),
            alias(
                "experimental-peer-skip-client-san-verification", .truth(\.peerSecurity.skipsClientSANVerification), .until36,
                of: "peer-skip-client-san-verification"),
            // etcd's file key has a hyphen more than its flag; 3.6 takes both spellings.
            alias(
                "experimental-snapshot-catchup-entries", .unsigned(\.snapshotCatchUpEntries), .between35And36,
                of: "snapshot-catchup-entries",
                file: ["experimental-snapshot-catchup-entries", "experimental-snapshot-catch-up-entries"]),
            alias(
                "experimental-warning-apply-duration", .duration(\.warningApplyDuration), .until36, of: "warning-apply-duration"),
            alias(
                "experimental-warning-unary-request-duration", .duration(\.warningUnaryRequestDuration), .v36,
                of: "warning-unary-request-duration"),
            alias(
                "experimental-watch-progress-notify-interval", .duration(\.watchProgressNotifyInterval), .until36,
                of: "watch-progress-notify-interval"),
        ]
    }

    private static var experimentalTracing: [Setting] {
        [
            alias(
                "experimental-enable-distributed-tracing", .truth(\.tracing.isEnabled), .between35And36,
                of: "enable-distributed-tracing"),
            alias(
                "experimental-distributed-tracing-address", .text(\.tracing.address), .between35And36,
                of: "distributed-tracing-address"),
            alias(
                "experimental-distributed-tracing-service-name", .text(\.tracing.serviceName), .between35And36,
                of: "distributed-tracing-service-name"),
            alias(
                "experimental-distributed-tracing-instance-id", .text(\.tracing.instanceID), .between35And36,
                of: "distributed-tracing-instance-id"),
            alias(
                "experimental-distributed-tracing-sampling-rate", .signed(\.tracing.samplingRate), .between35And36,
                of: "distributed-tracing-sampling-rate"),
        ]
    }

    private static var experimentalGates: [Setting] {
        func gate(_ name: String, _ feature: Feature, _ releases: EtcdReleases) -> Setting {
            alias(name, .gate(feature), releases, of: "feature-gates")
        }
        return [
            gate("experimental-compact-hash-check-enabled", .compactHashCheck, .between35And36),
            gate("experimental-enable-lease-checkpoint", .leaseCheckpoint, .until36),
            gate("experimental-enable-lease-checkpoint-persist", .leaseCheckpointPersist, .until36),
            gate("experimental-initial-corrupt-check", .initialCorruptCheck, .until36),
            gate("experimental-stop-grpc-service-on-defrag", .stopGRPCServiceOnDefragmentation, .between35And36),
            gate("experimental-txn-mode-write-with-shared-buffer", .transactionSharedBuffer, .between35And36),
        ]
    }

    private static var removed: [Setting] {
        let v2 = SettingEffect.removed("the v2 API left etcd in 3.6 and is not served")
        return [
            Setting("enable-v2", .deprecated, .truth(\.enableV2), .until35, v2, "Served the v2 API."),
            Setting(
                "experimental-enable-v2v3", .deprecated, .text(\.v2OverV3Prefix), .until35, v2, "Served the v2 API from v3 data."
            ),
            Setting(
                "v2-deprecation", .deprecated,
                .wordList(\.v2Deprecation, ["not-yet", "write-only", "write-only-skip-check", "write-only-drop-data", "gone"]),
                .since35,
                .acceptedWithoutEffect("the phase follows from the version the member behaves as"),
                "Phase of taking the v2 store away."),
            alias("log-output", .set(\.logging.outputs), .v34, of: "log-outputs"),
            alias("debug", .debugLevel, .v34, of: "log-level"),
            Setting(
                "log-package-levels", .deprecated, .text(\.logging.packageLevels), .v34,
                .acceptedWithoutEffect("levels of single packages left etcd in 3.5"), "Log levels of single Go packages."),
            Setting(
                "next-cluster-version-compatible", .deprecated, .request, .v34,
                .acceptedWithoutEffect("--compatibility-version decides this"), "Let etcd 3.4 join a 3.5 cluster."),
        ]
    }

    private static var proxy: [Setting] {
        let unlimited = SettingEffect.acceptedWithoutEffect("how long requests take is up to clients and members")
        return [
            Setting(
                "proxy", .deprecated, .choice(\.proxyMode), .until35,
                "Run a proxy on this data directory instead of a member; \"readonly\" refuses what writes. See quorate proxy."),
            Setting(
                "proxy-failure-wait", .deprecated, .unsigned(\.proxyTimes.failureWait), .until35,
                "Milliseconds a failed endpoint of the proxy is left alone at first."),
            Setting(
                "proxy-refresh-interval", .deprecated, .unsigned(\.proxyTimes.refreshInterval), .until35,
                "Milliseconds between looks at the proxy's endpoints."),
            Setting(
                "proxy-dial-timeout", .deprecated, .unsigned(\.proxyTimes.dialTimeout), .until35,
                "Milliseconds a connection of the proxy may take."),
            Setting(
                "proxy-write-timeout", .deprecated, .unsigned(\.proxyTimes.writeTimeout), .until35, unlimited,
                "Milliseconds a write of the v2 proxy could take."),
            Setting(
                "proxy-read-timeout", .deprecated, .unsigned(\.proxyTimes.readTimeout), .until35, unlimited,
                "Milliseconds a read of the v2 proxy could take."),
        ]
    }

    private static var legacy: [Setting] {
        let names = [
            "cluster-active-size", "cluster-remove-delay", "cluster-sync-interval", "config", "force", "max-result-buffer",
            "max-retry-attempts", "peer-heartbeat-interval", "peer-election-timeout", "retry-interval", "snapshot", "v", "vv",
            "test.coverprofile", "test.outputdir",
        ]
        return names.map { Setting($0, .deprecated, .nothing, .all, .ignoredByEtcd, file: [], "Ignored since etcd 2.") }
    }
}
