import Host

/// When the member list is asked for, and what the lists have said.
struct MembershipRefresh: Sendable {
    /// What the operator named.
    var seeds: [EndpointAddress]
    /// What the cluster said last; never replaced by nothing.
    var members: [EndpointAddress] = []
    /// nil when the list is never asked for.
    var nextRefresh: Instant?
    var asking: EndpointID?
    var askedAt: Instant?
    /// The list was due when nobody could be asked: whoever serves next is, at once. It may not be there for long.
    var isOverdue = false
    /// The last list that was taken over.
    var lastSuccess: Instant?

    init(seeds: [EndpointAddress]) { self.seeds = seeds }

    /// An answer that does not come is forgotten after so long.
    static let patience = Instant.Span.seconds(10)

    /// Never a time at which nothing is done: whoever sleeps until then would wake again and again.
    var wakeUp: Instant? {
        guard let nextRefresh, let askedAt else { return nextRefresh }
        return max(nextRefresh, askedAt + Self.patience)
    }

    /// Something changed: look again within a second rather than at the next regular time.
    mutating func refreshSoon(now: Instant) {
        guard let next = nextRefresh else { return }
        nextRefresh = min(next, now + .seconds(1))
    }
}

extension HealthMonitor {
    mutating func refreshIfDue(_ now: Instant) {
        guard let due = membership.nextRefresh, due <= now || membership.isOverdue else { return }
        if let asked = membership.askedAt, now - asked < MembershipRefresh.patience { return }
        // A member without a leader knows an old list at best. Without anyone to ask, ask as soon as someone serves.
        guard
            let entry = entries.first(where: {
                $0.standing == .serving && $0.health.report?.clusterID == clusterID && clusterID != nil
            })
        else {
            if due <= now { membership.nextRefresh = now + .seconds(1) }
            membership.askedAt = nil
            membership.isOverdue = true
            return
        }
        membership.isOverdue = false
        membership.asking = entry.id
        membership.askedAt = now
        let jitter = Double.random(in: 0.9...1.1, using: &random)
        membership.nextRefresh =
            now + Instant.Span(nanoseconds: Int64(Double(settings.refreshInterval.nanoseconds) * jitter))
        want(.listMembers(entry.id, entry.address))
    }

    /// The member list came, or nil when asking for it failed: then everything stays as it is.
    public mutating func membersListed(_ listing: MemberListing?, by id: EndpointID, now: Instant) {
        defer { settle(now) }
        guard membership.asking == id else { return }
        membership.asking = nil
        membership.askedAt = nil
        guard let listing else {
            membership.refreshSoon(now: now)
            return
        }
        guard listing.clusterID == clusterID else {
            return note(.refreshRefused(reason: "the list is of another cluster"))
        }
        let asked = entries.first { $0.id == id }?.address
        let wanted = addresses(in: listing, toldBy: asked)
        guard !wanted.isEmpty else {
            return note(.refreshRefused(reason: "the list names no member's client address"))
        }
        membership.lastSuccess = now
        for entry in entries where !entry.isSeed && !wanted.contains(entry.address) { remove(entry.id) }
        for address in wanted { add(address, isSeed: false, priority: 0, now: now) }
        if wanted != membership.members {
            membership.members = wanted
            store()
        }
    }

    /// The addresses to use: for a member that serves already under an address that is known, that one.
    private func addresses(in listing: MemberListing, toldBy asked: EndpointAddress?) -> [EndpointAddress] {
        var wanted: [EndpointAddress] = []
        for member in listing.members {
            let known = entries.first { $0.health.condition == .up && $0.health.report?.memberID == member.id }
            if let known, known.isSeed || member.clientAddresses.contains(known.address) {
                if !wanted.contains(known.address) { wanted.append(known.address) }
                continue
            }
            for address in member.clientAddresses where !wanted.contains(address) {
                // A member that advertises its loopback address means its own machine, not this one.
                if address.isLoopback, asked?.isLoopback != true { continue }
                wanted.append(address)
            }
        }
        return wanted
    }

    /// The file or DNS named these endpoints. An empty list changes nothing.
    public mutating func seedsChanged(_ seeds: [Seed], now: Instant) {
        defer { settle(now) }
        guard !seeds.isEmpty else {
            return note(.refreshRefused(reason: "the list of endpoints is empty"))
        }
        let addresses = seeds.map(\.address)
        for entry in entries where entry.isSeed && !addresses.contains(entry.address) {
            if membership.members.contains(entry.address) {
                if let index = index(of: entry.id) { entries[index].isSeed = false }
            } else {
                remove(entry.id)
            }
        }
        for seed in seeds { add(seed.address, isSeed: true, priority: seed.priority, now: now) }
        membership.seeds = addresses
        membership.refreshSoon(now: now)
        store()
    }

    mutating func store() {
        want(
            .store(
                KnownCluster(clusterID: pin.isProvisional ? nil : clusterID, seeds: membership.seeds, members: membership.members)
            ))
    }
}
