import Balancing
import Configuration
import Discovery
import Host
import LinuxHost
import Synchronization
import Telemetry

/// Where endpoints are named. Looking waits for the network.
protocol EndpointSource: Sendable {
    /// For the log, as "the SRV records of example.com".
    var name: String { get }
    func look() throws(LookupProblem) -> FoundEndpoints<Seed>
}

/// The SRV records of a domain.
struct RecordSource: EndpointSource {
    let discovery: EndpointDiscovery
    var name: String { "the SRV records of \(discovery.domain)" }

    func look() throws(LookupProblem) -> FoundEndpoints<Seed> {
        var random = SeededRandom(seed: SystemRandom.number())
        let found = try discovery.find(in: SystemNameService(), using: &random)
        return FoundEndpoints(endpoints: found.endpoints.map { Seed($0) }, isComplete: found.isComplete)
    }
}

/// Looks for the endpoints again and again, on a thread of its own: name servers and members take their time.
final class EndpointFinder: Sendable {
    private static let firstLook = Instant.Span.seconds(5)

    private let source: any EndpointSource
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

    /// `interval`: between two looks; zero for one that finds something to be the last.
    init(_ source: any EndpointSource, interval: Duration, _ log: Log) {
        self.source = source
        self.interval = interval
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
        var refresh = EndpointRefresh<Seed>(interval: interval)
        var isTold = false
        while !state.withLock({ $0.isStopped }) {
            let outcome: Result<FoundEndpoints<Seed>, LookupProblem>
            do throws(LookupProblem) {
                outcome = .success(try source.look())
                isTold = false
            } catch {
                outcome = .failure(error)
                if !isTold { log.warn("\(source.name) do not tell the endpoints", ["error": .string("\(error)")]) }
                isTold = true
            }
            if let seeds = refresh.looked(outcome) {
                log.info("\(source.name) tell the endpoints", ["endpoints": .strings(seeds.map(\.address.description))])
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
}

extension Seed {
    fileprivate init(_ endpoint: EndpointDiscovery.Endpoint) {
        let record = endpoint.record
        self.init(
            EndpointAddress(scheme: endpoint.isSecure ? .https : .http, host: record.target, port: record.port),
            priority: record.priority)
    }
}
