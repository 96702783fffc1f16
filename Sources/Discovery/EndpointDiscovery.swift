/// Finds the client endpoints of a cluster in DNS, as etcd's proxies and tools do: `_etcd-client-ssl._tcp` for https and, where plain
/// ones are allowed, `_etcd-client._tcp` for http.
public struct EndpointDiscovery: Sendable {
    public struct Endpoint: Hashable, Sendable {
        public let isSecure: Bool
        public let record: ServiceRecord

        public init(isSecure: Bool, record: ServiceRecord) {
            self.isSecure = isSecure
            self.record = record
        }
    }

    public let domain: String
    private let suffix: String
    private let allowsPlain: Bool

    public init(domain: String, suffix: String, allowsPlain: Bool) {
        self.domain = domain
        self.suffix = suffix
        self.allowsPlain = allowsPlain
    }

    public struct Found: Sendable {
        /// The secure ones first, each kind in the order of its records; one at least.
        public let endpoints: [Endpoint]
        /// There may be more: a name server failed over one of the two services.
        public let isComplete: Bool

        public init(endpoints: [Endpoint], isComplete: Bool) {
            self.endpoints = endpoints
            self.isComplete = isComplete
        }
    }

    public func find(in names: some NameService, using random: inout some RandomNumberGenerator) throws(LookupProblem) -> Found {
        var found: [Endpoint] = []
        var problems: [LookupProblem] = []
        for isSecure in allowsPlain ? [true, false] : [true] {
            let label = ServiceName.label("etcd-client", isSecure: isSecure, suffix: suffix)
            do throws(LookupProblem) {
                let records = try names.records(of: ServiceName.full(label, domain: domain)).ordered(using: &random)
                found += records.map { Endpoint(isSecure: isSecure, record: $0) }
            } catch {
                problems.append(error)
            }
        }
        let isComplete = problems.allSatisfy(\.isAbsence)
        guard found.isEmpty else { return Found(endpoints: found, isComplete: isComplete) }
        var text = "dns lookup errors: " + problems.map(\.description).joined(separator: "; ")
        if !allowsPlain { text += "; endpoints without TLS are looked for with --insecure-discovery only" }
        throw LookupProblem(text, isAbsence: isComplete)
    }
}

/// When the records are asked for, and what they have said. What fails takes nothing away.
public struct EndpointRefresh: Sendable {
    private static let shortest = Duration.seconds(1)

    private let interval: Duration
    private var known: [EndpointDiscovery.Endpoint] = []
    private var failures = 0

    /// `interval`: between two looks when all is well; zero for one that succeeded to be the last.
    public init(interval: Duration) { self.interval = interval }

    /// The endpoints from now on, or nil when they are what they were.
    public mutating func looked(_ outcome: Result<EndpointDiscovery.Found, LookupProblem>) -> [EndpointDiscovery.Endpoint]? {
        guard case .success(let found) = outcome else {
            failures += 1
            return nil
        }
        failures = found.isComplete ? 0 : failures + 1
        let kept = found.isComplete ? [] : known.filter { !found.endpoints.contains($0) }
        let endpoints = found.endpoints + kept
        guard Set(endpoints) != Set(known) else { return nil }
        known = endpoints
        return endpoints
    }

    /// Until the next look: a second after a failure, twice as long after each further one. nil: never again.
    public var wait: Duration? {
        if failures == 0 { return interval == .zero ? nil : interval }
        let longest = interval == .zero ? Duration.seconds(30) : interval
        return min(longest, Self.shortest * (1 << min(failures - 1, 10)))
    }
}
