import Host

/// What the event loops need to know in order to choose: one immutable value, published whenever it changes.
public struct BalancingView: Sendable, Equatable {
    public struct Endpoint: Sendable, Equatable {
        public let id: EndpointID
        public let address: EndpointAddress
        public let standing: Standing
        /// As the last answered probe had it.
        public let memberID: UInt64?
        public let isLeader: Bool
        /// Matches one of the operator's patterns of near endpoints.
        public let isPreferred: Bool
        /// Of DNS SRV, lower first; 0 for endpoints from elsewhere.
        public let priority: UInt16
        /// Measured by the last answered probe.
        public let latency: Instant.Span?

        public init(
            id: EndpointID, address: EndpointAddress, standing: Standing, memberID: UInt64? = nil, isLeader: Bool = false,
            isPreferred: Bool = false, priority: UInt16 = 0, latency: Instant.Span? = nil
        ) {
            self.id = id
            self.address = address
            self.standing = standing
            self.memberID = memberID
            self.isLeader = isLeader
            self.isPreferred = isPreferred
            self.priority = priority
            self.latency = latency
        }
    }

    /// In the order of their ids.
    public var endpoints: [Endpoint]

    public init(endpoints: [Endpoint] = []) { self.endpoints = endpoints }

    /// The same but for latencies, which change with every probe.
    func chooses(like other: BalancingView) -> Bool {
        endpoints.count == other.endpoints.count
            && zip(endpoints, other.endpoints).allSatisfy {
                $0.id == $1.id && $0.standing == $1.standing && $0.memberID == $1.memberID && $0.isLeader == $1.isLeader
                    && $0.address == $1.address && $0.priority == $1.priority
            }
    }
}
