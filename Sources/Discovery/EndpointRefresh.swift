/// One look at where endpoints are named.
public struct FoundEndpoints<Endpoint: Hashable & Sendable>: Sendable {
    /// One at least.
    public let endpoints: [Endpoint]
    /// There may be more: not everybody who was asked gave an answer.
    public let isComplete: Bool

    public init(endpoints: [Endpoint], isComplete: Bool) {
        self.endpoints = endpoints
        self.isComplete = isComplete
    }
}

/// When endpoints are looked for, and what was found. What fails takes nothing away.
public struct EndpointRefresh<Endpoint: Hashable & Sendable>: Sendable {
    private let interval: Duration
    private var known: [Endpoint] = []
    private var failures = 0

    /// `interval`: between two looks when all is well; zero for one that succeeded to be the last.
    public init(interval: Duration) { self.interval = interval }

    /// The endpoints from now on, or nil when they are what they were.
    public mutating func looked(_ outcome: Result<FoundEndpoints<Endpoint>, LookupProblem>) -> [Endpoint]? {
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
        return min(longest, Duration.seconds(1) * (1 << min(failures - 1, 10)))
    }
}
