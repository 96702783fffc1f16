import Host

/// Remaining times, written down now and then, so that a change of leaders does not give every lease its whole time again.
extension LeaseTable {
    /// Leases with more than this left have it written down this often.
    static let checkpointInterval: Int64 = 5 * 60

    /// Remaining seconds to write down now, at most `limit` leases, earliest first (etcd puts up to 1,000 into one entry).
    public mutating func dueCheckpoints(now: Instant, limit: Int) -> [(id: Int64, remainingTTL: Int64)] {
        guard isLeading, writesCheckpoints else { return [] }
        var due: [(id: Int64, remainingTTL: Int64)] = []
        while due.count < limit, let first = checkpoints.first, first.at <= now {
            _ = checkpoints.removeFirst()
            guard let place = places[first.id], leases[place].queuedCheckpoint == first.at else { continue }
            leases[place].queuedCheckpoint = nil
            let left = LeaseTable.wholeSeconds((leases[place].expiry! - now).nanoseconds)
            if left <= 0 { continue }
            // What has just been renewed, or was extended by a new leader, has all its time left: nothing worth writing down.
            if left < leases[place].ttl { due.append((first.id, left)) }
            scheduleCheckpoint(at: place, now: now, secondsLeft: left)
        }
        return due
    }

    /// Applies a checkpoint: the seconds a later leader grants; 0 stands for the whole time again. Unknown leases are skipped.
    public mutating func applyCheckpoint(_ id: Int64, remainingTTL: Int64) {
        guard let place = places[id] else { return }
        setRemaining(at: place, remainingTTL)
        if storesRemainingTTL { store(leases[place]) }
    }

    mutating func scheduleCheckpoint(at place: Int, now: Instant, secondsLeft: Int64) {
        guard writesCheckpoints, leases[place].queuedCheckpoint == nil, secondsLeft > LeaseTable.checkpointInterval else {
            return
        }
        let at = now.after(seconds: LeaseTable.checkpointInterval)
        leases[place].queuedCheckpoint = at
        checkpoints.insert(Deadline(at: at, id: leases[place].id))
    }

    /// A new leader counts from its promotion.
    mutating func scheduleAllCheckpoints(now: Instant) {
        guard writesCheckpoints else { return }
        let at = now.after(seconds: LeaseTable.checkpointInterval)
        for place in leases.indices {
            let isLong = leases[place].secondsLeft > LeaseTable.checkpointInterval
            leases[place].queuedCheckpoint = isLong ? at : nil
        }
        rebuildCheckpoints()
    }

    mutating func rebuildCheckpoints() {
        checkpoints = DeadlineQueue(
            leases.compactMap { lease in lease.queuedCheckpoint.map { Deadline(at: $0, id: lease.id) } })
    }
}
