import Host

/// Remaining times, written down now and then, so that a change of leaders does not give every lease its whole time again.
///
/// etcd writes them every five minutes, so that an election gives shorter leases their whole time. Here the pace follows the time
/// granted: the first is due after two fifths of it, which a client that renews every third, as etcd's own does, never lets come;
/// from then on every eighth, for the lease is evidently left to end. Neither within a second, nor later than after five minutes.
extension LeaseTable {
    static let shortestCheckpointInterval = Instant.Span.seconds(1)
    static let longestCheckpointInterval = Instant.Span.seconds(5 * 60)

    /// Remaining seconds to write down now, at most `limit` leases, earliest first (etcd puts up to 1,000 into one entry).
    public mutating func dueCheckpoints(now: Instant, limit: Int) -> [(id: Int64, remainingTTL: Int64)] {
        guard isLeading, writesCheckpoints else { return [] }
        var due: [(id: Int64, remainingTTL: Int64)] = []
        while due.count < limit, let first = checkpoints.first, first.at <= now {
            _ = checkpoints.removeFirst()
            guard let place = places[first.id], leases[place].queuedCheckpoint == first.at else { continue }
            leases[place].queuedCheckpoint = nil
            guard let at = leases[place].checkpoint else { continue }
            // Renewed since it was queued, it takes its turn where it belongs now.
            if at > now {
                scheduleCheckpoint(at: place, due: at)
            } else if let item = checkpoint(at: place, now: now) {
                due.append(item)
            }
        }
        return due
    }

    /// Before another member takes over the lead: what is left of all leases whose clients are not about to renew them.
    public mutating func checkpointsBeforeHandover(now: Instant) -> [(id: Int64, remainingTTL: Int64)] {
        guard isLeading, writesCheckpoints else { return [] }
        var written: [(id: Int64, remainingTTL: Int64)] = []
        for place in leases.indices {
            guard leases[place].remainingTTL > 0 || leases[place].firstCheckpoint.map({ $0 <= now }) ?? false else { continue }
            if let item = checkpoint(at: place, now: now) { written.append(item) }
        }
        return written.sorted { $0.id < $1.id }
    }

    /// Applies a checkpoint: the seconds a later leader grants; 0 stands for the whole time again. Unknown leases are skipped.
    public mutating func applyCheckpoint(_ id: Int64, remainingTTL: Int64) {
        guard let place = places[id] else { return }
        setRemaining(at: place, remainingTTL)
        leases[place].isBeingWritten = false
        if storesRemainingTTL { store(leases[place]) }
        // Its time went on passing here: it is written down again as soon as may be.
        if isLeading, remainingTTL <= 0, let due = leases[place].firstCheckpoint { scheduleCheckpoint(at: place, due: due) }
    }

    /// What is left of a lease now, if that is worth writing down, and when to look at it again.
    private mutating func checkpoint(at place: Int, now: Instant) -> (id: Int64, remainingTTL: Int64)? {
        guard let expiry = leases[place].expiry, expiry > now else {
            leases[place].checkpoint = nil
            return nil
        }
        let left = LeaseTable.wholeSeconds((expiry - now).nanoseconds)
        scheduleCheckpoint(at: place, due: now + leases[place].laterCheckpointInterval)
        // Extended by a new leader it may have all its time left.
        guard left < leases[place].ttl else { return nil }
        leases[place].isBeingWritten = true
        return (leases[place].id, left)
    }

    mutating func scheduleCheckpoint(at place: Int, due: Instant) {
        guard let expiry = leases[place].expiry, due < expiry else {
            leases[place].checkpoint = nil
            return
        }
        leases[place].checkpoint = due
        // Queued earlier already, it will be queued anew when it surfaces.
        if leases[place].queuedCheckpoint.map({ due < $0 }) ?? true {
            leases[place].queuedCheckpoint = due
            checkpoints.insert(Deadline(at: due, id: leases[place].id))
        }
    }

    /// A new leader counts from its promotion.
    mutating func scheduleAllCheckpoints(now: Instant) {
        checkpoints = DeadlineQueue()
        for place in leases.indices {
            let lease = leases[place]
            let due = now + (lease.remainingTTL > 0 ? lease.laterCheckpointInterval : lease.firstCheckpointInterval)
            leases[place].checkpoint = lease.expiry.map { due < $0 } ?? false ? due : nil
        }
        rebuildCheckpoints()
    }

    /// Queues every lease at its next checkpoint, and drops what is left of leases that are gone.
    mutating func rebuildCheckpoints() {
        for place in leases.indices { leases[place].queuedCheckpoint = leases[place].checkpoint }
        checkpoints = DeadlineQueue(
            leases.compactMap { lease in lease.checkpoint.map { Deadline(at: $0, id: lease.id) } })
    }
}

extension LeaseTable.Lease {
    /// After a grant or a renewal.
    var firstCheckpointInterval: Instant.Span { interval(2, 5) }
    /// After a checkpoint.
    var laterCheckpointInterval: Instant.Span { interval(1, 8) }

    /// When the first is due, counted from the grant or renewal that its end follows from; nil where it does not end.
    var firstCheckpoint: Instant? {
        expiry.map { end in
            let whole = UInt64(boundedTTL) * 1_000_000_000
            return Instant(nanoseconds: end.nanoseconds - min(whole, end.nanoseconds)) + firstCheckpointInterval
        }
    }

    private var boundedTTL: Int64 { max(0, min(ttl, LeaseTable.largestTTL)) }

    private func interval(_ numerator: Int64, _ denominator: Int64) -> Instant.Span {
        let part = Instant.Span.milliseconds(boundedTTL * 1000 / denominator * numerator)
        return max(LeaseTable.shortestCheckpointInterval, min(LeaseTable.longestCheckpointInterval, part))
    }
}
