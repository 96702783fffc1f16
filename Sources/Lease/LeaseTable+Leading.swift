import Host

/// What renewing a lease came to.
public enum LeaseRenewal: Equatable, Sendable {
    /// It lives this many seconds from now.
    case renewed(ttl: Int64)
    /// A checkpoint, in the log or on its way there, says how little of it was left: a later leader would let it end by that.
    /// Propose a checkpoint of 0, and renew once that is applied; until then the renewal must not be confirmed.
    case checkpointed
    /// Its time is up and its revocation under way. Whether it is gone shows when the revocation is applied, or when this member
    /// stops leading.
    case ending
    /// Leases do not end here, so they cannot be renewed here; not yet, where this member has just been elected.
    case notLeading
    case notFound
}

/// How fast a leader may have leases revoked: 500 in half a second, as etcd, so that many ends at once do not fill the log.
struct RevocationRate: Sendable {
    static let window = Instant.Span.milliseconds(500)
    static let countPerWindow = 500

    private var windowEnd = Instant(nanoseconds: 0)
    private var left = 0

    mutating func allowance(_ now: Instant) -> Int {
        if now >= windowEnd {
            windowEnd = now + RevocationRate.window
            left = RevocationRate.countPerWindow
        }
        return left
    }

    mutating func spend(_ count: Int) { left -= count }

    /// The moment from `wanted` on at which there is an allowance again.
    func next(from wanted: Instant) -> Instant { left > 0 ? wanted : max(wanted, windowEnd) }
}

/// What only the leader does: leases end, and are renewed.
extension LeaseTable {
    /// A revocation that was asked for is asked for again after this long, as the proposal may have been lost (etcd's
    /// `defaultExpiredleaseRetryInterval`).
    static let retryInterval = Instant.Span.seconds(3)
    /// Ends that a new leader lets fall within one second: three quarters of the revocation rate, so that leases that end later
    /// find room.
    static let endsPerSecond = 750

    /// From now on leases end here. Each gets its whole time, or what its last checkpoint left of it, and `extend` on top, as
    /// the leader before may have renewed it up to its last moment. Where too many would end within a second, some end later.
    public mutating func promote(now: Instant, extend: Instant.Span) {
        isLeading = true
        var ends = leases.map { Deadline(at: now.after(seconds: $0.secondsLeft, and: extend), id: $0.id) }.sorted()
        for later in ends.indices.dropFirst(LeaseTable.endsPerSecond) {
            let earliest = ends[later - LeaseTable.endsPerSecond].at.after(seconds: 1)
            if ends[later].at < earliest { ends[later] = Deadline(at: earliest, id: ends[later].id) }
        }
        for end in ends {
            let place = places[end.id]!
            leases[place].expiry = end.at
            leases[place].revocation = end.at
        }
        rebuildRevocations()
        scheduleAllCheckpoints(now: now)
    }

    /// From now on no lease ends here.
    public mutating func demote() {
        guard isLeading else { return }
        isLeading = false
        revocations = DeadlineQueue()
        checkpoints = DeadlineQueue()
        for place in leases.indices {
            leases[place].expiry = nil
            leases[place].revocation = nil
            leases[place].queuedRevocation = nil
            leases[place].checkpoint = nil
            leases[place].queuedCheckpoint = nil
            leases[place].isBeingWritten = false
        }
    }

    /// Starts a lease's whole time anew.
    public mutating func renewal(of id: Int64, now: Instant) -> LeaseRenewal {
        guard isLeading else { return .notLeading }
        guard let place = places[id] else { return .notFound }
        if let expiry = leases[place].expiry, expiry <= now { return .ending }
        if leases[place].remainingTTL > 0 || leases[place].isBeingWritten { return .checkpointed }
        start(at: place, now: now)
        return .renewed(ttl: leases[place].ttl)
    }

    /// Up to `limit` leases that have ended, earliest first, no faster than may be: to be revoked through the log. One that is
    /// not gone by then comes up again after three seconds.
    public mutating func expired(now: Instant, limit: Int) -> [Int64] {
        guard isLeading else { return [] }
        let limit = min(limit, revocationRate.allowance(now))
        var ended: [Int64] = []
        while ended.count < limit, let first = revocations.first, first.at <= now {
            _ = revocations.removeFirst()
            guard let place = places[first.id], leases[place].queuedRevocation == first.at else { continue }
            // Renewed since it was queued, it takes its turn where it belongs now.
            if leases[place].revocation == first.at {
                ended.append(first.id)
                leases[place].revocation = now + LeaseTable.retryInterval
            }
            let next = leases[place].revocation!
            leases[place].queuedRevocation = next
            revocations.insert(Deadline(at: next, id: first.id))
        }
        revocationRate.spend(ended.count)
        return ended
    }

    /// Leases that came up, but whose revocation cannot be asked for now, come up again shortly.
    public mutating func postponeRevocations(of ids: [Int64], now: Instant) {
        for id in ids {
            guard isLeading, let place = places[id] else { continue }
            queueRevocation(at: place, now + RevocationRate.window)
        }
        sweepQueues()
    }

    /// When to look for expired leases or due checkpoints next; nil when there will be none. It may be early, never late:
    /// renewals do not move it.
    public var nextWake: Instant? {
        guard isLeading else { return nil }
        let wakes = [revocations.first.map { revocationRate.next(from: $0.at) }, writesCheckpoints ? checkpoints.first?.at : nil]
        return wakes.compactMap(\.self).min()
    }

    /// Gives a lease its whole time from now.
    mutating func start(at place: Int, now: Instant) {
        let end = now.after(seconds: leases[place].ttl)
        leases[place].expiry = end
        queueRevocation(at: place, end)
        scheduleCheckpoint(at: place, due: now + leases[place].firstCheckpointInterval)
    }

    private mutating func queueRevocation(at place: Int, _ time: Instant) {
        leases[place].revocation = time
        // Queued earlier already, it will be queued anew when it surfaces.
        guard leases[place].queuedRevocation.map({ time < $0 }) ?? true else { return }
        leases[place].queuedRevocation = time
        revocations.insert(Deadline(at: time, id: leases[place].id))
    }

    /// Queues every lease at its revocation, and drops what is left of leases that are gone.
    private mutating func rebuildRevocations() {
        var deadlines: [Deadline] = []
        deadlines.reserveCapacity(leases.count)
        for place in leases.indices {
            guard let revocation = leases[place].revocation else { continue }
            leases[place].queuedRevocation = revocation
            deadlines.append(Deadline(at: revocation, id: leases[place].id))
        }
        revocations = DeadlineQueue(deadlines)
    }

    /// Keeps the queues within a small multiple of the leases.
    mutating func sweepQueues() {
        // Nobody looks at the checkpoints of no leases, and what is left of them would be due again and again.
        if leases.isEmpty { (revocations, checkpoints) = (DeadlineQueue(), DeadlineQueue()) }
        if revocations.count > 2 * leases.count + 64 { rebuildRevocations() }
        if checkpoints.count > 2 * leases.count + 64 { rebuildCheckpoints() }
    }
}

extension LeaseTable.Lease {
    /// What a new leader grants: whole seconds.
    var secondsLeft: Int64 { remainingTTL > 0 ? remainingTTL : ttl }
}
