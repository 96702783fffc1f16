import Host

/// Chooses endpoints for the requests of one event loop, from the newest view and from what this loop itself has in flight.
public struct Picker: Sendable {
    private let settings: BalancingSettings
    private var random: SeededRandom
    private var turn = 0
    public private(set) var view = BalancingView()
    /// Beside `view.endpoints`, index by index.
    private var loads: [Load] = []
    /// For each kind of request the indices of the endpoints it may go to; the near ones alone, if any are near.
    private var candidates: [[Int]] = Array(repeating: [], count: RequestKind.allCases.count)
    /// The same with those that are not near: for requests that failed on the near ones.
    private var others: [[Int]] = Array(repeating: [], count: RequestKind.allCases.count)
    private var burst: Burst?
    /// A choice for more would put off looking at what is in flight for too long.
    static let burstLimit = 16

    /// Requests that came in one piece, and where they go.
    private struct Burst {
        var kind: RequestKind
        var id: EndpointID
        var room: Int
    }

    private struct Load {
        var inFlight = 0
        var latency = DecayingLatency()
        var lastHeard: Instant?
    }

    public init(_ settings: BalancingSettings, seed: UInt64) {
        self.settings = settings
        random = SeededRandom(seed: seed)
    }

    // MARK: Views

    public mutating func update(_ view: BalancingView) {
        var kept: [EndpointID: Load] = [:]
        for (endpoint, load) in zip(self.view.endpoints, loads) { kept[endpoint.id] = load }
        self.view = view
        burst = nil
        loads = view.endpoints.map { kept[$0.id] ?? Load() }
        for kind in RequestKind.allCases {
            let suited = suitedEndpoints(kind)
            let near = nearest(suited)
            candidates[kind.rawValue] = near
            others[kind.rawValue] = suited.filter { !near.contains($0) }
        }
    }

    /// The endpoints of the first standing that has any.
    private func suitedEndpoints(_ kind: RequestKind) -> [Int] {
        for standing in Standing.order(for: kind) {
            let found = view.endpoints.indices.filter { view.endpoints[$0].standing == standing }
            if !found.isEmpty { return found }
        }
        return []
    }

    private func nearest(_ indices: [Int]) -> [Int] {
        let preferred = indices.filter { view.endpoints[$0].isPreferred }
        let near = preferred.isEmpty ? indices : preferred
        let first = near.map { view.endpoints[$0].priority }.min()
        return near.filter { view.endpoints[$0].priority == first }
    }

    // MARK: Choosing

    /// The endpoint for one request, or nil when every one that suits is in `excluding`.
    /// - Parameter affinity: under the sticky policy, the same number gets the same endpoint.
    public mutating func pick(
        _ kind: RequestKind, affinity: UInt64? = nil, excluding: [EndpointID] = [], now: Instant
    ) -> EndpointID? {
        let near = candidates[kind.rawValue]
        if let found = choose(among: near, kind, affinity, excluding, now) { return found }
        return choose(among: others[kind.rawValue], kind, affinity, excluding, now)
    }

    /// As ``pick(_:affinity:excluding:now:)`` for a first attempt. Under the least-loaded policy requests that came in one piece go to one
    /// endpoint: they travel in one packet and so do their answers, which costs half of what it does one by one.
    public mutating func pickInBurst(_ kind: RequestKind, now: Instant) -> EndpointID? {
        if let known = burst, known.kind == kind, known.room > 0 {
            burst?.room -= 1
            return known.id
        }
        let found = pick(kind, now: now)
        burst = settings.policy == .leastLoaded ? found.map { Burst(kind: kind, id: $0, room: Self.burstLimit - 1) } : nil
        return found
    }

    /// What comes from now on has not come with what was there before.
    public mutating func endBurst() { burst = nil }

    private mutating func choose(
        among all: [Int], _ kind: RequestKind, _ affinity: UInt64?, _ excluding: [EndpointID], _ now: Instant
    ) -> EndpointID? {
        let indices = excluding.isEmpty ? all : all.filter { !excluding.contains(view.endpoints[$0].id) }
        guard indices.count > 1 else { return indices.first.map { view.endpoints[$0].id } }
        if kind == .write, settings.prefersLeaderForWrites, let leader = indices.first(where: { view.endpoints[$0].isLeader }) {
            return view.endpoints[leader].id
        }
        switch settings.policy {
        case .roundRobin:
            turn &+= 1
            return view.endpoints[indices[turn % indices.count]].id
        case .sticky: return stickiest(indices, affinity ?? 0)
        case .leastLoaded: return better(indices, now)
        }
    }

    /// Of two endpoints chosen at random the one with less to wait for.
    private mutating func better(_ indices: [Int], _ now: Instant) -> EndpointID {
        let first = Int(random.next() % UInt64(indices.count))
        var second = Int(random.next() % UInt64(indices.count - 1))
        if second >= first { second += 1 }
        let (a, b) = (indices[first], indices[second])
        return view.endpoints[cost(a, now) <= cost(b, now) ? a : b].id
    }

    private func cost(_ index: Int, _ now: Instant) -> Double {
        let measured = loads[index].latency.value(now: now)
        let latency = measured ?? view.endpoints[index].latency.map { Double($0.nanoseconds) } ?? 0
        // Below a tenth of a millisecond differences are noise.
        return max(latency, 100_000) * Double(loads[index].inFlight + 1)
    }

    /// Rendezvous hashing: when an endpoint goes, only what was on it moves.
    private func stickiest(_ indices: [Int], _ affinity: UInt64) -> EndpointID {
        var best = (weight: UInt64(0), id: view.endpoints[indices[0]].id)
        for index in indices {
            let id = view.endpoints[index].id
            var mixed = SeededRandom(seed: affinity &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(id.rawValue))
            let weight = mixed.next()
            if weight >= best.weight { best = (weight, id) }
        }
        return best.id
    }

    // MARK: Use

    public mutating func began(_ id: EndpointID) {
        if let index = index(of: id) { loads[index].inFlight += 1 }
    }

    /// - Parameter latency: to the first byte of the answer; counted when the request succeeded, so that quick refusals draw no
    ///   traffic.
    public mutating func finished(_ id: EndpointID, _ outcome: Outcome, latency: Instant.Span?, now: Instant) {
        guard let index = index(of: id) else { return }
        // An endpoint that was removed and came back has another id, so this cannot go below zero.
        loads[index].inFlight -= 1
        guard outcome == .succeeded else { return }
        loads[index].lastHeard = now
        if let latency { loads[index].latency.observe(Double(latency.nanoseconds), now: now) }
    }

    /// An answer of something that is still in flight.
    public mutating func observe(_ id: EndpointID, latency: Instant.Span, now: Instant) {
        guard let index = index(of: id) else { return }
        loads[index].latency.observe(Double(latency.nanoseconds), now: now)
        loads[index].lastHeard = now
    }

    /// Bytes came, of something that is still in flight.
    public mutating func heard(_ id: EndpointID, now: Instant) {
        if let index = index(of: id) { loads[index].lastHeard = now }
    }

    /// When something last came from the endpoint, to this event loop.
    public func lastHeard(_ id: EndpointID) -> Instant? { index(of: id).flatMap { loads[$0].lastHeard } }

    public func inFlight(_ id: EndpointID) -> Int { index(of: id).map { loads[$0].inFlight } ?? 0 }

    public func endpoint(_ id: EndpointID) -> BalancingView.Endpoint? { index(of: id).map { view.endpoints[$0] } }

    /// New requests of some kind would go to this endpoint.
    public func isUsable(_ id: EndpointID) -> Bool {
        guard let index = index(of: id) else { return false }
        return candidates.contains { $0.contains(index) } || others.contains { $0.contains(index) }
    }

    private func index(of id: EndpointID) -> Int? { view.endpoints.firstIndex { $0.id == id } }
}

/// A latency that forgets: a slower answer counts at once, a quicker one by and by, and after a while without answers the old figure
/// fades, so that an endpoint which was slow gets another chance.
struct DecayingLatency: Sendable {
    private var nanoseconds: Double?
    private var updated = Instant(nanoseconds: 0)
    private static let halfLife = 5e9

    func value(now: Instant) -> Double? {
        guard let nanoseconds else { return nil }
        return nanoseconds * Self.weight((now - updated).nanoseconds)
    }

    mutating func observe(_ sample: Double, now: Instant) {
        if let old = value(now: now), old > sample {
            nanoseconds = old * 0.9 + sample * 0.1
        } else {
            nanoseconds = sample
        }
        updated = now
    }

    /// One at first, a half after the half-life, then a third, and so on: a hyperbola is good enough and cheaper than a power.
    private static func weight(_ elapsed: Int64) -> Double { 1 / (1 + max(0, Double(elapsed)) / halfLife) }
}
