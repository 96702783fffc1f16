import Balancing
import Configuration
import Discovery
import Host
import LinuxHost
import Synchronization
import Telemetry

/// Looks for the endpoints in DNS, again and again, on a thread of its own: name servers take their time.
final class EndpointRecords: Sendable {
    private static let firstLook = Instant.Span.seconds(5)

    private let discovery: EndpointDiscovery
    private let interval: Duration
    private let log: Log
    private struct State {
        var seeds: [Seed] = []
        /// Where news go.
        var follower: (@Sendable ([Seed]) -> Void)?
        var isStopped = false
    }

    private let state = Mutex(State())
    private let looked = WakeSignal()
    private let stopped = WakeSignal()

    init?(_ configuration: ProxyConfiguration, _ log: Log) {
        guard !configuration.discoveryDomain.isEmpty else { return nil }
        discovery = EndpointDiscovery(
            domain: configuration.discoveryDomain, suffix: configuration.discoveryName,
            allowsPlain: configuration.insecureDiscovery)
        interval = configuration.refreshInterval
        self.log = log
    }

    /// Starts to look. The endpoints if they are known within five seconds, else none: whoever asks has to do without for now.
    func start() -> [Seed] {
        _ = DaemonThread.start("names") { self.run() }
        looked.wait(Self.firstLook)
        return state.withLock { $0.seeds }
    }

    /// From now on what has changed goes to `body`, beginning with what was found since ``start()`` gave `known`.
    func follow(from known: [Seed], _ body: @escaping @Sendable ([Seed]) -> Void) {
        state.withLock { state in
            state.follower = body
            if state.seeds != known { body(state.seeds) }
        }
    }

    /// Nothing goes anywhere once this has returned. A look under way ends with the process.
    func stop() {
        state.withLock { $0.isStopped = true }
        stopped.wake()
    }

    private func run() {
        var refresh = EndpointRefresh(interval: interval)
        var random = SeededRandom(seed: SystemRandom.number())
        var isTold = false
        while !state.withLock({ $0.isStopped }) {
            let outcome: Result<EndpointDiscovery.Found, LookupProblem>
            do throws(LookupProblem) {
                outcome = .success(try discovery.find(in: SystemNameService(), using: &random))
                isTold = false
            } catch {
                outcome = .failure(error)
                if !isTold { log.warn("the SRV records of the endpoints are not known", fields("error", .string("\(error)"))) }
                isTold = true
            }
            if let endpoints = refresh.looked(outcome) {
                let seeds = endpoints.map { Seed($0) }
                log.info("discovered cluster from SRV", fields("endpoints", .strings(seeds.map(\.address.description))))
                state.withLock { state in
                    state.seeds = seeds
                    if !state.isStopped { state.follower?(seeds) }
                }
            }
            looked.wake()
            guard let wait = refresh.wait else { return }
            stopped.wait(Instant.Span(wait))
        }
    }

    private func fields(_ name: String, _ value: LogValue) -> KeyValuePairs<String, LogValue> {
        ["srv-server": .string(discovery.domain), name: value]
    }
}

extension Seed {
    fileprivate init(_ endpoint: EndpointDiscovery.Endpoint) {
        let record = endpoint.record
        self.init(
            EndpointAddress(scheme: endpoint.isSecure ? .https : .http, host: record.target, port: record.port),
            priority: record.priority)
    }
}
