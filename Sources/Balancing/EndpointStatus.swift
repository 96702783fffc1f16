import Host

/// One endpoint as people and scripts see it.
public struct EndpointStatus: Sendable, Equatable {
    public let id: EndpointID
    public let address: EndpointAddress
    public let standing: Standing
    public let isSeed: Bool
    public let report: ProbeReport?
    /// Why the last probe failed, or in what way the member is not ready.
    public let problem: String?
    public let probeLatency: Instant.Span?
    /// Since the last answered probe.
    public let lastAnswerAge: Instant.Span?
    public let ejections: Int
}

extension HealthMonitor {
    /// All endpoints, in the order of their ids.
    public func status(now: Instant) -> [EndpointStatus] {
        entries.map { entry in
            EndpointStatus(
                id: entry.id, address: entry.address, standing: entry.standing, isSeed: entry.isSeed, report: entry.health.report,
                problem: entry.health.lastProblem, probeLatency: entry.health.probeLatency,
                lastAnswerAge: entry.health.lastAnswer.map { now - $0 }, ejections: entry.health.ejection.count)
        }
    }

    /// The cluster that is served, once it is known.
    public var pinnedCluster: UInt64? { clusterID }

    /// When a member list was last taken over.
    public var lastRefresh: Instant? { membership.lastSuccess }

    /// Whether requests can be served: some endpoint serves.
    public var isServing: Bool { entries.contains { $0.standing == .serving } }
}
