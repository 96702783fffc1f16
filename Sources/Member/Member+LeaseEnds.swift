import EtcdAPI
import Host
import Raft

/// A leader lets leases end: it revokes through the log those whose time is up.
///
/// Clients choose ids, and may revoke a lease and grant another one under its id. As long as both are on their way through the log,
/// the table holds the one that is about to go; what a leader writes because of that one would follow the grant in the log, and end
/// the new lease. So what concerns a lease waits while an entry behind the applied ones grants it. (etcd writes it.)
extension Member {
    /// Leases revoked through the log at a time (etcd's `maxPendingRevokes`).
    static let largestRevocationCount = 16

    /// Revocations on their way through the log.
    var pendingRevocations: Int {
        ownRequests.values.count { if case .revokeLease = $0.request { true } else { false } }
    }

    func revokeExpiredLeases(now: Instant) {
        let room = Member.largestRevocationCount - pendingRevocations
        guard room > 0 else { return }
        let expired = machine.leases.expired(now: now, limit: room)
        var postponed = Set(expired)
        for id in withoutGrantsUnderWay(expired, id: \.self) where proposeOwn(.revokeLease(id)) { postponed.remove(id) }
        if !postponed.isEmpty { machine.leases.postponeRevocations(of: expired.filter(postponed.contains), now: now) }
    }

    /// Those of `items` whose lease no entry grants that is in the log and not applied. Leaders alone know what is on its way.
    func withoutGrantsUnderWay<Item>(_ items: [Item], id: (Item) -> Int64) -> [Item] {
        guard !items.isEmpty, raft.applied < raft.lastIndex else { return items }
        var granted: Set<Int64> = []
        raft.forEachUnapplied { entry in
            guard entry.kind == .normal, let lease = InternalRaftRequest.leaseGranted(by: entry.data) else { return }
            granted.insert(lease)
        }
        return items.filter { !granted.contains(id($0)) }
    }
}
