/// Traffic with clients and other members. Labels `Local`, `Remote`, `To` and `From` are member ids in hexadecimal.
public struct NetworkMetrics: Sendable {
    /// Labels: `receive` or `send`, `watch` or `lease-keepalive`.
    public let streamFailures: CounterFamily
    /// Labels: Local, Remote.
    public let knownPeers: GaugeFamily
    /// Labels: Local, Remote.
    public let activePeers: GaugeFamily
    /// Labels: Local, Remote.
    public let disconnectedPeers: CounterFamily
    /// Label: To.
    public let peerBytesSent: CounterFamily
    /// Label: From; `0` before the peer is known.
    public let peerBytesReceived: CounterFamily
    /// Label: To.
    public let peerSendFailures: CounterFamily
    /// Label: From.
    public let peerReceiveFailures: CounterFamily
    /// Label: To.
    public let peerRoundTrip: HistogramFamily
    /// Label: To.
    public let snapshotSends: CounterFamily
    /// Label: To.
    public let snapshotSendsInFlight: GaugeFamily
    /// Label: To.
    public let snapshotSendFailures: CounterFamily
    /// Label: To.
    public let snapshotSendDuration: HistogramFamily
    /// Label: From.
    public let snapshotReceives: CounterFamily
    /// Label: From.
    public let snapshotReceivesInFlight: GaugeFamily
    /// Label: From.
    public let snapshotReceiveFailures: CounterFamily
    /// Label: From.
    public let snapshotReceiveDuration: HistogramFamily
    /// Time of one turn of writing events to a watch stream (etcd 3.7).
    public let watchSendLoop: Histogram
    public let watchSendLoopPerEvent: Histogram
    public let watchSendLoopControl: Histogram
    public let watchSendLoopProgress: Histogram

    init(_ registry: MetricsRegistry) {
        streamFailures = registry.counters(
            "etcd_network_server_stream_failures_total", "The total number of stream failures from the local server.",
            labels: ["Type", "API"])
        let pair = ["Local", "Remote"]
        knownPeers = registry.gauges("etcd_network_known_peers", "The current number of known peers.", labels: pair)
        activePeers = registry.gauges(
            "etcd_network_active_peers", "The current number of active peer connections.", labels: pair)
        disconnectedPeers = registry.counters(
            "etcd_network_disconnected_peers_total", "The total number of disconnected peers.", labels: pair)
        peerBytesSent = registry.counters(
            "etcd_network_peer_sent_bytes_total", "The total number of bytes sent to peers.", labels: ["To"])
        peerBytesReceived = registry.counters(
            "etcd_network_peer_received_bytes_total", "The total number of bytes received from peers.", labels: ["From"])
        peerSendFailures = registry.counters(
            "etcd_network_peer_sent_failures_total", "The total number of send failures from peers.", labels: ["To"])
        peerReceiveFailures = registry.counters(
            "etcd_network_peer_received_failures_total", "The total number of receive failures from peers.", labels: ["From"])
        peerRoundTrip = registry.histograms(
            "etcd_network_peer_round_trip_time_seconds", "Round-Trip-Time histogram between peers", labels: ["To"],
            .exponential(from: 0.0001, count: 16))
        let seconds = HistogramBounds.exponential(from: 0.1, count: 10)
        snapshotSends = registry.counters(
            "etcd_network_snapshot_send_success", "Total number of successful snapshot sends", labels: ["To"])
        snapshotSendsInFlight = registry.gauges(
            "etcd_network_snapshot_send_inflights_total", "Total number of inflight snapshot sends", labels: ["To"])
        snapshotSendFailures = registry.counters(
            "etcd_network_snapshot_send_failures", "Total number of snapshot send failures", labels: ["To"])
        snapshotSendDuration = registry.histograms(
            "etcd_network_snapshot_send_total_duration_seconds", "Total latency distributions of v3 snapshot sends",
            labels: ["To"],
            seconds)
        snapshotReceives = registry.counters(
            "etcd_network_snapshot_receive_success", "Total number of successful snapshot receives", labels: ["From"])
        snapshotReceivesInFlight = registry.gauges(
            "etcd_network_snapshot_receive_inflights_total", "Total number of inflight snapshot receives", labels: ["From"])
        snapshotReceiveFailures = registry.counters(
            "etcd_network_snapshot_receive_failures", "Total number of snapshot receive failures", labels: ["From"])
        snapshotReceiveDuration = registry.histograms(
            "etcd_network_snapshot_receive_total_duration_seconds", "Total latency distributions of v3 snapshot receives",
            labels: ["From"], seconds)
        let milliseconds = HistogramBounds.exponential(from: 0.001, count: 14)
        watchSendLoop = registry.histogram(
            "etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds",
            "The total duration in seconds of running through the send loop watch stream response all events.", milliseconds)
        watchSendLoopPerEvent = registry.histogram(
            "etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds",
            "The average duration in seconds of running through the send loop watch stream response, per event.", milliseconds)
        watchSendLoopControl = registry.histogram(
            "etcd_debugging_server_watch_send_loop_control_stream_duration_seconds",
            "The total duration in seconds of running through the send loop control stream response.", milliseconds)
        watchSendLoopProgress = registry.histogram(
            "etcd_debugging_server_watch_send_loop_progress_duration_seconds",
            "The total duration in seconds of running through the progress loop control stream response.", milliseconds)
    }
}
