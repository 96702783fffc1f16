import Balancing
import HTTP2
import Host
import LinuxHost
import NIOCore
import NIOPosix
import ProxyTransport
import Synchronization
import Telemetry

/// Runs the ``HealthMonitor`` on an event loop of its own: does what it wants, and tells it what happened.
final class HealthShell: HealthListener {
    /// What only the shell's own loop touches.
    private final class Confined {
        var monitor: HealthMonitor
        let prober: Prober
        var timer: DelayedCall?
        var timerAt: Instant?
        var isStopped = false
        /// Effects not performed yet: what one of them causes at once comes after those that were there before.
        var effects: [HealthEffect] = []
        var isPerforming = false

        init(_ monitor: HealthMonitor, _ prober: Prober) {
            self.monitor = monitor
            self.prober = prober
        }
    }

    let eventLoop: any EventLoop
    private let confined: NIOLoopBound<Confined>
    private let balancers: [NIOLoopBound<LoopBalancer>]
    private let log: Log
    private let metrics: ProxyMetrics
    private let store: @Sendable (KnownCluster) -> Void
    private let settings: BalancingSettings

    /// Call it on `eventLoop`.
    init(
        eventLoop: any EventLoop, monitor: HealthMonitor, settings: BalancingSettings, prober: Prober,
        balancers: [NIOLoopBound<LoopBalancer>], log: Log, metrics: ProxyMetrics,
        store: @escaping @Sendable (KnownCluster) -> Void
    ) {
        self.eventLoop = eventLoop
        self.settings = settings
        confined = NIOLoopBound(Confined(monitor, prober), eventLoop: eventLoop)
        self.balancers = balancers
        self.log = log
        self.metrics = metrics
        self.store = store
    }

    // MARK: From any thread

    /// Fulfilled when every balancer knows the endpoints: a client that was waiting for the listener needs one at once.
    func start() -> EventLoopFuture<Void> {
        eventLoop.flatSubmit { [self] in
            apply { _, _ in }
            return EventLoopFuture.andAllSucceed(balancers.map { $0.eventLoop.submit {} }, on: eventLoop)
        }
    }

    func requestFailed(_ id: EndpointID, _ outcome: Outcome, successesBefore: Int) {
        change { $0.requestFailed(id, successesBefore: successesBefore, now: $1) }
    }

    func suspected(_ id: EndpointID) { change { $0.suspect(id, now: $1) } }

    func seedsChanged(_ seeds: [Seed]) { change { $0.seedsChanged(seeds, now: $1) } }

    /// How all endpoints are, and which cluster is served.
    func overview() -> EventLoopFuture<HealthOverview> {
        eventLoop.submit { [self] in
            let monitor = confined.value.monitor
            return HealthOverview(
                endpoints: monitor.status(now: SystemClock.now()), clusterID: monitor.pinnedCluster,
                lastRefresh: monitor.lastRefresh.map { SystemClock.now() - $0 })
        }
    }

    func stop() -> EventLoopFuture<Void> {
        eventLoop.submit { [self] in
            confined.value.isStopped = true
            confined.value.timer?.cancel()
        }
    }

    private func change(_ body: @escaping @Sendable (inout HealthMonitor, Instant) -> Void) {
        if eventLoop.inEventLoop { return apply(body) }
        eventLoop.execute { self.apply(body) }
    }

    // MARK: On the shell's loop

    private func apply(_ body: (inout HealthMonitor, Instant) -> Void) {
        guard !confined.value.isStopped else { return }
        let now = SystemClock.now()
        body(&confined.value.monitor, now)
        confined.value.monitor.advance(now: now)
        confined.value.effects += confined.value.monitor.takeEffects()
        performEffects()
        schedule(now)
    }

    private func performEffects() {
        let state = confined.value
        guard !state.isPerforming else { return }
        state.isPerforming = true
        defer { state.isPerforming = false }
        while !state.effects.isEmpty {
            let effects = state.effects
            state.effects = []
            for effect in effects { perform(effect) }
        }
    }

    private func schedule(_ now: Instant) {
        let state = confined.value
        guard let next = state.monitor.nextWakeUp, next != state.timerAt || state.timer == nil else { return }
        state.timer?.cancel()
        state.timerAt = next
        state.timer = DelayedCall(eventLoop, .nanoseconds(max(0, (next - now).nanoseconds))) { [self] in
            confined.value.timer = nil
            apply { _, _ in }
        }
    }

    private func perform(_ effect: HealthEffect) {
        switch effect {
        case .probe(let id, let address, let timeout): probe(id, address, timeout)
        case .listMembers(let id, let address): listMembers(id, address)
        case .publish(let view):
            onEachLoop { $0.update(view) }
            for endpoint in view.endpoints {
                let counters = metrics.endpoint(endpoint.address.description)
                counters.serving.set(endpoint.standing == .serving)
                counters.standing.set(Int64(endpoint.standing.rawValue))
            }
        case .leave(let id, let reason): onEachLoop { $0.leave(id, reason) }
        case .remove(let id): onEachLoop { $0.remove(id) }
        case .store(let known): store(known)
        case .note(let event): note(event)
        }
    }

    private func onEachLoop(_ body: @escaping @Sendable (LoopBalancer) -> Void) {
        for balancer in balancers { balancer.eventLoop.execute { body(balancer.value) } }
    }

    private func probe(_ id: EndpointID, _ address: EndpointAddress, _ timeout: Instant.Span) {
        let started = SystemClock.now()
        let limit = Duration.nanoseconds(timeout.nanoseconds)
        confined.value.prober.probe(address, timeout: limit).assumeIsolated().whenComplete { [self] outcome in
            let result: ProbeResult
            switch outcome {
            case .success(let found): result = found
            case .failure(let error): result = .failed(.garbled, detail: "\(error)")
            }
            let counters = metrics.endpoint(address.description)
            if case .answered = result {
                counters.probesPassed.increment()
                counters.probeLatency.observe((SystemClock.now() - started).seconds)
            } else {
                counters.probesFailed.increment()
            }
            guard case .failed(.timedOut, _) = result else { return apply { $0.probeFinished(id, result, now: $1) } }
            lastHeard(id).assumeIsolated().whenComplete { [self] heard in
                let latest = (try? heard.get()) ?? nil
                apply { $0.probeFinished(id, result, lastHeard: latest, now: $1) }
            }
        }
    }

    /// When any event loop last got something from the endpoint.
    private func lastHeard(_ id: EndpointID) -> EventLoopFuture<Instant?> {
        let asked = balancers.map { balancer in balancer.eventLoop.submit { balancer.value.lastHeard(id) } }
        return EventLoopFuture.whenAllSucceed(asked, on: eventLoop).map { $0.compactMap { $0 }.max() }
    }

    private func listMembers(_ id: EndpointID, _ address: EndpointAddress) {
        confined.value.prober.members(address, timeout: .seconds(5)).assumeIsolated().whenComplete { [self] outcome in
            let listing = try? outcome.get()
            metrics.refreshes.labelled(listing == nil ? "failure" : "success").increment()
            apply { $0.membersListed(listing, by: id, now: $1) }
        }
    }

    private func note(_ event: HealthEvent) {
        switch event {
        case .standingChanged(let address, let old, let new, let reason):
            let fields: KeyValuePairs<String, LogValue> = [
                "endpoint": .string(address.description), "was": .string(old.name), "is": .string(new.name),
                "reason": .string(reason),
            ]
            if new == .serving { log.info("an endpoint serves", fields) } else { log.warn("an endpoint does not serve", fields) }
        case .ejected(let address, let length):
            metrics.endpoint(address.description).ejections.increment()
            log.warn(
                "an endpoint is left alone because requests failed",
                ["endpoint": .string(address.description), "for": .duration(.nanoseconds(length.nanoseconds))])
        case .added(let address): log.info("a new endpoint", ["endpoint": .string(address.description)])
        case .removed(let address):
            confined.value.prober.forget(address)
            log.info("an endpoint is gone", ["endpoint": .string(address.description)])
        case .clusterPinned(let id): log.info("forwarding to one cluster", ["cluster-id": .string(String(id, radix: 16))])
        case .clusterChanged(let old, let new):
            log.warn(
                "all endpoints are in another cluster: forwarding to that one",
                ["was": .string(String(old, radix: 16)), "is": .string(String(new, radix: 16))])
        case .refreshRefused(let reason): log.warn("a list of endpoints was not taken over", ["reason": .string(reason)])
        }
    }
}

/// How the endpoints are, for pages.
struct HealthOverview: Sendable {
    let endpoints: [EndpointStatus]
    let clusterID: UInt64?
    /// Since the last member list that was taken over.
    let lastRefresh: Instant.Span?

    var isServing: Bool { endpoints.contains { $0.standing == .serving } }
}
