import Balancing
import Forwarding
import Host
import Raft

/// One node-local proxy in virtual time: the real health monitor, picker, retry budget, retry rule and relays, with the simulator's
/// connections around them.
final class SimulatedProxy {
    let cluster: SimulatedCluster
    let clients: Clients
    let bug: SeededBug?
    /// For traces.
    private let number: Int
    private(set) var upstreams: [ProxyUpstream]
    private(set) var counts = ProxyCounts()
    private var monitor: HealthMonitor
    private var picker: Picker
    private var budget: RetryBudget
    private let ledger: RetryLedger
    private var successes: [EndpointID: Int] = [:]
    /// Requests that failed one after the other while the endpoint served.
    private var streaks: [EndpointID: Int] = [:]
    /// Five eject; those that were on their way by then may fail, too.
    private static let longestStreak = 12
    private var addresses: [EndpointID: EndpointAddress] = [:]
    private var calls: [ProxyCall] = []
    private var attempts: [ProxyAttempt] = []
    private var wake: Instant?
    /// Endpoints that are not to be used while others serve, since when.
    private var badSince: [EndpointID: Instant] = [:]
    private var random: SeededRandom

    init(
        _ number: Int, _ cluster: SimulatedCluster, _ clients: Clients, upstreams: [ProxyUpstream], seed: UInt64, bug: SeededBug?
    ) {
        self.number = number
        self.cluster = cluster
        self.clients = clients
        self.upstreams = upstreams
        self.bug = bug
        random = SeededRandom(seed: seed)
        var settings = BalancingSettings()
        settings.policy = BalancingSettings.Policy.allCases[Int.random(in: 0..<3, using: &random)]
        settings.prefersLeaderForWrites = Bool.random(using: &random)
        settings.refreshInterval = .seconds(Int64.random(in: 2...30, using: &random))
        if Bool.random(using: &random) { settings.clusterID = cluster.options.clusterID }
        // Sometimes so little that runs reach it.
        let (share, perSecond) = Bool.random(using: &random) ? (0.2, 10) : (0.005, 0.5)
        budget = RetryBudget(share: share, perSecond: perSecond)
        ledger = RetryLedger(share: share, perSecond: perSecond, since: cluster.now)
        picker = Picker(settings, seed: random.next())
        monitor = HealthMonitor(
            settings, seeds: upstreams.map { Seed($0.address) }, seed: random.next(), now: cluster.now)
        obey()
    }

    func count(_ path: WritableKeyPath<ProxyCounts, Int>) { counts[keyPath: path] += 1 }

    // MARK: choosing

    func pick(_ kind: RequestKind, affinity: UInt64, excluding: [EndpointID]) -> EndpointID? {
        if excluding.isEmpty {
            budget.requestStarted()
            ledger.requestStarted()
        }
        return picker.pick(kind, affinity: affinity, excluding: excluding, now: cluster.now)
    }

    func upstream(_ id: EndpointID) -> ProxyUpstream? {
        guard let address = picker.endpoint(id)?.address else { return nil }
        return upstream(at: address)
    }

    private func upstream(at address: EndpointAddress) -> ProxyUpstream? {
        if let known = upstreams.first(where: { $0.address == address }) { return known }
        guard let member = cluster.members.first(where: { "m\($0.id)" == address.host }) else { return nil }
        // A member that joined: the cluster's own list told of it.
        let upstream = ProxyUpstream(cluster, member: member.id)
        upstreams.append(upstream)
        return upstream
    }

    /// Requests never go to another cluster, once it is known which one is served, nor to where they only fail while others serve.
    func checkChoice(_ upstream: ProxyUpstream, _ id: EndpointID) throws {
        let status = monitor.status(now: cluster.now)
        guard let chosen = status.first(where: { $0.id == id }) else { return }
        // One that has never answered a probe may be tried when there is nothing better.
        if let told = chosen.report?.clusterID, told != cluster.options.clusterID,
            monitor.pinnedCluster == cluster.options.clusterID
        {
            throw Violation("proxy-foreign", "a request goes to \(upstream.address), which belongs to another cluster")
        }
        guard chosen.standing == .serving, streaks[id, default: 0] >= Self.longestStreak else { return }
        throw Violation("proxy-failing", "a request goes to \(upstream.address), where \(streaks[id] ?? 0) in a row failed")
    }

    /// Calls that can go on elsewhere do not stay where nobody should be, when somebody else serves. Looked at once a second.
    func checkStays() throws {
        let status = monitor.status(now: cluster.now)
        for endpoint in status {
            let isBad = endpoint.standing == .down || endpoint.standing == .forbidden
            guard isBad, monitor.isServing else {
                badSince[endpoint.id] = nil
                continue
            }
            let since = badSince[endpoint.id] ?? cluster.now
            badSince[endpoint.id] = since
            guard cluster.now - since > .seconds(2) else { continue }
            if let call = calls.first(where: { $0.endpoint == endpoint.id && $0.kind.repeats == .always }) {
                throw Violation("proxy-stays", "\(call) stays at \(endpoint.address), which is \(endpoint.standing.name)")
            }
        }
    }

    func mayRetry() -> Bool {
        let isAllowed = budget.mayRetry(now: cluster.now)
        return isAllowed || bug == .proxyIgnoresBudget
    }

    /// A second attempt is made at once.
    func retried() throws {
        counts.retries += 1
        try ledger.retried(now: cluster.now)
    }

    /// How its endpoints stand, for people.
    var summary: String {
        monitor.status(now: cluster.now).map { endpoint in
            "\(endpoint.address) \(endpoint.standing.name), \(upstream(at: endpoint.address).map { "\($0.temper)" } ?? "nobody")"
        }.joined(separator: "; ")
    }

    // MARK: calls

    func opened(_ call: ProxyCall) {
        counts.calls += 1
        calls.append(call)
    }

    func closed(_ call: ProxyCall) { calls.removeAll { $0 === call } }

    func began(_ id: EndpointID) { picker.began(id) }

    func finished(_ attempt: ProxyAttempt, _ outcome: Outcome) {
        attempts.append(attempt)
        picker.finished(attempt.endpoint, outcome, latency: cluster.now - attempt.began, now: cluster.now)
        if outcome == .succeeded {
            successes[attempt.endpoint, default: 0] += 1
            streaks[attempt.endpoint] = 0
        } else if outcome.isFailure {
            counts.failures += 1
            streaks[attempt.endpoint, default: 0] += 1
            if bug == .proxyBelievesProbes { return }
            monitor.requestFailed(
                attempt.endpoint, successesBefore: successes.removeValue(forKey: attempt.endpoint) ?? 0, now: cluster.now)
            obey()
        }
    }

    /// Its process is gone: sometimes every connection is told, sometimes the machine with it.
    func memberEnded(_ member: SimulatedMember) {
        guard let upstream = upstreams.first(where: { $0.member == member.id }) else { return }
        upstream.isUnplugged = Int.random(in: 0..<3, using: &random) == 0
        guard !upstream.isUnplugged else { return }
        for attempt in calls.compactMap(\.attempt) where attempt.member === member {
            cluster.schedule(after: upstream.delay) { try attempt.end(.lost, .connectionLost) }
        }
    }

    /// More than half of the endpoints belong to the cluster, so that is the one that is served.
    func checkCluster() throws {
        let own = monitor.status(now: cluster.now).count { $0.report?.clusterID == cluster.options.clusterID }
        guard own * 2 > monitor.status(now: cluster.now).count, monitor.pinnedCluster != cluster.options.clusterID else { return }
        throw Violation("proxy-foreign", "cluster \(monitor.pinnedCluster ?? 0) is served, where most endpoints are of another")
    }

    func memberStarted(_ member: SimulatedMember) { upstreams.first { $0.member == member.id }?.isUnplugged = false }

    /// Breaks reference cycles of what may still have been on its way.
    func close() {
        for call in calls { call.abandon() }
        for attempt in attempts { attempt.forget() }
        attempts = []
    }

    /// What an operator does for a proxy that knows nobody of the cluster any more: all its endpoints were replaced before it asked for the
    /// list again, or a list of the past was the last it got.
    func nameMembersIfLost() {
        guard let members = cluster.leaders.first?.published?.status.membership.members.map(\.id) else { return }
        let addresses = members.map { ProxyUpstream(cluster, member: $0).address }
        guard !monitor.status(now: cluster.now).contains(where: { addresses.contains($0.address) }) else { return }
        monitor.seedsChanged(addresses.map { Seed($0) }, now: cluster.now)
        obey()
    }

    // MARK: health

    private func obey() {
        for effect in monitor.takeEffects() { carryOut(effect) }
        guard let next = monitor.nextWakeUp, wake.map({ next < $0 }) ?? true else { return }
        wake = next
        cluster.schedule(at: next) { [weak self] in
            guard let self, wake == next else { return }
            wake = nil
            monitor.advance(now: cluster.now)
            obey()
        }
    }

    private func carryOut(_ effect: HealthEffect) {
        switch effect {
        case .probe(let id, let address, let timeout): probe(id, address, timeout)
        case .listMembers(let id, let address): listMembers(id, address)
        case .publish(let view): picker.update(bug == .proxyTakesForeign ? BugSwitches.allowingForeign(view) : view)
        case .leave(let id, let reason):
            if bug == .proxyStaysAtHung { return }
            counts.left += 1
            // The loops are told by way of their own threads.
            cluster.schedule(after: Instant.Span(nanoseconds: 20_000)) { [weak self] in
                for call in self?.calls ?? [] where call.endpoint == id { try call.endpointLeft(reason) }
            }
        case .remove(let id): successes[id] = nil
        case .store: break
        case .note(let event):
            cluster.say { [number] in "proxy \(number): \(event)" }
            if case .standingChanged(let address, _, .serving, _) = event {
                for endpoint in monitor.status(now: cluster.now) where endpoint.address == address { streaks[endpoint.id] = 0 }
            }
        }
    }

    private func probe(_ id: EndpointID, _ address: EndpointAddress, _ timeout: Instant.Span) {
        counts.probes += 1
        guard let upstream = upstream(at: address) else {
            return report(id, .failed(.unresolved, detail: "no such host"), after: .milliseconds(1))
        }
        let way = Instant.Span(nanoseconds: upstream.delay.nanoseconds * 2)
        if upstream.refuses { return report(id, .failed(.refused, detail: "connection refused"), after: way) }
        guard way < timeout, !upstream.isSilent else {
            return report(id, .failed(.timedOut, detail: "no answer"), after: timeout)
        }
        report(id, answer(of: upstream).map { .answered($0) } ?? .failed(.refused, detail: "connection reset"), after: way)
    }

    private func report(_ id: EndpointID, _ result: ProbeResult, after span: Instant.Span) {
        cluster.schedule(after: span) { [weak self] in
            guard let self else { return }
            monitor.probeFinished(id, result, now: cluster.now)
            obey()
        }
    }

    private func answer(of upstream: ProxyUpstream) -> ProbeReport? {
        guard let published = upstream.backing?.published else { return nil }
        let status = published.status
        var report = ProbeReport()
        report.clusterID = upstream.temper == .foreign ? 0xbad : status.clusterID
        // Bad ones are nobody's second address, or they would be dropped as such.
        report.memberID = upstream.member ?? 0xbad0_0000 + UInt64(upstream.address.host.utf8.last ?? 0)
        report.leaderID = upstream.temper == .pretending ? report.memberID : status.leader
        report.raftTerm = status.term
        let isOutdated = upstream.temper == .outdated
        report.revision = isOutdated ? 1 : published.view.currentRevision
        report.appliedIndex = isOutdated ? 1 : status.appliedIndex
        report.isLearner = status.isLearner
        return report
    }

    private var founders: [MemberID] { (1...cluster.options.founders).map { MemberID($0) } }

    private func listMembers(_ id: EndpointID, _ address: EndpointAddress) {
        var listing: MemberListing?
        if let upstream = upstream(at: address), !upstream.isSilent, !upstream.refuses, upstream.temper != .unavailable {
            listing = upstream.backing?.published.map { published in
                // Those of the past are the founders.
                let isOld = upstream.temper == .mislisting
                let ids = isOld ? founders : published.status.membership.members.map(\.id)
                return MemberListing(
                    clusterID: published.status.clusterID,
                    members: ids.map { id in
                        MemberListing.Member(
                            id: id,
                            clientAddresses: [EndpointAddress(scheme: .http, host: "m\(id)", port: EndpointAddress.defaultPort)])
                    })
            }
        }
        cluster.schedule(after: .milliseconds(2)) { [weak self] in
            guard let self else { return }
            monitor.membersListed(listing, by: id, now: cluster.now)
            obey()
        }
    }
}

/// What proxies did in a run.
public struct ProxyCounts: Equatable, Sendable {
    public var calls = 0
    public var retries = 0
    public var failures = 0
    public var probes = 0
    /// Endpoints left for a reason.
    public var left = 0
    /// Streams of watches that went on at another member.
    public var moves = 0
    /// Lies about watches found out.
    public var outOfStep = 0
    public var writes = 0
    public var renewals = 0
    public var watchEvents = 0
}

/// Holds a proxy to its retry budget: attempts made at once after a failed one, over any stretch from the beginning.
final class RetryLedger {
    private let share: Double
    private let perSecond: Double
    private let since: Instant
    private var requests = 0
    private var retries = 0

    init(share: Double, perSecond: Double, since: Instant) {
        self.share = share
        self.perSecond = perSecond
        self.since = since
    }

    func requestStarted() { requests += 1 }

    func retried(now: Instant) throws {
        retries += 1
        let saved = perSecond * 10 + share * 1_000
        let earned = share * Double(requests) + perSecond * (now - since).seconds
        guard Double(retries) <= saved + earned + 1 else {
            throw Violation("proxy-budget", "\(retries) retries after \(requests) requests in \((now - since).seconds) s")
        }
    }
}
