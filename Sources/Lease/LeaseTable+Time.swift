import Host

/// What only the leader does: leases end, are renewed, and have their remaining time written down.
extension LeaseTable {
    /// From now on leases end here. Each gets its whole time, or what its last checkpoint left, and `extend` on top, because the
    /// old leader may have renewed it last; where many would end within a second they are spread.
    public mutating func promote(now: Instant, extend: Instant.Span) {
        isLeader = true
        deadlines.removeAll()
        checkpoints.removeAll()
        for id in leases.keys.sorted() { refresh(id, now: now + extend) }
        spread()
    }

    public mutating func demote() {
        guard isLeader else { return }
        isLeader = false
        deadlines.removeAll()
        checkpoints.removeAll()
        for id in leases.keys {
            leases[id]!.expiry = nil
            leases[id]!.nextCheckpoint = nil
            leases[id]!.revokedUntil = nil
        }
    }

    private mutating func spread() {
        guard leases.count > LeaseTable.endsPerSecond else { return }
        let ordered = leases.map { (expiry: $0.value.expiry!, id: $0.key) }
            .sorted { ($0.expiry.nanoseconds, $0.id) < ($1.expiry.nanoseconds, $1.id) }
        // No second may hold more ends than the rate; later leases are pushed behind the ones before them.
        let gap = Instant.Span(nanoseconds: 1_000_000_000 / Int64(LeaseTable.endsPerSecond))
        var earliest = ordered[0].expiry
        for item in ordered {
            let expiry = max(item.expiry, earliest)
            if expiry != item.expiry { setExpiry(item.id, expiry) }
            earliest = expiry + gap
        }
    }

    /// Starts a lease's whole time anew.
    ///
    /// - Returns: the seconds it lives from now, and whether a checkpoint of it has to be cleared through the log, because a
    ///   later leader would otherwise grant only what the checkpoint left.
    public mutating func renew(_ id: Int64, now: Instant) throws(LeaseRefusal) -> (ttl: Int64, clearsCheckpoint: Bool) {
        guard isLeader, let lease = leases[id] else { throw .notFound }
        // One that has ended is being revoked: to renew it would promise what will not be kept.
        if let expiry = lease.expiry, expiry <= now { throw .notFound }
        setExpiry(id, now + .seconds(lease.ttl))
        scheduleCheckpoint(id, now: now, secondsLeft: lease.ttl)
        return (lease.ttl, lease.remainingTTL > 0)
    }

    mutating func refresh(_ id: Int64, now: Instant) {
        guard let lease = leases[id] else { return }
        let seconds = lease.remainingTTL > 0 ? lease.remainingTTL : lease.ttl
        setExpiry(id, now + .seconds(seconds))
        scheduleCheckpoint(id, now: now, secondsLeft: seconds)
    }

    private mutating func setExpiry(_ id: Int64, _ expiry: Instant) {
        leases[id]!.expiry = expiry
        leases[id]!.revokedUntil = nil
        deadlines.insert(expiry, id, live: leases.count) { self.leases[$1]?.expiry == $0 }
    }

    private mutating func scheduleCheckpoint(_ id: Int64, now: Instant, secondsLeft: Int64) {
        guard Instant.Span.seconds(secondsLeft) > LeaseTable.checkpointInterval else {
            leases[id]!.nextCheckpoint = nil
            return
        }
        let at = now + LeaseTable.checkpointInterval
        leases[id]!.nextCheckpoint = at
        checkpoints.insert(at, id, live: leases.count) { self.leases[$1]?.nextCheckpoint == $0 }
    }

    /// Up to `limit` leases that have ended and whose revocation is not on its way, earliest first.
    public mutating func expired(now: Instant, limit: Int) -> [Int64] {
        guard isLeader else { return [] }
        var ended: [Int64] = []
        while ended.count < limit, let first = deadlines.first, first.at <= now {
            deadlines.removeFirst()
            guard let lease = leases[first.id], let expiry = lease.expiry, expiry <= now else { continue }
            if expiry != first.at, lease.revokedUntil != first.at { continue }
            let again = now + LeaseTable.retryInterval
            leases[first.id]!.revokedUntil = again
            deadlines.insert(again, first.id, live: leases.count) { at, id in
                self.leases[id].map { $0.expiry == at || $0.revokedUntil == at } ?? false
            }
            ended.append(first.id)
        }
        return ended
    }

    /// Remaining seconds to write down now, at most `limit` leases.
    public mutating func dueCheckpoints(now: Instant, limit: Int) -> [(id: Int64, remainingTTL: Int64)] {
        guard isLeader else { return [] }
        var due: [(id: Int64, remainingTTL: Int64)] = []
        while due.count < limit, let first = checkpoints.first, first.at <= now {
            checkpoints.removeFirst()
            guard let lease = leases[first.id], lease.nextCheckpoint == first.at, let expiry = lease.expiry else { continue }
            let left = (expiry - now).nanoseconds
            guard left > 0 else { continue }
            due.append((first.id, (left + 999_999_999) / 1_000_000_000))
            scheduleCheckpoint(first.id, now: now, secondsLeft: left / 1_000_000_000)
        }
        return due
    }

    /// Applies a checkpoint: what a later leader grants from. 0 means the whole time again.
    public mutating func checkpoint(id: Int64, remainingTTL: Int64, now: Instant) throws(LeaseRefusal) {
        guard leases[id] != nil else { return }
        leases[id]!.remainingTTL = min(max(remainingTTL, 0), leases[id]!.ttl)
        if storesRemainingTTL { store(id) }
    }

    /// When the next lease ends or is due for a checkpoint.
    public var nextWake: Instant? {
        guard isLeader else { return nil }
        return [deadlines.first?.at, checkpoints.first?.at].compactMap(\.self).min()
    }
}
