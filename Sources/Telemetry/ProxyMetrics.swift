import Synchronization

/// All metrics of a proxy. Copying this value copies pointers.
public struct ProxyMetrics: Sendable {
    private let connections: ConnectionCounts
    /// Requests and connections for which no endpoint was left.
    public let requestsWithoutEndpoint: Counter
    public let retries: Counter
    /// Retries that the budget forbade.
    public let retriesRefused: Counter
    /// Label: `success` or `failure`.
    public let refreshes: CounterFamily
    private let endpointFamilies: EndpointFamilies

    public init(_ registry: MetricsRegistry, version: String) {
        connections = ConnectionCounts()
        registry.readTogether([
            ("quorate_proxy_client_connections", "Open connections of clients.", .gauge),
            ("quorate_proxy_client_connections_accepted_total", "Connections of clients that were accepted.", .counter),
            (
                "quorate_proxy_client_connections_refused_total",
                "Connections of clients that were closed for being one too many.", .counter
            ),
        ]) { [connections] in connections.values }
        requestsWithoutEndpoint = registry.counter(
            "quorate_proxy_requests_without_endpoint_total", "Requests and connections for which no endpoint was left.")
        retries = registry.counter("quorate_proxy_retries_total", "Requests and connections sent to a further endpoint.")
        retriesRefused = registry.counter(
            "quorate_proxy_retries_refused_total", "Requests that were not sent again because the retry budget was used up.")
        refreshes = registry.counters(
            "quorate_proxy_member_list_refreshes_total", "Looks at the cluster's member list.", labels: ["result"])
        endpointFamilies = EndpointFamilies(registry)
        ProcessMetrics.register(registry)
        registry.gauges(
            "quorate_build_info", "Quorate's own version. 1 for 'version' label with current version.", labels: ["version"]
        )
        .labelled(version).set(1)
    }

    /// Where the numbers of clients' connections come from. Called once, before anyone asks for them.
    public func readConnections(
        open: @escaping @Sendable () -> Double, accepted: @escaping @Sendable () -> Double,
        refused: @escaping @Sendable () -> Double
    ) {
        connections.source.withLock { $0 = { [open(), accepted(), refused()] } }
    }

    /// Open connections of clients.
    public var clientConnections: Int64 { Int64(connections.values?[0] ?? 0) }

    /// The metrics of one endpoint, made the first time it is asked for.
    public func endpoint(_ address: String) -> EndpointMetrics { EndpointMetrics(endpointFamilies, address) }
}

/// What is counted for one endpoint, over all event loops.
public struct EndpointMetrics: Sendable {
    /// 1 while the endpoint serves.
    public let serving: Gauge
    /// Its standing: 0 serving, 1 unproven, 2 ejected, 3 no leader, 4 learner, 5 down, 6 corrupt, 7 forbidden.
    public let standing: Gauge
    public let inFlight: Gauge
    public let succeeded: Counter
    public let failed: Counter
    public let abandoned: Counter
    public let latency: Histogram
    public let ejections: Counter
    public let probesPassed: Counter
    public let probesFailed: Counter
    public let probeLatency: Histogram
    public let sentBytes: Counter
    public let receivedBytes: Counter

    fileprivate init(_ families: EndpointFamilies, _ address: String) {
        serving = families.serving.labelled(address)
        standing = families.standing.labelled(address)
        inFlight = families.inFlight.labelled(address)
        succeeded = families.requests.labelled(address, "succeeded")
        failed = families.requests.labelled(address, "failed")
        abandoned = families.requests.labelled(address, "abandoned")
        latency = families.latency.labelled(address)
        ejections = families.ejections.labelled(address)
        probesPassed = families.probes.labelled(address, "passed")
        probesFailed = families.probes.labelled(address, "failed")
        probeLatency = families.probeLatency.labelled(address)
        sentBytes = families.sentBytes.labelled(address)
        receivedBytes = families.receivedBytes.labelled(address)
    }
}

private final class ConnectionCounts: Sendable {
    /// Open, accepted, refused.
    let source = Mutex<(@Sendable () -> [Double])?>(nil)

    var values: [Double]? { source.withLock { $0 }?() }
}

private struct EndpointFamilies: Sendable {
    let serving: GaugeFamily
    let standing: GaugeFamily
    let inFlight: GaugeFamily
    let requests: CounterFamily
    let latency: HistogramFamily
    let ejections: CounterFamily
    let probes: CounterFamily
    let probeLatency: HistogramFamily
    let sentBytes: CounterFamily
    let receivedBytes: CounterFamily

    init(_ registry: MetricsRegistry) {
        let endpoint = ["endpoint"]
        serving = registry.gauges("quorate_proxy_endpoint_serving", "1 while the endpoint serves.", labels: endpoint)
        standing = registry.gauges(
            "quorate_proxy_endpoint_standing",
            "0 serving, 1 unproven, 2 ejected, 3 no leader, 4 learner, 5 down, 6 corrupt, 7 forbidden.", labels: endpoint)
        inFlight = registry.gauges(
            "quorate_proxy_endpoint_in_flight", "Requests, streams and connections in flight.", labels: endpoint)
        requests = registry.counters(
            "quorate_proxy_endpoint_requests_total", "Requests, streams and connections that ended, by how.",
            labels: ["endpoint", "outcome"])
        latency = registry.histograms(
            "quorate_proxy_endpoint_latency_seconds", "Time to the first byte of the answer.", labels: endpoint,
            .exponential(from: 0.000_1, count: 16))
        ejections = registry.counters(
            "quorate_proxy_endpoint_ejections_total", "Times the endpoint was left alone for failing.", labels: endpoint)
        probes = registry.counters("quorate_proxy_endpoint_probes_total", "Probes by result.", labels: ["endpoint", "result"])
        probeLatency = registry.histograms(
            "quorate_proxy_endpoint_probe_latency_seconds", "Time a passed probe took.", labels: endpoint,
            .exponential(from: 0.000_1, count: 16))
        sentBytes = registry.counters(
            "quorate_proxy_endpoint_sent_bytes_total", "Bytes sent to the endpoint.", labels: endpoint)
        receivedBytes = registry.counters(
            "quorate_proxy_endpoint_received_bytes_total", "Bytes received from the endpoint.", labels: endpoint)
    }
}
