import Balancing
import Bytes
import HTTP2
import NIOCore
import Telemetry

/// The proxy's own pages, on one event loop.
final class ProxyPages: HTTPRouter {
    private let eventLoop: any EventLoop
    private let source: PageSource
    /// `/metrics` is the proxy's own here; on a listener for clients it is a member's, as in etcd's grpc-proxy.
    private let isOwnListener: Bool

    init(eventLoop: any EventLoop, source: PageSource, isOwnListener: Bool) {
        self.eventLoop = eventLoop
        self.source = source
        self.isOwnListener = isOwnListener
    }

    func respond(to exchange: HTTPExchange) {
        if !page(exchange) {
            exchange.respond(
                status: 404, fields: [HTTPField("content-type", "text/plain; charset=utf-8")], text: "404 page not found\n")
        }
    }

    /// Answers a request for one of the proxy's own pages; false for any other.
    func page(_ exchange: HTTPExchange) -> Bool {
        switch exchange.request.path {
        case "/health", "/proxy/health": onGet(exchange) { self.health(exchange) }
        case "/livez", "/readyz":
            guard isOwnListener else { return false }
            onGet(exchange) { self.checks(exchange) }
        case "/proxy/metrics": onGet(exchange) { self.metrics(exchange) }
        case "/metrics":
            guard isOwnListener else { return false }
            onGet(exchange) { self.metrics(exchange) }
        case "/proxy/endpoints": onGet(exchange) { self.endpoints(exchange) }
        case "/v2/config/local/proxy": onGet(exchange) { self.v2Configuration(exchange) }
        default: return false
        }
        return true
    }

    private func onGet(_ exchange: HTTPExchange, _ body: () -> Void) {
        guard exchange.request.method == "GET" || exchange.request.method == "HEAD" else {
            let fields = [HTTPField("content-type", "text/plain; charset=utf-8"), HTTPField("allow", "GET")]
            return exchange.respond(status: 405, fields: fields, text: "Method Not Allowed\n")
        }
        body()
    }

    private func withOverview(_ exchange: HTTPExchange, _ body: @escaping (HealthOverview) -> Void) {
        source.health.overview().hop(to: eventLoop).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let overview): body(overview)
            case .failure: exchange.respond(status: 503)
            }
        }
    }

    // MARK: Pages

    private func health(_ exchange: HTTPExchange) {
        withOverview(exchange) { overview in
            let isHealthy = overview.isServing
            let reason = isHealthy ? "" : "NO HEALTHY ENDPOINT"
            exchange.respond(
                status: isHealthy ? 200 : 503, fields: [HTTPField("content-type", "application/json")],
                text: "{\"health\":\"\(isHealthy)\",\"reason\":\"\(reason)\"}")
        }
    }

    private func checks(_ exchange: HTTPExchange) {
        let fields = [HTTPField("content-type", "text/plain; charset=utf-8")]
        guard exchange.request.path == "/readyz" else { return exchange.respond(status: 200, fields: fields, text: "ok\n") }
        withOverview(exchange) { overview in
            let text = overview.isServing ? "ok\n" : "[-]endpoints failed: no endpoint is healthy\n"
            exchange.respond(status: overview.isServing ? 200 : 503, fields: fields, text: text)
        }
    }

    private func metrics(_ exchange: HTTPExchange) {
        exchange.respond(
            status: 200, fields: [HTTPField("content-type", MetricsRegistry.contentType)], body: source.registry.render())
    }

    private func endpoints(_ exchange: HTTPExchange) {
        withOverview(exchange) { [source] overview in
            exchange.respond(
                status: 200, fields: [HTTPField("content-type", "application/json")],
                body: EndpointsDocument(overview, source.metrics, source.mode).json.bytes() + [UInt8(ascii: "\n")])
        }
    }

    /// What etcd's v2 proxy answered here: the endpoints in use.
    private func v2Configuration(_ exchange: HTTPExchange) {
        withOverview(exchange) { overview in
            let urls = overview.endpoints.filter { $0.standing == .serving }.map { JSON.string($0.address.description) }
            exchange.respond(
                status: 200, fields: [HTTPField("content-type", "application/json")],
                body: JSON.object([JSON.Field("endpoints", .array(urls))]).bytes())
        }
    }
}

/// Where the pages' content comes from.
struct PageSource: Sendable {
    let health: HealthShell
    let registry: MetricsRegistry
    let metrics: ProxyMetrics
    /// `http` or `tcp`.
    let mode: String
}

/// What `/proxy/endpoints` says.
struct EndpointsDocument {
    let json: JSON

    init(_ overview: HealthOverview, _ metrics: ProxyMetrics, _ mode: String) {
        var fields = [JSON.Field("mode", .string(mode))]
        fields.append(JSON.Field("cluster_id", overview.clusterID.map { .string(String($0, radix: 16)) } ?? .null))
        fields.append(JSON.Field("serving", .bool(overview.isServing)))
        fields.append(
            JSON.Field("member_list_age_seconds", overview.lastRefresh.map { .double(($0.seconds * 10).rounded() / 10) } ?? .null)
        )
        fields.append(
            JSON.Field(
                "endpoints", .array(overview.endpoints.map { Self.endpoint($0, metrics.endpoint($0.address.description)) })))
        json = .object(fields)
    }

    private static func endpoint(_ status: EndpointStatus, _ counters: EndpointMetrics) -> JSON {
        let report = status.report
        let alarms = (report?.alarms ?? []).map { $0 == .corrupt ? "CORRUPT" : "NOSPACE" }.sorted()
        func milliseconds(_ span: Double) -> JSON { .double((span * 1_000_000).rounded() / 1_000) }
        return .object([
            JSON.Field("endpoint", .string(status.address.description)),
            JSON.Field("state", .string(status.standing.name)),
            JSON.Field("problem", status.problem.map { .string($0) } ?? .null),
            JSON.Field("source", .string(status.isSeed ? "configured" : "member list")),
            JSON.Field("member_id", report?.memberID.map { .string(String($0, radix: 16)) } ?? .null),
            JSON.Field("is_leader", .bool(report?.isLeader ?? false)),
            JSON.Field("is_learner", .bool(report?.isLearner ?? false)),
            JSON.Field("alarms", .array(alarms.map { .string($0) })),
            JSON.Field("version", .string(report?.version ?? "")),
            JSON.Field("revision", report?.revision.map { .integer(UInt64(clamping: $0)) } ?? .null),
            JSON.Field("raft_term", report?.raftTerm.map { .integer($0) } ?? .null),
            JSON.Field("applied_index", report?.appliedIndex.map { .integer($0) } ?? .null),
            JSON.Field("probe_latency_ms", status.probeLatency.map { milliseconds($0.seconds) } ?? .null),
            JSON.Field(
                "last_answer_seconds_ago", status.lastAnswerAge.map { .double(($0.seconds * 10).rounded() / 10) } ?? .null),
            JSON.Field("in_flight", .integer(UInt64(clamping: counters.inFlight.value))),
            JSON.Field("succeeded", .integer(counters.succeeded.value)),
            JSON.Field("failed", .integer(counters.failed.value)),
            JSON.Field("ejections", .integer(counters.ejections.value)),
            JSON.Field("sent_bytes", .integer(counters.sentBytes.value)),
            JSON.Field("received_bytes", .integer(counters.receivedBytes.value)),
        ])
    }
}
