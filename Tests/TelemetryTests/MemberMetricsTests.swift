import Testing

@testable import Telemetry

struct MemberMetricsTests {
    private func make(extensive: Bool = true) -> (MetricsRegistry, MemberMetrics) {
        let registry = MetricsRegistry()
        let metrics = MemberMetrics(
            registry, etcdVersion: "3.5.30", version: "0.1.0", methods: etcdMethods, grpcShards: 2, extensive: extensive)
        return (registry, metrics)
    }

    /// Metrics of etcd 3.5.30 that have nothing to count here; MemberMetrics says why.
    private static func doesNotApply(_ name: String) -> Bool {
        name.hasPrefix("etcd_debugging_store_") || name.hasPrefix("etcd_grpc_proxy_") || name.hasPrefix("promhttp_")
            || name == "etcd_server_go_version"
    }

    /// Every other metric has etcd's type, labels, buckets and help text.
    @Test func allOfEtcdsMetricsAreThere() {
        let (registry, metrics) = make()
        // Families without fixed members appear with their first one.
        metrics.server.serverID.labelled("1").set(1)
        metrics.server.clusterVersion.labelled("3.5").set(1)
        metrics.server.clientRequests.labelled("unary", "3.5").increment()
        metrics.server.applyDuration.observe(.put, success: true, .milliseconds(1))
        let lines = text(registry).split(separator: "\n")
        var compared = 0
        for row in fixture("etcd-3.5.30-metrics.txt") {
            let columns = row.split(separator: "\t", omittingEmptySubsequences: false)
            let name = String(columns[0])
            if Self.doesNotApply(name) { continue }
            #expect(lines.contains("# TYPE \(name) \(columns[1])"), "\(name)")
            #expect(lines.contains("# HELP \(name) \(columns[4])"), "\(name)")
            let sampleName = columns[1] == "histogram" ? name + "_count" : name
            let sample = lines.first { $0.hasPrefix(sampleName + "{") || $0.hasPrefix(sampleName + " ") }
            #expect(
                labelNames(sample.map { String($0) } ?? "?") == columns[2].split(separator: ",").map { String($0) }, "\(name)")
            let bounds = columns[3].split(separator: ",")
            for bound in bounds {
                #expect(lines.contains { $0.hasPrefix(name + "_bucket{") && $0.contains("le=\"\(bound)\"}") }, "\(name) \(bound)")
            }
            compared += 1
        }
        #expect(compared == 85)
    }

    private func labelNames(_ sample: String) -> [String] {
        guard let open = sample.firstIndex(of: "{"), let close = sample.lastIndex(of: "}") else { return [] }
        return sample[sample.index(after: open)..<close].split(separator: ",").compactMap {
            $0.split(separator: "=").first.map { String($0) }
        }
    }

    /// What etcd's dashboard and alerts ask for.
    @Test func dashboardsAndAlertsFindTheirMetrics() {
        let (registry, metrics) = make()
        metrics.network.peerBytesSent.labelled("a").increment()
        metrics.network.peerBytesReceived.labelled("a").increment()
        metrics.network.peerSendFailures.labelled("a").increment()
        metrics.network.peerRoundTrip.labelled("a").observe(0.1)
        let names = Set(
            text(registry).split(separator: "\n").compactMap { $0.split(whereSeparator: { $0 == "{" || $0 == " " }).first })
        for name in [
            "etcd_disk_backend_commit_duration_seconds_bucket", "etcd_disk_wal_fsync_duration_seconds_bucket",
            "etcd_mvcc_db_total_size_in_bytes", "etcd_mvcc_db_total_size_in_use_in_bytes",
            "etcd_network_client_grpc_received_bytes_total", "etcd_network_client_grpc_sent_bytes_total",
            "etcd_network_peer_received_bytes_total", "etcd_network_peer_round_trip_time_seconds_bucket",
            "etcd_network_peer_sent_bytes_total", "etcd_network_peer_sent_failures_total", "etcd_server_has_leader",
            "etcd_server_leader_changes_seen_total", "etcd_server_proposals_applied_total",
            "etcd_server_proposals_committed_total",
            "etcd_server_proposals_failed_total", "etcd_server_proposals_pending", "etcd_server_quota_backend_bytes",
            "grpc_server_handled_total", "grpc_server_handling_seconds_bucket", "grpc_server_started_total",
            "process_resident_memory_bytes",
        ] {
            #expect(names.contains(Substring(name)), "\(name)")
        }
    }

    /// Byte for byte what etcd 3.5.30 wrote after one put and one get.
    @Test func methodsAreWrittenLineByLineAsInEtcd() throws {
        let (registry, metrics) = make()
        let put = try #require(etcdMethods.firstIndex { $0.name == "Put" })
        let range = try #require(etcdMethods.firstIndex { $0.name == "Range" })
        metrics.grpc.shard(0).started(put)
        metrics.grpc.shard(1).started(range)
        let lines = text(registry).split(separator: "\n").filter { $0.hasPrefix("grpc_server_started_total") }
        #expect(lines.map { String($0) } == fixture("etcd-3.5.30-grpc-started.txt"))
    }

    @Test func shardsAreAddedUp() throws {
        let (registry, metrics) = make()
        let range = try #require(etcdMethods.firstIndex { $0.name == "Range" })
        for (index, times) in [(0, 3), (1, 4)] {
            let shard = metrics.grpc.shard(index)
            for _ in 0..<times {
                shard.received(range, bytes: 5)
                shard.sent(range, bytes: 10)
                shard.sent(range, bytes: 1)
                shard.handled(range, code: 0)
                shard.took(range, seconds: 0.02)
            }
            shard.handled(range, code: 14)
            shard.handled(range, code: 99)
        }
        let labels = "grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\""
        let text = text(registry)
        #expect(text.contains("grpc_server_msg_received_total{\(labels)} 7\n"))
        #expect(text.contains("grpc_server_msg_sent_total{\(labels)} 14\n"))
        #expect(text.contains("etcd_network_client_grpc_received_bytes_total 35\n"))
        #expect(text.contains("etcd_network_client_grpc_sent_bytes_total 77\n"))
        #expect(text.contains("grpc_server_handled_total{grpc_code=\"OK\",\(labels)} 7\n"))
        #expect(text.contains("grpc_server_handled_total{grpc_code=\"Unavailable\",\(labels)} 2\n"))
        #expect(text.contains("grpc_server_handled_total{grpc_code=\"Unknown\",\(labels)} 2\n"))
        #expect(text.contains("grpc_server_handling_seconds_bucket{\(labels),le=\"0.01\"} 0\n"))
        #expect(text.contains("grpc_server_handling_seconds_bucket{\(labels),le=\"0.025\"} 7\n"))
        #expect(text.contains("grpc_server_handling_seconds_count{\(labels)} 7\n"))
        let handled = text.split(separator: "\n").filter { $0.hasPrefix("grpc_server_handled_total{") }
        #expect(handled.count == etcdMethods.count * 17)
        #expect(handled == handled.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
    }

    @Test func handlingTimesComeOnlyWithExtensiveMetrics() {
        let (registry, metrics) = make(extensive: false)
        metrics.grpc.shard(0).took(0, seconds: 1)
        #expect(!text(registry).contains("grpc_server_handling_seconds"))
    }

    @Test func operationsAppearWithTheirFirstObservation() {
        let (registry, metrics) = make()
        #expect(!text(registry).contains("etcd_server_apply_duration_seconds"))
        metrics.server.applyDuration.observe(.transaction, success: false, .microseconds(150))
        let text = text(registry)
        #expect(
            text.contains(
                "etcd_server_apply_duration_seconds_bucket{op=\"Txn\",success=\"false\",version=\"v3\",le=\"0.0002\"} 1\n"))
        #expect(!text.contains("op=\"Put\""))
    }

    @Test func aWholeScrapeIsWellFormed() {
        let (registry, _) = make()
        var typed: [Substring] = []
        for line in text(registry).split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            if line.hasPrefix("# TYPE ") {
                typed.append(line.split(separator: " ")[2])
            } else if !line.hasPrefix("# HELP ") {
                let family = typed.last ?? "?"
                #expect(line.hasPrefix(family), "\(line)")
                let value = line.split(separator: " ").last ?? ""
                #expect(Double(value) != nil || value == "+Inf", "\(line)")
            }
        }
        #expect(typed == typed.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        #expect(Set(typed).count == typed.count)
    }
}
