import Host

/// Knows all endpoints and how they stand: sends probes, hears outcomes, follows the cluster's membership, and says what the event
/// loops should choose from. One value for the whole process; time and randomness are handed in.
public struct HealthMonitor: Sendable {
    struct Entry: Sendable {
        let id: EndpointID
        let address: EndpointAddress
        /// Named by the operator: stays, whatever the member list says.
        var isSeed: Bool
        var priority: UInt16
        var health: EndpointHealth
        /// As last told.
        var standing = Standing.unproven
        /// Streams have been told to leave, and the endpoint has not served since.
        var wasLeft = false
    }

    var settings: BalancingSettings
    var random: SeededRandom
    /// In the order of ids, so that nothing depends on the order of a dictionary.
    var entries: [Entry] = []
    var nextID: UInt32 = 1
    var clusterID: UInt64?
    var membership: MembershipRefresh
    /// What is provisional is not for the next start.
    private(set) var pin = ClusterPin()
    private var published: BalancingView?
    private var effects: [HealthEffect] = []

    /// - Parameters:
    ///   - known: what an earlier run kept; used when it was kept for the same seeds.
    ///   - seed: of the randomness for jitter.
    public init(
        _ settings: BalancingSettings, seeds: [Seed], known: KnownCluster? = nil, seed: UInt64, now: Instant
    ) {
        self.settings = settings
        random = SeededRandom(seed: seed)
        membership = MembershipRefresh(seeds: seeds.map(\.address))
        clusterID = settings.clusterID
        for seed in seeds { add(seed.address, isSeed: true, priority: seed.priority, now: now) }
        if let known, Set(known.seeds) == Set(membership.seeds) {
            for address in known.members { add(address, isSeed: false, priority: 0, now: now) }
            membership.members = known.members
            if clusterID == nil { clusterID = known.clusterID }
        }
        if settings.refreshInterval.nanoseconds > 0 { membership.nextRefresh = now }
        settle(now)
    }

    // MARK: What happens

    /// Time has passed.
    public mutating func advance(now: Instant) {
        for index in entries.indices { entries[index].health.advance(now: now) }
        settle(now)
    }

    /// - Parameter lastHeard: when clients last got anything from the endpoint. Only looked at when the probe was not answered in time.
    public mutating func probeFinished(_ id: EndpointID, _ result: ProbeResult, lastHeard: Instant? = nil, now: Instant) {
        guard let index = index(of: id) else { return }
        entries[index].health.probeFinished(result, lastHeard: lastHeard, now: now, settings, &random)
        judgeClusters(now)
        dropAliases()
        settle(now)
    }

    /// A request failed, after so many on the same endpoint that succeeded: successes alone are not worth telling.
    public mutating func requestFailed(_ id: EndpointID, successesBefore: Int, now: Instant) {
        guard let index = index(of: id) else { return }
        if let length = entries[index].health.countFailure(successesBefore: successesBefore, now: now, settings) {
            effects.append(.note(.ejected(entries[index].address, for: length)))
        }
        settle(now)
    }

    /// An answer is late: look at the endpoint now.
    public mutating func suspect(_ id: EndpointID, now: Instant) {
        guard let index = index(of: id) else { return }
        entries[index].health.probeSoon(now: now)
        settle(now)
    }

    /// The effects so far, in order; they are forgotten here.
    public mutating func takeEffects() -> [HealthEffect] {
        defer { effects.removeAll(keepingCapacity: true) }
        return effects
    }

    /// When ``advance(now:)`` is to be called at the latest.
    public var nextWakeUp: Instant? {
        var times = entries.compactMap { $0.health.probing == nil ? $0.health.nextProbe : nil }
        times += entries.compactMap { $0.health.ejection.wakeUp }
        if let refresh = membership.wakeUp { times.append(refresh) }
        return times.min()
    }

    // MARK: The list

    func index(of id: EndpointID) -> Int? { entries.firstIndex { $0.id == id } }

    mutating func add(_ address: EndpointAddress, isSeed: Bool, priority: UInt16, now: Instant) {
        if let index = entries.firstIndex(where: { $0.address == address }) {
            entries[index].isSeed = entries[index].isSeed || isSeed
            if isSeed { entries[index].priority = priority }
            return
        }
        let id = EndpointID(rawValue: nextID)
        nextID += 1
        entries.append(
            Entry(id: id, address: address, isSeed: isSeed, priority: priority, health: EndpointHealth(firstProbe: now)))
        effects.append(.note(.added(address)))
    }

    mutating func remove(_ id: EndpointID) {
        guard let index = index(of: id) else { return }
        let entry = entries.remove(at: index)
        effects.append(.leave(id, .removed))
        effects.append(.remove(id))
        effects.append(.note(.removed(entry.address)))
    }

    mutating func note(_ event: HealthEvent) { effects.append(.note(event)) }
    mutating func want(_ effect: HealthEffect) { effects.append(effect) }

    /// One member reached by two addresses is probed and used by one: the operator's.
    private mutating func dropAliases() {
        for entry in entries where !entry.isSeed {
            guard let member = entry.health.report?.memberID else { continue }
            let hasBetter = entries.contains { other in
                other.id != entry.id && other.health.condition == .up && other.health.report?.memberID == member
                    && (other.isSeed || other.id < entry.id)
            }
            if hasBetter { remove(entry.id) }
        }
    }

    // MARK: Clusters

    private mutating func judgeClusters(_ now: Instant) {
        let found = entries.map { entry in
            ClusterPin.Sighting(
                clusterID: entry.health.report?.clusterID, isUp: entry.health.condition == .up,
                isSettled: entry.health.hasBeenProbed, isSeed: entry.isSeed)
        }
        switch pin.judge(found, current: clusterID, isFixed: settings.clusterID != nil, now: now, patience: settings.repinAfter) {
        case .keep: break
        case .pin(let id):
            if let old = clusterID, old != id { note(.clusterChanged(from: old, to: id)) }
            if clusterID == nil { note(.clusterPinned(id)) }
            clusterID = id
            store()
        }
        for index in entries.indices {
            guard let id = entries[index].health.report?.clusterID, let clusterID else { continue }
            entries[index].health.isForeign = id != clusterID
        }
    }

    // MARK: What follows

    /// Brings everything that follows from the endpoints' states up to date: probes, standings, the view, who is to be left.
    mutating func settle(_ now: Instant) {
        sendProbes(now)
        for index in entries.indices {
            let old = entries[index].standing
            let new = entries[index].health.standing(now: now)
            guard old != new else { continue }
            entries[index].standing = new
            if new == .serving { entries[index].wasLeft = false }
            if new == .down { membership.refreshSoon(now: now) }
            note(
                .standingChanged(entries[index].address, from: old, to: new, reason: entries[index].health.lastProblem ?? ""))
        }
        refreshIfDue(now)
        publish()
        leaveBadEndpoints(now)
    }

    private mutating func sendProbes(_ now: Instant) {
        for index in entries.indices where entries[index].health.probeIfDue(now: now) {
            want(.probe(entries[index].id, entries[index].address, timeout: settings.probeTimeout))
        }
    }

    private mutating func publish() {
        let view = currentView
        if let published, published.chooses(like: view) { return }
        published = view
        want(.publish(view))
    }

    /// After the view is out, so that nobody who leaves an endpoint comes back to it.
    private mutating func leaveBadEndpoints(_ now: Instant) {
        guard entries.contains(where: { $0.standing == .serving }) else {
            // While nobody serves any endpoint may be chosen again, and will have to be left again.
            for index in entries.indices { entries[index].wasLeft = false }
            return
        }
        for index in entries.indices where !entries[index].wasLeft {
            guard let reason = entries[index].health.leaveReason(now: now, fall: settings.fall) else { continue }
            entries[index].wasLeft = true
            want(.leave(entries[index].id, reason))
        }
    }

    private var currentView: BalancingView {
        BalancingView(
            endpoints: entries.map { entry in
                BalancingView.Endpoint(
                    id: entry.id, address: entry.address, standing: entry.standing, memberID: entry.health.report?.memberID,
                    isLeader: entry.health.report?.isLeader ?? false,
                    isPreferred: settings.preferred.contains { $0.matches(entry.address) }, priority: entry.priority,
                    latency: entry.health.probeLatency)
            })
    }
}

/// Finds out which cluster is the right one when nobody said so.
struct ClusterPin: Sendable {
    struct Sighting {
        /// What the endpoint reported last, when it ever answered.
        var clusterID: UInt64?
        /// It answers now, too.
        var isUp: Bool
        /// Its first probe is over.
        var isSettled: Bool
        /// Named by the operator, not by whichever cluster answered first.
        var isSeed: Bool
    }

    enum Decision: Equatable { case keep, pin(UInt64) }

    /// Pinned while no more than half of the seeds answered: until more than half do so at the same time from one cluster, the pin
    /// follows what more than half reported last, be they up or not. Otherwise the only endpoint that answers after a start, should
    /// it be of another cluster, would forbid all others for good, or as long as one of the others is always down.
    private(set) var isProvisional = false
    /// Since when every answering endpoint has been in this other cluster.
    private var other: (id: UInt64, since: Instant)?

    /// At first the cluster of most endpoints, once each has been looked at; the first in the list when as many are in another.
    /// Later another one only when more than half of the endpoints agree on it and none is in the old one.
    mutating func judge(
        _ sightings: [Sighting], current: UInt64?, isFixed: Bool, now: Instant, patience: Instant.Span
    ) -> Decision {
        let seen = sightings.filter(\.isUp).compactMap(\.clusterID)
        let agreed = sightings.compactMap(\.clusterID).first { isAgreed($0, sightings, of: sightings) }
        guard let current else {
            // What more than half have said counts though they have gone since: otherwise whoever comes back first would be served.
            guard sightings.allSatisfy(\.isSettled), let pinned = agreed ?? mostSeen(seen) else { return .keep }
            isProvisional = !isAgreed(pinned, sightings.filter(\.isUp), of: sightings)
            return .pin(pinned)
        }
        if isProvisional, let agreed {
            isProvisional = !isAgreed(agreed, sightings.filter(\.isUp), of: sightings)
            guard isProvisional, agreed == current else { return .pin(agreed) }
        }
        guard !isFixed, let candidate = seen.first, candidate != current, seen.allSatisfy({ $0 == candidate }),
            seen.count * 2 > sightings.count
        else {
            other = nil
            return .keep
        }
        if other?.id != candidate { other = (candidate, now) }
        guard let other, now - other.since >= patience else { return .keep }
        self.other = nil
        return .pin(candidate)
    }

    /// The first of those that are there as often as any.
    private func mostSeen(_ seen: [UInt64]) -> UInt64? {
        let counted = seen.map { id in (id: id, count: seen.count { $0 == id }) }
        let most = counted.map(\.count).max()
        return counted.first { $0.count == most }?.id
    }

    /// More than half of all seeds are among these, and in this cluster.
    private func isAgreed(_ id: UInt64, _ some: [Sighting], of all: [Sighting]) -> Bool {
        some.count { $0.isSeed && $0.clusterID == id } * 2 > all.count(where: \.isSeed)
    }
}
