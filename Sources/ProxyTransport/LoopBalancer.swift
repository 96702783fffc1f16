import Balancing
import Host
import NIOCore
import Telemetry

/// Hears on any thread what event loops find out about endpoints.
public protocol HealthListener: AnyObject, Sendable {
    /// A request failed, after so many on the same endpoint and event loop that succeeded.
    func requestFailed(_ id: EndpointID, _ outcome: Outcome, successesBefore: Int)
    /// An answer is late.
    func suspected(_ id: EndpointID)
}

/// Told, on its event loop, when endpoints are to be left.
public protocol EndpointObserver: AnyObject {
    /// Move streams and connections off the endpoint: there is a better one, and the balancer has stopped choosing this one.
    func endpointLeft(_ id: EndpointID, _ reason: LeaveReason)
    /// The endpoint will not be chosen again: forget its connections once they are empty.
    func endpointRemoved(_ id: EndpointID)
}

/// Chooses endpoints for one event loop and hears how they did. Confined to that loop; nothing here locks, and only failures cause a
/// hop to another thread.
public final class LoopBalancer {
    public let eventLoop: any EventLoop
    /// Writes are refused.
    public let isReadOnly: Bool
    private var picker: Picker
    private var budget: RetryBudget
    private let listener: any HealthListener
    private let metrics: ProxyMetrics
    /// Those of the view, in its order, and of some that are gone.
    private var records: [EndpointRecord] = []
    private var lastSuspicion: [EndpointID: NIODeadline] = [:]
    private var observers: [WeakObserver] = []

    private struct EndpointRecord {
        let id: EndpointID
        let metrics: EndpointMetrics
        /// Since the last failure.
        var successes = 0
    }

    private struct WeakObserver { weak var value: (any EndpointObserver)? }

    public init(
        eventLoop: any EventLoop, settings: BalancingSettings, budget: RetryBudget, isReadOnly: Bool, seed: UInt64,
        metrics: ProxyMetrics, listener: any HealthListener
    ) {
        self.eventLoop = eventLoop
        self.isReadOnly = isReadOnly
        self.budget = budget
        self.listener = listener
        self.metrics = metrics
        picker = Picker(settings, seed: seed)
    }

    private var now: Instant { Instant(nanoseconds: eventLoop.now.uptimeNanoseconds) }

    // MARK: Choosing

    /// The endpoint for one request, or nil when every one that suits is in `excluding`: nothing is left to try.
    public func pick(_ kind: RequestKind, affinity: UInt64? = nil, excluding: [EndpointID] = []) -> EndpointID? {
        if excluding.isEmpty { budget.requestStarted() }
        return picker.pick(kind, affinity: affinity, excluding: excluding, now: now)
    }

    /// The endpoint for the first attempt of a request that came together with others, until ``endBurst()``.
    /// - Parameter time: the present, which the caller has just looked at.
    func pickInBurst(_ kind: RequestKind, at time: Instant) -> EndpointID? {
        budget.requestStarted()
        return picker.pickInBurst(kind, now: time)
    }

    func endBurst() { picker.endBurst() }

    /// Whether such a request could go somewhere else.
    func hasAnother(than id: EndpointID, _ kind: RequestKind) -> Bool { picker.pick(kind, excluding: [id], now: now) != nil }

    /// Call once for each retry, before it: false when too much is retried already.
    public func mayRetry() -> Bool {
        let isAllowed = budget.mayRetry(now: now)
        if isAllowed { metrics.retries.increment() } else { metrics.retriesRefused.increment() }
        return isAllowed
    }

    /// A connection goes to a further endpoint because nothing was sent to the first: the budget has no say in that.
    func countRetry() { metrics.retries.increment() }

    /// No endpoint was left for a request.
    public func countWithoutEndpoint() { metrics.requestsWithoutEndpoint.increment() }

    /// New requests of some kind would go there: a kept connection may be used again.
    public func isUsable(_ id: EndpointID) -> Bool { picker.isUsable(id) }

    /// nil once the endpoint is gone.
    public func address(of id: EndpointID) -> EndpointAddress? { picker.endpoint(id)?.address }

    /// When something last came from the endpoint.
    public func lastHeard(_ id: EndpointID) -> Instant? { picker.lastHeard(id) }

    /// As the last probe saw it.
    public func memberID(of id: EndpointID) -> UInt64? { picker.endpoint(id)?.memberID }

    // MARK: Outcomes

    public func began(_ id: EndpointID) {
        picker.began(id)
        if let index = index(of: id) { records[index].metrics.inFlight.add(1) }
    }

    /// Exactly once for each ``began(_:)``.
    /// - Parameter latency: from the request to the first byte of the answer.
    public func finished(_ id: EndpointID, _ outcome: Outcome, latency: Duration? = nil) {
        picker.finished(id, outcome, latency: latency.map { Instant.Span($0) }, now: now)
        if let index = index(of: id) {
            let metrics = records[index].metrics
            metrics.inFlight.add(-1)
            if outcome == .succeeded, let latency { metrics.latency.observeSeconds(latency) }
        }
        count(id, outcome)
    }

    /// The first byte of an answer is here, of something that goes on.
    func answered(_ id: EndpointID, latency: Duration) {
        picker.observe(id, latency: Instant.Span(latency), now: now)
        if let index = index(of: id) { records[index].metrics.latency.observeSeconds(latency) }
    }

    public func countBytes(_ id: EndpointID, sent: Int, received: Int) {
        if received > 0 { picker.heard(id, now: now) }
        guard let index = index(of: id) else { return }
        if sent > 0 { records[index].metrics.sentBytes.increment(by: UInt64(sent)) }
        if received > 0 { records[index].metrics.receivedBytes.increment(by: UInt64(received)) }
    }

    private func index(of id: EndpointID) -> Int? { records.firstIndex { $0.id == id } }

    /// A failure of something that was not begun, such as an attempt to connect.
    public func failed(_ id: EndpointID, _ outcome: Outcome) { count(id, outcome) }

    private func count(_ id: EndpointID, _ outcome: Outcome) {
        var successesBefore = 0
        if let index = index(of: id) {
            let metrics = records[index].metrics
            let counter = outcome == .succeeded ? metrics.succeeded : outcome.isFailure ? metrics.failed : metrics.abandoned
            counter.increment()
            if outcome == .succeeded { records[index].successes += 1 }
            if outcome.isFailure { swap(&successesBefore, &records[index].successes) }
        }
        // Last: whoever hears of it may hand in a view with other endpoints.
        if outcome.isFailure { listener.requestFailed(id, outcome, successesBefore: successesBefore) }
    }

    /// An answer is late: has the endpoint looked at now, at most ten times a second.
    public func suspect(_ id: EndpointID) {
        let now = eventLoop.now
        if let last = lastSuspicion[id], now - last < .milliseconds(100) { return }
        lastSuspicion[id] = now
        listener.suspected(id)
    }

    // MARK: From the health monitor, on this loop

    public func update(_ view: BalancingView) {
        // Those of an endpoint that is gone are kept while something of it may be in flight.
        let gone = records.filter { old in !view.endpoints.contains { $0.id == old.id } }
        let there = view.endpoints.map { endpoint in
            records.first { $0.id == endpoint.id }
                ?? EndpointRecord(id: endpoint.id, metrics: metrics.endpoint(endpoint.address.description))
        }
        records = there + gone.suffix(16)
        picker.update(view)
    }

    public func leave(_ id: EndpointID, _ reason: LeaveReason) {
        for observer in observers { observer.value?.endpointLeft(id, reason) }
    }

    public func remove(_ id: EndpointID) {
        lastSuspicion[id] = nil
        for observer in observers { observer.value?.endpointRemoved(id) }
    }

    /// The observer is not kept alive.
    public func observe(_ observer: any EndpointObserver) {
        observers.removeAll { $0.value == nil }
        observers.append(WeakObserver(value: observer))
    }

    public func stopObserving(_ observer: any EndpointObserver) {
        observers.removeAll { $0.value == nil || $0.value === observer }
    }
}
