import Bytes
import EtcdAPI
import HTTP2
import Host
import MVCC
import Member
import Records
import Telemetry

/// Answers plain HTTP on one event loop. Reads that need the cluster's word are asked of the member like any client's.
public final class HealthRouter: HTTPRouter {
    let pages: HealthPages
    let member: LoopMember
    private let listener: Listener
    private var isClientPort: Bool { listener == .client }
    private let access: AccessRules

    /// Which pages a listener serves, as etcd divides them.
    public enum Listener: Sendable {
        case client
        /// Members and versions.
        case peer
        /// Metrics and health.
        case metrics
    }

    public init(_ pages: HealthPages, member: LoopMember, listener: Listener, access: AccessRules = AccessRules()) {
        self.access = access
        self.pages = pages
        self.member = member
        self.listener = listener
    }

    public func respond(to exchange: HTTPExchange) {
        let request = exchange.request
        if isClientPort {
            if !exchange.connection.isEncrypted, let refusal = access.refusal(host: request.first("host")) {
                return exchange.respond(status: 421, fields: HealthRouter.errorFields, text: refusal + "\n")
            }
            if request.method == "OPTIONS" { return exchange.respond(status: 200, fields: crossOrigin(exchange)) }
        }
        if listener == .peer { peerPage(exchange) } else { page(exchange) }
        member.endBurst()
    }

    private func page(_ exchange: HTTPExchange) {
        let path = exchange.request.path
        switch path {
        case "/health": onGet(exchange) { self.health(exchange) }
        case "/metrics": metrics(exchange)
        case "/version" where isClientPort: onGet(exchange) { self.version(exchange) }
        case _ where path == "/livez" || path.hasPrefix("/livez/"): onGet(exchange) { self.checks(exchange, .live, path) }
        case _ where path == "/readyz" || path.hasPrefix("/readyz/"): onGet(exchange) { self.checks(exchange, .ready, path) }
        default: notFound(exchange)
        }
    }

    private func peerPage(_ exchange: HTTPExchange) {
        switch exchange.request.path {
        case "/members": onGet(exchange) { self.members(exchange) }
        case "/version": onGet(exchange) { self.version(exchange) }
        case "/downgrade/enabled": onGet(exchange) { self.downgradeEnabled(exchange) }
        case "/leases", "/leases/internal": leasePage(exchange)
        case "/members/hashkv": onGet(exchange) { self.hashPage(exchange) }
        case let path where path.hasPrefix("/members/promote/"): promotionPage(exchange, prefix: "/members/promote/")
        default: notFound(exchange)
        }
    }

    private func notFound(_ exchange: HTTPExchange) {
        exchange.respond(status: 404, fields: plainText(exchange), text: "404 page not found\n")
    }

    /// What Go's HTTP library sends with plain errors.
    private static let errorFields = [
        HTTPField("content-type", "text/plain; charset=utf-8"), HTTPField("x-content-type-options", "nosniff"),
    ]

    func plainText(_ exchange: HTTPExchange) -> [HTTPField] { HealthRouter.errorFields + crossOrigin(exchange) }

    /// What lets pages of other origins read an answer of the client port.
    private func crossOrigin(_ exchange: HTTPExchange) -> [HTTPField] {
        isClientPort ? access.fields(origin: exchange.request.first("origin")) : []
    }

    private func onGet(_ exchange: HTTPExchange, _ body: () -> Void) {
        guard exchange.request.method == "GET" else {
            let fields = plainText(exchange) + [HTTPField("allow", "GET")]
            return exchange.respond(status: 405, fields: fields, text: "Method Not Allowed\n")
        }
        body()
    }

    // MARK: /health

    private func health(_ exchange: HTTPExchange) {
        let query = Query(exchange.request.query)
        let status = member.published.status
        if let reason = status.whyNoClientIsServed { return answer(exchange, reason: reason) }
        for alarm in status.alarms {
            let name = alarm.alarm == .corrupt ? "CORRUPT" : (alarm.alarm == .nospace ? "NOSPACE" : "UNKNOWN")
            if !query.values("exclude").contains(name) { return answer(exchange, reason: "ALARM \(name)") }
        }
        if query.values("serializable").first == "true" { return answer(exchange, reason: nil) }
        if let stall = member.port.stall { return answer(exchange, reason: stall.reason) }
        guard status.hasLeader else { return answer(exchange, reason: "RAFT NO LEADER") }
        read(linearizable: true) { [self] failure in
            answer(exchange, reason: failure.map { "RANGE ERROR:\($0)" })
        }
    }

    private func answer(_ exchange: HTTPExchange, reason: String?) {
        pages.counted(healthy: reason == nil)
        let body = "{\"health\":\"\(reason == nil)\",\"reason\":\"\(reason ?? "")\"}"
        if reason != nil { return exchange.respond(status: 503, fields: plainText(exchange), text: body + "\n") }
        let fields = [HTTPField("content-type", "text/plain; charset=utf-8")] + crossOrigin(exchange)
        exchange.respond(status: 200, fields: fields, text: body)
    }

    // MARK: /livez and /readyz

    private enum Family { case live, ready }

    private func checks(_ exchange: HTTPExchange, _ family: Family, _ path: String) {
        let all = family == .live ? HealthCheckName.live : HealthCheckName.ready
        let query = Query(exchange.request.query)
        var wanted = all.filter { !query.values("exclude").contains($0.rawValue) }
        if let slash = path.dropFirst().firstIndex(of: "/") {
            let name = path[path.index(after: slash)...]
            guard let one = all.first(where: { $0.rawValue == name }) else { return notFound(exchange) }
            wanted = [one]
        }
        run(wanted[...], HealthReport()) { [self] report in
            let text = report.text(verbose: query.has("verbose"))
            exchange.respond(status: report.isHealthy ? 200 : 503, fields: plainText(exchange), text: text)
        }
    }

    private func run(_ checks: ArraySlice<HealthCheckName>, _ report: HealthReport, _ done: @escaping (HealthReport) -> Void) {
        guard let check = checks.first else { return done(report) }
        perform(check) { [self] failure in
            var report = report
            report.results.append((check, failure))
            run(checks.dropFirst(), report, done)
        }
    }

    private func perform(_ check: HealthCheckName, _ done: @escaping (String?) -> Void) {
        let status = member.published.status
        switch check {
        case .dataCorruption: done(status.isRaised(.corrupt) ? "alarm activated: CORRUPT" : nil)
        case .nonLearner: done(status.isLearner ? "not supported for learner" : nil)
        case .serializableRead: read(linearizable: false, done)
        case .linearizableRead:
            // Not the sub-check that liveness has too: a restart would mend nothing.
            if let reason = status.whyNoClientIsServed { return done(reason) }
            read(linearizable: true, done)
        }
    }

    /// What a client's read would see: nil when it would be answered.
    private func read(linearizable: Bool, _ done: @escaping (String?) -> Void) {
        let status = member.published.status
        if linearizable, let stall = member.port.stall { return done(stall.reason) }
        if !linearizable || status.readsAreLinearizable {
            do {
                try member.withReader { reader, _ in _ = reader.index.liveKeys }
                return done(nil)
            } catch {
                return done("\(error)")
            }
        }
        member.submit(.readIndex) { answer in
            if case .refused(let error) = answer { done(error.message) } else { done(nil) }
        }
    }

    // MARK: the rest

    /// What members ask each other before they agree to a lower cluster version.
    private func downgradeEnabled(_ exchange: HTTPExchange) {
        let isEnabled = member.published.status.membership.downgrade?.isEnabled ?? false
        exchange.respond(status: 200, fields: [HTTPField("content-type", "text/plain")], text: "\(isEnabled)")
    }

    /// What etcd's peer port answers to `/members`.
    private func members(_ exchange: HTTPExchange) {
        exchange.respond(status: 200, fields: memberFields, text: list(member.published.status.membership.members))
    }

    private func version(_ exchange: HTTPExchange) {
        let decided = member.published.status.membership.clusterVersion?.description
        let storage = pages.behavesAsMinor < 6 ? "" : ",\"storage\":\"\(decided ?? "unknown")\""
        // Quorate's own version has a field of its own, by which members know each other; tools and etcd's members read the others.
        let own = member.published.status.isLeaving ? "" : ",\"quorate\":\"\(pages.version)\""
        let body = "{\"etcdserver\":\"\(pages.etcdVersion)\",\"etcdcluster\":\"\(decided ?? "not_decided")\"\(storage)\(own)}"
        exchange.respond(status: 200, fields: [HTTPField("content-type", "application/json")] + crossOrigin(exchange), text: body)
    }

    private func metrics(_ exchange: HTTPExchange) {
        pages.refreshMetrics()
        exchange.respond(
            status: 200, fields: [HTTPField("content-type", MetricsRegistry.contentType)] + crossOrigin(exchange),
            body: pages.registry.render())
    }
}

/// A query string, its escapes left alone: the pages here know only plain words.
private struct Query {
    private let pairs: [(name: Substring, value: Substring)]

    init(_ text: String) {
        pairs = text.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (parts[0], parts.count > 1 ? parts[1] : "")
        }
    }

    func has(_ name: String) -> Bool { pairs.contains { $0.name == name } }
    func values(_ name: String) -> [String] { pairs.filter { $0.name == name }.map { String($0.value) } }
}
