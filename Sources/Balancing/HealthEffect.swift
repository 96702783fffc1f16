import Host

/// What the health monitor wants done.
public enum HealthEffect: Equatable, Sendable {
    /// Look at the endpoint and report with ``HealthMonitor/probeFinished(_:_:now:)``, after `timeout` at the latest.
    case probe(EndpointID, EndpointAddress, timeout: Instant.Span)
    /// Ask this endpoint for the cluster's members and report with ``HealthMonitor/membersListed(_:by:now:)``.
    case listMembers(EndpointID, EndpointAddress)
    /// Hand this to the event loops.
    case publish(BalancingView)
    /// Move streams and connections off the endpoint: there is a better one.
    case leave(EndpointID, LeaveReason)
    /// The endpoint is gone for good.
    case remove(EndpointID)
    /// Keep this for the next start.
    case store(KnownCluster)
    case note(HealthEvent)
}

/// What is worth a line in the log and a count.
public enum HealthEvent: Equatable, Sendable {
    case standingChanged(EndpointAddress, from: Standing, to: Standing, reason: String)
    case ejected(EndpointAddress, for: Instant.Span)
    case added(EndpointAddress)
    case removed(EndpointAddress)
    case clusterPinned(UInt64)
    /// The cluster id changed everywhere: taken for a cluster restored from a backup.
    case clusterChanged(from: UInt64, to: UInt64)
    case refreshRefused(reason: String)
}

/// The cluster as last seen, kept across restarts.
public struct KnownCluster: Equatable, Sendable {
    /// nil before any member told it.
    public var clusterID: UInt64?
    /// What the operator gave at the time. When that changes, what was kept is not used.
    public var seeds: [EndpointAddress]
    /// The members' own addresses.
    public var members: [EndpointAddress]

    public init(clusterID: UInt64? = nil, seeds: [EndpointAddress] = [], members: [EndpointAddress] = []) {
        self.clusterID = clusterID
        self.seeds = seeds
        self.members = members
    }
}

/// An answer to "who are the members?".
public struct MemberListing: Equatable, Sendable {
    public struct Member: Equatable, Sendable {
        public let id: UInt64
        public let clientAddresses: [EndpointAddress]

        public init(id: UInt64, clientAddresses: [EndpointAddress]) {
            self.id = id
            self.clientAddresses = clientAddresses
        }
    }

    public let clusterID: UInt64
    public let members: [Member]

    public init(clusterID: UInt64, members: [Member]) {
        self.clusterID = clusterID
        self.members = members
    }
}

/// An endpoint that the operator named: on the command line, in a file, or through DNS.
public struct Seed: Hashable, Sendable {
    public let address: EndpointAddress
    /// Of DNS SRV, lower first.
    public let priority: UInt16

    public init(_ address: EndpointAddress, priority: UInt16 = 0) {
        self.address = address
        self.priority = priority
    }
}
