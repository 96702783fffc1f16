import Host

extension LeaseTable {
    /// As ``renewal(of:now:)``, without telling apart why a lease is not renewed, and without waiting for its checkpoint to be
    /// cleared.
    public mutating func renew(_ id: Int64, now: Instant) throws(LeaseRefusal) -> (ttl: Int64, clearsCheckpoint: Bool) {
        switch renewal(of: id, now: now) {
        case .renewed(let ttl): return (ttl, false)
        case .checkpointed:
            let place = places[id]!
            start(at: place, now: now)
            return (leases[place].ttl, true)
        case .ending, .notLeading, .notFound: throw .notFound
        }
    }

    public mutating func checkpoint(id: Int64, remainingTTL: Int64, now: Instant) throws(LeaseRefusal) {
        applyCheckpoint(id, remainingTTL: remainingTTL)
    }
}
