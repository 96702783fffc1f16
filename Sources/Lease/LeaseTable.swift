import Bytes
import Host

/// Why a lease request is refused.
public enum LeaseRefusal: Error, Equatable, Sendable {
    case notFound
    case exists
    case timeToLiveTooLarge
}

/// A change of the `lease` bucket.
public enum LeaseChange: Equatable, Sendable {
    case put(key: [UInt8], value: [UInt8])
    case delete(key: [UInt8])
}

/// What is known of one lease at a moment.
public struct LeaseState: Equatable, Sendable {
    public let id: Int64
    /// Seconds it was granted for.
    public let ttl: Int64
    /// Until it ends; meaningful on the leader only.
    public let remaining: Instant.Span
}

/// All leases, and the keys attached to them. Which exist is replicated; when they end is the leader's business alone:
/// a follower lets none end, and a new leader gives each its whole time again, or what a checkpoint left of it.
public struct LeaseTable: Sendable {
    /// etcd's bound, about 285 years.
    public static let largestTTL: Int64 = 9_000_000_000
    /// Leases with more than this left get their remaining time written down this often.
    static let checkpointInterval = Instant.Span.seconds(5 * 60)
    /// A lease whose revocation was proposed is proposed again after this long.
    static let retryInterval = Instant.Span.seconds(3)
    /// Leases that may end in one second before a new leader spreads them (three quarters of etcd's revoke rate).
    static let endsPerSecond = 750

    struct Lease: Sendable {
        var ttl: Int64
        /// Seconds left as of the last checkpoint; 0 when there was none.
        var remainingTTL: Int64 = 0
        /// nil while this member does not lead.
        var expiry: Instant?
        var nextCheckpoint: Instant?
        var keys: Set<[UInt8]> = []
        /// Its revocation is on its way until then.
        var revokedUntil: Instant?
    }

    /// Shorter grants are raised to this: one and a half election timeouts, in whole seconds.
    public let smallestTTL: Int64
    var leases: [Int64: Lease] = [:]
    private var owners: [[UInt8]: Int64] = [:]
    var deadlines = DeadlineHeap()
    var checkpoints = DeadlineHeap()
    var isLeader = false
    private var changes: [LeaseChange] = []
    /// Whether remaining times are written to the bucket: Go's members do so from cluster version 3.6 on.
    public var storesRemainingTTL = false

    public init(electionTimeout: Instant.Span) {
        smallestTTL = (electionTimeout.nanoseconds * 3 / 2 + 999_999_999) / 1_000_000_000
    }

    public var count: Int { leases.count }
    public var isEmpty: Bool { leases.isEmpty }
    public func contains(_ id: Int64) -> Bool { leases[id] != nil }

    /// Grants a lease; the answer tells the seconds really given.
    public mutating func grant(id: Int64, ttl: Int64, now: Instant) throws(LeaseRefusal) -> LeaseState {
        if id == 0 { throw .notFound }
        if ttl > LeaseTable.largestTTL { throw .timeToLiveTooLarge }
        if leases[id] != nil { throw .exists }
        leases[id] = Lease(ttl: max(ttl, smallestTTL))
        if isLeader { refresh(id, now: now) }
        store(id)
        return LeaseState(id: id, ttl: leases[id]!.ttl, remaining: .seconds(leases[id]!.ttl))
    }

    /// Forgets a lease; returns its keys in ascending order, to be deleted in one transaction.
    public mutating func revoke(_ id: Int64) throws(LeaseRefusal) -> [[UInt8]] {
        guard let lease = leases.removeValue(forKey: id) else { throw .notFound }
        for key in lease.keys { owners[key] = nil }
        changes.append(.delete(key: LeaseTable.key(id)))
        return lease.keys.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// Attaches a key to a lease, 0 for none, and takes it from the one it had.
    public mutating func move(_ key: [UInt8], to id: Int64) {
        if id == 0, owners.isEmpty { return }
        if let old = owners[key] {
            if old == id { return }
            leases[old]?.keys.remove(key)
            owners[key] = nil
        }
        guard id != 0, leases[id] != nil else { return }
        leases[id]!.keys.insert(key)
        owners[key] = id
    }

    /// The keys of a lease in ascending order.
    public func keys(of id: Int64) -> [[UInt8]] {
        (leases[id]?.keys ?? []).sorted { $0.lexicographicallyPrecedes($1) }
    }

    public func lease(_ id: Int64, now: Instant) -> LeaseState? {
        guard let lease = leases[id] else { return nil }
        let remaining = lease.expiry.map { $0 - now } ?? .seconds(lease.ttl)
        return LeaseState(id: id, ttl: lease.ttl, remaining: remaining)
    }

    /// Ids by when they end, those that end together by id.
    public func list(now: Instant) -> [Int64] {
        leases.sorted { a, b in
            (a.value.expiry?.nanoseconds ?? 0, a.key) < (b.value.expiry?.nanoseconds ?? 0, b.key)
        }.map(\.key)
    }

    /// Changes of the bucket since the last call.
    public mutating func takeChanges() -> [LeaseChange] {
        defer { changes.removeAll() }
        return changes
    }

    mutating func store(_ id: Int64) {
        guard let lease = leases[id] else { return }
        var writer = ByteWriter(capacity: 32)
        writer.field(1, id)
        writer.field(2, lease.ttl)
        writer.field(3, storesRemainingTTL ? lease.remainingTTL : 0)
        changes.append(.put(key: LeaseTable.key(id), value: writer.array()))
    }

    /// Reads a record of the `lease` bucket (leasepb.Lease: ID 1, TTL 2, RemainingTTL 3).
    public mutating func restore(_ record: UnsafeRawBufferPointer) throws(DecodeError) {
        var id: Int64 = 0
        var lease = Lease(ttl: 0)
        var reader = ByteReader(record)
        while let tag = try reader.nextTag() {
            switch tag.field {
            case 1: id = try reader.int64(tag)
            case 2: lease.ttl = try reader.int64(tag)
            case 3: lease.remainingTTL = try reader.int64(tag)
            default: try reader.skip(tag)
            }
        }
        guard id != 0 else { throw .invalid("a lease without id") }
        lease.ttl = min(max(lease.ttl, smallestTTL), LeaseTable.largestTTL)
        lease.remainingTTL = min(max(lease.remainingTTL, 0), lease.ttl)
        leases[id] = lease
    }

    private static func key(_ id: Int64) -> [UInt8] {
        var writer = ByteWriter(capacity: 8)
        writer.appendBigEndian(id)
        return writer.array()
    }
}
