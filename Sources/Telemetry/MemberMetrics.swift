/// All metrics of a member under etcd's names, one field each. Names, types, help texts and buckets are those of etcd 3.5 to 3.7;
/// what etcd's dashboard and alerts (`contrib/mixin`) use is all here. Copying this value copies pointers.
///
/// Not here, because there is nothing to count: `etcd_debugging_store_*` (the v2 store), `etcd_grpc_proxy_*` (another program),
/// `etcd_server_go_version` and `go_*` (no Go), `promhttp_*` (Go's HTTP handler for metrics).
public struct MemberMetrics: Sendable {
    public let server: ServerMetrics
    public let mvcc: MVCCMetrics
    public let disk: DiskMetrics
    public let lease: LeaseMetrics
    public let network: NetworkMetrics
    public let snapshot: SnapshotMetrics
    public let health: HealthMetrics
    public let grpc: GRPCServerMetrics

    /// - Parameters:
    ///   - etcdVersion: the release the member behaves as, as `3.6.14`.
    ///   - version: Quorate's own version.
    ///   - methods: the gRPC methods served; a method's index in this list is its index in ``GRPCServerMetrics``.
    ///   - grpcShards: threads that serve gRPC.
    ///   - extensive: `--metrics=extensive`.
    public init(
        _ registry: MetricsRegistry, etcdVersion: String, version: String, methods: [GRPCMethod], grpcShards: Int, extensive: Bool
    ) {
        server = ServerMetrics(registry)
        mvcc = MVCCMetrics(registry)
        disk = DiskMetrics(registry)
        lease = LeaseMetrics(registry)
        network = NetworkMetrics(registry)
        snapshot = SnapshotMetrics(registry)
        health = HealthMetrics(registry)
        grpc = GRPCServerMetrics(registry, methods: methods, shards: grpcShards, withHandlingTime: extensive)
        ProcessMetrics.register(registry)
        registry.gauges(
            "etcd_server_version", "Which version is running. 1 for 'server_version' label with current version.",
            labels: ["server_version"]
        ).labelled(etcdVersion).set(1)
        registry.gauges(
            "quorate_build_info", "Quorate's own version. 1 for 'version' label with current version.", labels: ["version"]
        )
        .labelled(version).set(1)
    }
}

/// Raft, proposals and requests.
public struct ServerMetrics: Sendable {
    public let hasLeader: Gauge
    public let isLeader: Gauge
    public let isLearner: Gauge
    public let leaderChangesSeen: Counter
    public let learnerPromoteSuccesses: Counter
    /// Label: the reason.
    public let learnerPromoteFailures: CounterFamily
    public let heartbeatSendFailures: Counter
    public let snapshotApplyInProgress: Gauge
    public let proposalsCommitted: Gauge
    public let proposalsApplied: Gauge
    public let proposalsPending: Gauge
    public let proposalsFailed: Counter
    public let slowApplies: Counter
    public let slowReadIndexes: Counter
    public let readIndexesFailed: Counter
    public let quotaBackendBytes: Gauge
    public let authRevision: Gauge
    /// Raft's term.
    public let term: Gauge
    public let members: Gauge
    /// Members heard from lately, this one among them.
    public let membersUp: Gauge
    /// 1 once a quorum knows this member.
    public let isReady: Gauge
    /// By operation, of entries applied.
    public let applyDuration: OperationHistograms
    /// By operation, from proposal to answer (etcd 3.7).
    public let requestDuration: OperationHistograms
    /// Label: `true` or `false` (etcd 3.7).
    public let rangeDuration: HistogramFamily
    /// Labels: `unary` or `stream`, the client's API version.
    public let clientRequests: CounterFamily
    /// Label: the member's id in hexadecimal.
    public let serverID: GaugeFamily
    /// Label: the version's major and minor number; the current one is 1, earlier ones 0.
    public let clusterVersion: GaugeFamily
    /// Labels: the feature's name, its stage (`ALPHA`, `BETA`).
    public let featureEnabled: GaugeFamily
    /// Labels: the member's id in hexadecimal, the alarm's type.
    public let alarms: GaugeFamily
    /// Label: `same`, `incomplete` or `different`.
    public let dataComparisons: CounterFamily
    /// Label: the member's id in hexadecimal.
    public let dataDifferences: GaugeFamily

    init(_ registry: MetricsRegistry) {
        hasLeader = registry.gauge("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.")
        isLeader = registry.gauge("etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.")
        isLearner = registry.gauge("etcd_server_is_learner", "Whether or not this member is a learner. 1 if is, 0 otherwise.")
        leaderChangesSeen = registry.counter("etcd_server_leader_changes_seen_total", "The number of leader changes seen.")
        learnerPromoteSuccesses = registry.counter(
            "etcd_server_learner_promote_successes",
            "The total number of successful learner promotions while this member is leader.")
        learnerPromoteFailures = registry.counters(
            "etcd_server_learner_promote_failures",
            "The total number of failed learner promotions (likely learner not ready) while this member is leader.",
            labels: ["Reason"])
        heartbeatSendFailures = registry.counter(
            "etcd_server_heartbeat_send_failures_total",
            "The total number of leader heartbeat send failures (likely overloaded from slow disk).")
        snapshotApplyInProgress = registry.gauge(
            "etcd_server_snapshot_apply_in_progress_total", "1 if the server is applying the incoming snapshot. 0 if none.")
        proposalsCommitted = registry.gauge(
            "etcd_server_proposals_committed_total", "The total number of consensus proposals committed.")
        proposalsApplied = registry.gauge(
            "etcd_server_proposals_applied_total", "The total number of consensus proposals applied.")
        proposalsPending = registry.gauge(
            "etcd_server_proposals_pending", "The current number of pending proposals to commit.")
        proposalsFailed = registry.counter("etcd_server_proposals_failed_total", "The total number of failed proposals seen.")
        slowApplies = registry.counter(
            "etcd_server_slow_apply_total", "The total number of slow apply requests (likely overloaded from slow disk).")
        slowReadIndexes = registry.counter(
            "etcd_server_slow_read_indexes_total",
            "The total number of pending read indexes not in sync with leader's or timed out read index requests.")
        readIndexesFailed = registry.counter(
            "etcd_server_read_indexes_failed_total", "The total number of failed read indexes seen.")
        quotaBackendBytes = registry.gauge("etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.")
        term = registry.gauge("quorate_server_term", "Raft's current term.")
        members = registry.gauge("quorate_server_members", "Members of the cluster, learners among them.")
        membersUp = registry.gauge("quorate_server_members_up", "Members heard from lately, this one among them.")
        isReady = registry.gauge("quorate_server_ready", "1 once a quorum knows this member, which is when it serves.")
        authRevision = registry.gauge("etcd_debugging_auth_revision", "The current revision of auth store.")
        applyDuration = Self.applyDuration(registry)
        requestDuration = Self.requestDuration(registry)
        rangeDuration = registry.histograms(
            "etcd_server_range_duration_seconds", "The latency distributions of txn.Range", labels: ["success"],
            .exponential(from: 0.0001, count: 20))
        clientRequests = registry.counters(
            "etcd_server_client_requests_total", "The total number of client requests per client version.",
            labels: ["type", "client_api_version"])
        serverID = registry.gauges(
            "etcd_server_id", "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
            labels: ["server_id"])
        clusterVersion = registry.gauges(
            "etcd_cluster_version", "Which version is running. 1 for 'cluster_version' label with current cluster version",
            labels: ["cluster_version"])
        featureEnabled = registry.gauges(
            "etcd_server_feature_enabled", "Whether or not a feature is enabled. 1 is enabled, 0 is not.",
            labels: ["name", "stage"])
        dataComparisons = registry.counters(
            "quorate_server_data_comparisons_total",
            "Comparisons of all members' data that this member made as leader, by what they found.", labels: ["result"])
        dataDifferences = registry.gauges(
            "quorate_server_data_differs",
            "1 for a member whose data differs from the others' by this leader's newest comparison.", labels: ["server_id"])
        alarms = registry.gauges(
            "etcd_debugging_server_alarms",
            "Alarms for every member in cluster. 1 for 'server_id' label with current ID. "
                + "2 for 'alarm_type' label with type of this alarm",
            labels: ["server_id", "alarm_type"])
    }

    private static func applyDuration(_ registry: MetricsRegistry) -> OperationHistograms {
        let bounds = HistogramBounds.exponential(from: 0.0001, count: 20)
        let family = registry.register(
            "etcd_server_apply_duration_seconds", "The latency distributions of v2 apply called by backend.", .histogram(bounds),
            labels: ["version", "op", "success"])
        return OperationHistograms(family, bounds) { operation, success in
            [operation == .v2Put ? "v2" : "v3", operation.name, success]
        }
    }

    private static func requestDuration(_ registry: MetricsRegistry) -> OperationHistograms {
        let bounds = HistogramBounds.exponential(from: 0.001, count: 14)
        let family = registry.register(
            "etcd_server_request_duration_seconds", "Response latency distribution in seconds for each type.", .histogram(bounds),
            labels: ["type", "success"])
        return OperationHistograms(family, bounds) { operation, success in [operation.name, success] }
    }
}

/// Health checks.
public struct HealthMetrics: Sendable {
    public let successes: Counter
    public let failures: Counter
    /// Labels: `livez` or `readyz`, the check's name.
    public let healthCheck: GaugeFamily
    /// Labels: `livez` or `readyz`, the check's name, `success` or `error`.
    public let healthChecks: CounterFamily

    init(_ registry: MetricsRegistry) {
        successes = registry.counter("etcd_server_health_success", "The total number of successful health checks")
        failures = registry.counter("etcd_server_health_failures", "The total number of failed health checks")
        healthCheck = registry.gauges(
            "etcd_server_healthcheck", "The result of each kind of healthcheck.", labels: ["type", "name"])
        healthChecks = registry.counters(
            "etcd_server_healthchecks_total", "The total number of each kind of healthcheck.", labels: ["type", "name", "status"])
    }
}

/// Leases.
public struct LeaseMetrics: Sendable {
    public let granted: Counter
    public let revoked: Counter
    public let renewed: Counter
    public let expired: Counter
    /// In seconds.
    public let timeToLive: Histogram

    init(_ registry: MetricsRegistry) {
        granted = registry.counter("etcd_debugging_lease_granted_total", "The total number of granted leases.")
        revoked = registry.counter("etcd_debugging_lease_revoked_total", "The total number of revoked leases.")
        renewed = registry.counter("etcd_debugging_lease_renewed_total", "The number of renewed leases seen by the leader.")
        expired = registry.counter("etcd_debugging_server_lease_expired_total", "The total number of expired leases.")
        timeToLive = registry.histogram(
            "etcd_debugging_lease_ttl_total", "Bucketed histogram of lease TTLs.", .exponential(from: 1, count: 24))
    }
}
