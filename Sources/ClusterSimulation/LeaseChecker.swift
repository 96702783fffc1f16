import Host
import Raft

/// Leases end no earlier than was promised, and do end. Only what clients were told counts as a promise: a grant or a renewal
/// holds from the moment its request was sent. Once the cluster is healed a lease that nobody renews ends soon after its time, which a
/// new leader may begin anew.
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
    /// When somebody last began to lead, and since when the cluster has been whole.
    private var newestTerm: Term = 0
    private var lastElection: Instant?
    private var healedAt: Instant?
    /// The last renewal a leader answered, for each lease; also those nobody counts as a promise.
    private var lastTouched: [Int64: Instant] = [:]

    /// Clocks may run a twentieth slow, and what is due takes its way through the log.
    private static let slack = Instant.Span.seconds(4)

    func leads(_ member: MemberID, _ term: Term, now: Instant) {
        guard term > newestTerm else { return }
        newestTerm = term
        lastElection = now
    }

    func healed(now: Instant) { healedAt = now }

    func asked(_ requestID: UInt64, at time: Instant) { asked[requestID] = time }

    func granted(_ id: Int64, ttl: Int64, requestID: UInt64, now: Instant) {
        lastTouched[id] = now
        guard let since = asked.removeValue(forKey: requestID) else { return }
        promises[id] = Promise(since: since, ttl: ttl)
    }

    func renewed(_ id: Int64, asked time: Instant, now: Instant) {
        lastTouched[id] = now
        guard let promise = promises[id], time > promise.since else { return }
        promises[id]?.since = time
    }

    func revokedByClient(_ id: Int64) { promises[id] = nil }

    /// - Parameter ttl: seconds it was granted.
    func ended(_ id: Int64, ttl: Int64, now: Instant) throws {
        expirations += 1
        try checkLate(id, ttl, now)
        guard let promise = promises.removeValue(forKey: id) else { return }
        let lived = now - promise.since
        let due = Instant.Span(nanoseconds: promise.ttl * 1_000_000_000 * 100 / fastestPercent)
        if let lastLeap, lastLeap >= promise.since { return }
        guard lived >= due else {
            throw Violation("lease-early", "lease \(id) of \(promise.ttl) s ended after \(lived.seconds) s")
        }
    }

    private func checkLate(_ id: Int64, _ ttl: Int64, _ now: Instant) throws {
        guard let healedAt, let lastElection, let touched = lastTouched[id] else { return }
        let since = max(healedAt, lastElection, touched)
        let limit = Instant.Span(nanoseconds: ttl * 1_000_000_000 * 106 / 100 + LeaseChecker.slack.nanoseconds)
        guard now - since <= limit else {
            throw Violation("lease-late", "lease \(id) of \(ttl) s ends \((now - since).seconds) s after it began anew")
        }
    }
}
