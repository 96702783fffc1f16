import Bytes
import Host

/// Why a lease request in the log is refused.
public enum LeaseRefusal: Error, Equatable, Sendable {
    case notFound
    case exists
    case timeToLiveTooLarge
}

/// What is known of one lease at a moment.
public struct LeaseState: Equatable, Sendable {
    public let id: Int64
    /// Seconds it was granted for.
    public let ttl: Int64
    /// Until it ends, negative once that has passed; its whole time on a member that does not lead.
    public let remaining: Instant.Span
}

/// All leases, and the keys attached to them.
///
/// Which leases exist, for how long they were granted, and what their last checkpoint left of that is replicated: it changes by
/// applied entries only, and ``takeChanges()`` carries it to the `lease` bucket. When they end is the leader's business alone: a
/// follower lets none end, and a new leader gives each its time anew (etcd's lessor, server/lease).
public struct LeaseTable: Sendable {
    /// Seconds; etcd's bound, about 285 years.
    public static let largestTTL: Int64 = 9_000_000_000

    struct Lease: Sendable {
        let id: Int64
        let ttl: Int64
        /// Seconds left as of the last checkpoint; none was written, or it was cleared, where it is not positive.
        var remainingTTL: Int64 = 0
        /// When it ends; nil while this member does not lead.
        var expiry: Instant?
        /// When its revocation is to be asked for: at its end, then again and again until it is gone.
        var revocation: Instant?
        /// Where the queue of revocations holds it. Renewals move the revocation on and leave the queue alone.
        var queuedRevocation: Instant?
        /// When its remaining time is to be written down, and where the queue of checkpoints holds it.
        var checkpoint: Instant?
        var queuedCheckpoint: Instant?
        /// A checkpoint is on its way through the log.
        var isBeingWritten = false
        var keys: Set<[UInt8]> = []
    }

    /// Seconds; shorter grants are raised to this.
    public let smallestTTL: Int64
    /// Without gaps and in no order that means anything.
    var leases: [Lease] = []
    /// Where each lease is, by id.
    var places: [Int64: Int] = [:]
    private var owners: [[UInt8]: Int64] = [:]
    var changes: [LeaseChange] = []
    var revocations = DeadlineQueue()
    var revocationRate = RevocationRate()
    var checkpoints = DeadlineQueue()
    /// Leases that a checkpoint left less than their whole time.
    var checkpointedCount = 0
    /// Whether leases end here: true from ``promote(now:extend:)`` to ``demote()``.
    public internal(set) var isLeading = false
    /// Whether a leader has remaining times written down. What became due meanwhile is written once this is turned on.
    public var writesCheckpoints = false
    /// Whether checkpoints go into the bucket: Go's members store them from cluster version 3.6 on.
    public var storesRemainingTTL = false

    /// The shortest lease is one and a half election timeouts: counted in heartbeats, rounded down, as etcd counts it, and then
    /// in seconds, rounded up.
    public init(electionTimeout: Instant.Span, heartbeatInterval: Instant.Span = .milliseconds(100)) {
        precondition(heartbeatInterval.nanoseconds > 0, "heartbeats take time")
        let ticks = electionTimeout.nanoseconds / heartbeatInterval.nanoseconds * 3 / 2
        smallestTTL = LeaseTable.wholeSeconds(ticks * heartbeatInterval.nanoseconds)
    }

    public var count: Int { leases.count }
    public var isEmpty: Bool { leases.isEmpty }
    public func contains(_ id: Int64) -> Bool { places[id] != nil }

    /// Grants a lease for `ttl` seconds, or for the shortest time there is; the answer tells the seconds really given.
    ///
    /// An id of 0 names no lease: whoever proposes a grant without one chooses it.
    public mutating func grant(id: Int64, ttl: Int64, now: Instant) throws(LeaseRefusal) -> LeaseState {
        if id == 0 { throw .notFound }
        if ttl > LeaseTable.largestTTL { throw .timeToLiveTooLarge }
        if places[id] != nil { throw .exists }
        let lease = Lease(id: id, ttl: max(ttl, smallestTTL))
        add(lease)
        store(lease)
        if isLeading { start(at: leases.count - 1, now: now) }
        return LeaseState(id: id, ttl: lease.ttl, remaining: .seconds(lease.ttl))
    }

    /// Forgets a lease; returns its keys in ascending order, to be deleted in one transaction.
    public mutating func revoke(_ id: Int64) throws(LeaseRefusal) -> [[UInt8]] {
        guard let place = places.removeValue(forKey: id) else { throw .notFound }
        leases.swapAt(place, leases.count - 1)
        let lease = leases.removeLast()
        if lease.remainingTTL > 0 { checkpointedCount -= 1 }
        if place < leases.count { places[leases[place].id] = place }
        for key in lease.keys { owners[key] = nil }
        storeRemoval(of: id)
        sweepQueues()
        return lease.keys.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// Attaches a key to a lease, 0 for none, and takes it from the one it had. A lease that does not exist is none.
    public mutating func move(_ key: [UInt8], to id: Int64) {
        if id == 0, owners.isEmpty { return }
        if let old = owners[key] {
            if old == id { return }
            if let place = places[old] { leases[place].keys.remove(key) }
            owners[key] = nil
        }
        guard id != 0, let place = places[id] else { return }
        leases[place].keys.insert(key)
        owners[key] = id
    }

    /// The lease a key is attached to; 0 for none.
    public func owner(of key: [UInt8]) -> Int64 { owners[key] ?? 0 }

    /// The keys of a lease in ascending order.
    public func keys(of id: Int64) -> [[UInt8]] {
        guard let place = places[id] else { return [] }
        return leases[place].keys.sorted { $0.lexicographicallyPrecedes($1) }
    }

    public func lease(_ id: Int64, now: Instant) -> LeaseState? {
        guard let place = places[id] else { return nil }
        let lease = leases[place]
        return LeaseState(id: id, ttl: lease.ttl, remaining: lease.expiry.map { $0 - now } ?? .seconds(lease.ttl))
    }

    /// Ids by when they end, those that end together by id; by id on a member that does not lead.
    public func list(now: Instant) -> [Int64] {
        let ordered = leases.map { Deadline(at: $0.expiry ?? now, id: $0.id) }.sorted()
        return ordered.map(\.id)
    }

    mutating func add(_ lease: Lease) {
        places[lease.id] = leases.count
        leases.append(lease)
        if lease.remainingTTL > 0 { checkpointedCount += 1 }
    }

    /// Whole seconds that hold a length of time.
    static func wholeSeconds(_ nanoseconds: Int64) -> Int64 {
        nanoseconds / 1_000_000_000 + (nanoseconds % 1_000_000_000 > 0 ? 1 : 0)
    }
}
