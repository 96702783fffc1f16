import Host

/// What the operator decides about health and choice.
public struct BalancingSettings: Sendable, Equatable {
    public enum Policy: String, CaseIterable, Sendable {
        case roundRobin = "round-robin"
        /// The better of two chosen at random, by requests in flight times latency.
        case leastLoaded = "least-loaded"
        /// The same affinity always gets the same endpoint while that one serves.
        case sticky
    }

    public var policy = Policy.leastLoaded
    /// Writes go to the leader while it serves.
    public var prefersLeaderForWrites = false
    /// Endpoints that match go before the others that are as healthy.
    public var preferred: [AddressPattern] = []

    /// Between two probes of an endpoint.
    public var probeInterval = Instant.Span.seconds(1)
    public var probeTimeout = Instant.Span.seconds(1)
    /// Each wait is lengthened or shortened at random by up to this share, so that many proxies do not probe in step.
    public var probeJitter = 0.2
    /// Probes that an endpoint must pass, one after the other, before it is taken back.
    public var rise = 2
    /// Failed probes after which an endpoint is left. A refused connection and silence are enough by themselves.
    public var fall = 2
    /// Probes without answer, one after the other, that count for nothing because clients heard from the endpoint meanwhile: on a machine
    /// that is short of processor time a probe may be late although the endpoint is well.
    public var excusedTimeouts = 10
    /// The waits between probes of an endpoint that is down double up to this.
    public var longestProbeInterval = Instant.Span.seconds(5)

    /// Failed requests, one after the other, after which an endpoint is ejected.
    public var ejectionFailures = 5
    /// Or so many requests within ``ejectionWindow`` of which at least half failed.
    public var ejectionRequests = 20
    public var ejectionWindow = Instant.Span.seconds(10)
    /// How long the first ejection lasts; each further one lasts twice as long.
    public var firstEjection = Instant.Span.seconds(5)
    public var longestEjection = Instant.Span.seconds(60)

    /// Between two looks at the cluster's own member list; zero for none.
    public var refreshInterval = Instant.Span.seconds(30)
    /// The only cluster to forward to; nil for the one that most endpoints belong to at first.
    public var clusterID: UInt64?
    /// After so long with every answering endpoint in one other cluster, that cluster is taken for the new one: a cluster restored
    /// from a backup has a new id. Not when ``clusterID`` is given.
    public var repinAfter = Instant.Span.seconds(10)

    public init() {}
}

/// A rule for which endpoints are near: a host, a suffix of host names (`.zone-a.example`), or an IPv4 network (`10.1.0.0/16`).
public enum AddressPattern: Hashable, Sendable {
    case host(String)
    case suffix(String)
    case network(base: UInt32, bits: Int)

    /// nil when the text is none of the three.
    public init?(_ text: String) {
        if let slash = text.firstIndex(of: "/") {
            guard let base = Self.address(text[..<slash]), let bits = Int(text[text.index(after: slash)...]),
                (0...32).contains(bits)
            else { return nil }
            self = .network(base: base, bits: bits)
        } else if text.hasPrefix("."), text.utf8.count > 1 {
            self = .suffix(text)
        } else if !text.isEmpty {
            self = .host(text)
        } else {
            return nil
        }
    }

    public func matches(_ endpoint: EndpointAddress) -> Bool {
        switch self {
        case .host(let host): return endpoint.host == host || endpoint.authority == host
        case .suffix(let suffix): return endpoint.host.hasSuffix(suffix)
        case .network(let base, let bits):
            guard let address = Self.address(endpoint.host[...]) else { return false }
            let mask: UInt32 = bits == 0 ? 0 : ~0 << UInt32(32 - bits)
            return address & mask == base & mask
        }
    }

    /// An IPv4 address as one number.
    private static func address(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard let byte = UInt8(part) else { return nil }
            value = value << 8 | UInt32(byte)
        }
        return value
    }
}
