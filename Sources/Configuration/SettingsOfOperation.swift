/// Rows about watching, tending and endangering a member.
enum OperationSettings {
    static var rows: [Setting] { monitoring + logging + tracing + maintenance + unsafe + own }

    private static var monitoring: [Setting] {
        [
            Setting(
                "enable-pprof", .monitoring, .truth(\.enableProfiling), .all,
                .acceptedWithoutEffect("Go's profiles do not exist here; use perf"), "Serve Go's profiles in etcd."),
            Setting(
                "metrics", .monitoring, .choice(\.metrics), .all,
                "\"extensive\" adds histograms of how long gRPC requests take."),
            Setting(
                "listen-metrics-urls", .monitoring, .urls(\.listenMetricsURLs), .all,
                "Further URLs that serve metrics and health."),
            Setting(
                "warning-unary-request-duration", .monitoring, .duration(\.warningUnaryRequestDuration), .since36,
                "Log a warning for requests that take longer."),
            Setting(
                "warning-apply-duration", .monitoring, .duration(\.warningApplyDuration), .since36,
                "Log a warning for entries that take longer to apply."),
        ]
    }

    private static var logging: [Setting] {
        [
            Setting(
                "log-level", .logging, .text(\.logging.level, allowed: LogLevelName.allowed), .all,
                "Least important level that is logged: debug, info, warn, error, panic or fatal."),
            Setting(
                "log-format", .logging, .text(\.logging.format, allowed: "\"json\" or \"console\""), .since36,
                "Form of log lines: json or console."),
            Setting(
                "log-outputs", .logging, .set(\.logging.outputs), .all,
                "Where the log goes: default (stderr), stderr, stdout, systemd/journal, or paths of files, separated by commas."),
            Setting(
                "logger", .logging, .text(\.logging.logger, allowed: "\"zap\""), .all,
                "Name of etcd's logging library; only zap is valid."),
            Setting(
                "enable-log-rotation", .logging, .truth(\.logging.enableRotation), .since35,
                "Rotate the one log file of --log-outputs."),
            Setting(
                "log-rotation-config-json", .logging, .text(\.logging.rotationJSON), .since35,
                "How to rotate: maxsize in megabytes, maxage in days and maxbackups (0 for no limit), localtime, compress."),
        ]
    }

    private static var tracing: [Setting] {
        [
            Setting(
                "enable-distributed-tracing", .tracing, .truth(\.tracing.isEnabled), .since36, Support.tracing,
                "Send traces of requests to an OpenTelemetry collector."),
            Setting(
                "distributed-tracing-address", .tracing, .text(\.tracing.address), .since36, Support.tracingDetail,
                "Address of the collector."),
            Setting(
                "distributed-tracing-service-name", .tracing, .text(\.tracing.serviceName), .since36, Support.tracingDetail,
                "Service name in traces, the same for all members."),
            Setting(
                "distributed-tracing-instance-id", .tracing, .text(\.tracing.instanceID), .since36, Support.tracingDetail,
                "Instance in traces, another for each member."),
            Setting(
                "distributed-tracing-sampling-rate", .tracing, .signed(\.tracing.samplingRate), .since36, Support.tracingDetail,
                "How many of a million requests are traced."),
        ]
    }

    private static var maintenance: [Setting] {
        [
            Setting(
                "corrupt-check-time", .maintenance, .duration(\.corruptCheckTime), .since36,
                "Time between two comparisons of the members' data; 0s for none."),
            Setting(
                "compact-hash-check-time", .maintenance, .duration(\.compactHashCheckTime), .since36,
                "Time between two comparisons of what compaction left on each member."),
            Setting(
                "compaction-batch-limit", .maintenance, .signed(\.compactionBatchLimit), .since36, default: "1000",
                "Revisions that one step of a compaction deletes."),
            Setting(
                "compaction-sleep-interval", .maintenance, .duration(\.compactionSleepInterval), .since36, default: "10ms",
                "Pause between two steps of a compaction."),
            Setting(
                "watch-progress-notify-interval", .maintenance, .duration(\.watchProgressNotifyInterval), .since36,
                default: "10m0s",
                "Time between two progress notices to an idle watch."),
            Setting(
                "bootstrap-defrag-threshold-megabytes", .maintenance, .unsigned(\.bootstrapDefragmentationMegabytes), .since36,
                .acceptedWithoutEffect("the page file gives free space back while serving"),
                "Defragment at start when that frees so many megabytes; 0 never."),
            Setting(
                "downgrade-check-time", .maintenance, .duration(\.downgradeCheckTime), .since36,
                "Time between two looks at a downgrade under way."),
        ]
    }

    private static var unsafe: [Setting] {
        [
            Setting(
                "force-new-cluster", .unsafe, .truth(\.forceNewCluster), .all,
                "Make this member's data a cluster of one member."),
            Setting("unsafe-no-fsync", .unsafe, .truth(\.unsafeNoFsync), .all, "Never wait for the disk; a crash loses data."),
        ]
    }

    private static var own: [Setting] {
        [
            Setting(
                "compatibility-version", .quorate, .choice(\.compatibilityVersion), .none,
                "The etcd release to behave as, and the highest version the cluster may rise to; auto takes the cluster's."),
            Setting(
                "corrupt-alarm-against-etcd", .quorate, .truth(\.corruptAlarmAgainstEtcd), .none,
                "Raise the CORRUPT alarm also against members that run etcd; else what differs there is only reported."),
            Setting(
                "nospace-auto-disarm", .quorate, .truth(\.nospaceAutoDisarm), .none,
                "Lift the NOSPACE alarm once the data fits the quota again."),
            Setting(
                "ready-when", .quorate, .choice(\.readyWhen), .none,
                "When systemd is told that the member is ready: once a quorum knows it, or once its listeners answer."),
            Setting(
                "snapshot-send-rate", .quorate, .unsigned(\.snapshotSendMegabytes), .none,
                "MiB of the database sent to one other member a second; 0 for no limit."),
        ]
    }
}
