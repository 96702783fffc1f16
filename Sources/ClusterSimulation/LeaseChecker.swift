import Host
import Raft

/// Leases end no earlier than was promised. Only what clients were told counts as a promise: a grant or a renewal holds from the
/// moment its request was sent. When they end at the latest is ``RemainingTimeChecker``'s to tell.
final class LeaseChecker {
    private struct Promise {
        var since: Instant
        let ttl: Int64
    }

    private var promises: [Int64: Promise] = [:]
    /// Requests of grants not in the log yet, with the time they were sent.
    private var asked: [UInt64: Instant] = [:]
    /// Clocks may run this much fast; 100 for not at all.
    var fastestPercent: Int64 = 100
    /// The last time a member's clock leapt, which ends leases early and nobody can help it.
    var lastLeap: Instant?
    private(set) var expirations = 0
    let times: RemainingTimeChecker

    init(electionTimeout: Instant.Span) { times = RemainingTimeChecker(electionTimeout: electionTimeout) }

    func asked(_ requestID: UInt64, at time: Instant) { asked[requestID] = time }

    func granted(_ id: Int64, ttl: Int64, requestID: UInt64, now: Instant) {
        times.granted(id, ttl: ttl, now: now)
        guard let since = asked.removeValue(forKey: requestID) else { return }
        promises[id] = Promise(since: since, ttl: ttl)
    }

    func renewed(_ id: Int64, asked time: Instant, now: Instant) {
        times.renewed(id, now: now)
        guard let promise = promises[id], time > promise.since else { return }
        promises[id]?.since = time
    }

    func revokedByClient(_ id: Int64, now: Instant) throws {
        promises[id] = nil
        try times.ended(id, now: now)
    }

    func ended(_ id: Int64, now: Instant) throws {
        expirations += 1
        try times.ended(id, now: now)
        guard let promise = promises.removeValue(forKey: id) else { return }
        let lived = now - promise.since
        let due = Instant.Span(nanoseconds: promise.ttl * 1_000_000_000 * 100 / fastestPercent)
        if let lastLeap, lastLeap >= promise.since { return }
        guard lived >= due else {
            throw Violation("lease-early", "lease \(id) of \(promise.ttl) s ended after \(lived.seconds) s")
        }
    }
}
