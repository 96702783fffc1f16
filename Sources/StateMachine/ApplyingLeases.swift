import Backend
import Bytes
import EtcdAPI
import Host
import Lease
import MVCC

extension StateMachine {
    func grant(_ request: LeaseGrantRequest, now: Instant) -> ApplyReply {
        if alarms.isRaised(.nospace) { return .refused(.noSpace) }
        let fits = hasRoom(for: Quota.leaseOverhead)
        do throws(LeaseRefusal) {
            let lease = try leases.grant(id: request.id, ttl: request.ttl, now: now)
            counts.leasesGranted += 1
            storeLeases()
            guard fits else { return .refused(.noSpace) }
            return respond { LeaseGrantResponse(header: header, id: request.id, ttl: lease.ttl).encode(into: &$0) }
        } catch {
            return .refused(StateMachine.error(of: error))
        }
    }

    /// Deletes the lease and, in one transaction, every key attached to it.
    func revoke(_ request: LeaseRevokeRequest) throws(StoreError) -> ApplyReply {
        do throws(LeaseRefusal) {
            let keys = try leases.revoke(request.id)
            var transaction = WriteTransaction(store)
            for key in keys { _ = transaction.delete(KeyRange(key: key, rangeEnd: [])) }
            transaction.finish()
            counts.deletes += UInt64(keys.count)
            if keys.count > 1 { counts.transactions += 1 }
            counts.leasesRevoked += 1
            storeLeases()
        } catch {
            return .refused(StateMachine.error(of: error))
        }
        return respond { LeaseRevokeResponse(header: header).encode(into: &$0) }
    }

    /// Gives leases what was left of them at the last stop, if nothing was written since; returns what it was. `lastIndex`: of the log.
    public func takeRemainders(lastIndex: UInt64) -> [LeaseRemainders.Item] {
        guard let stored = storedRemainders else { return [] }
        storedRemainders = nil
        store.delete(.meta, key: MetaKey.leaseRemainders)
        guard stored.index == appliedIndex, stored.index == lastIndex else { return [] }
        leases.take(stored.items)
        return stored.items
    }

    func checkpoint(_ request: LeaseCheckpointRequest) -> ApplyReply {
        leases.storesRemainingTTL = membership.isAtLeast(3, 6)
        for checkpoint in request.checkpoints { leases.applyCheckpoint(checkpoint.id, remainingTTL: checkpoint.remainingTTL) }
        storeLeases()
        return respond { LeaseCheckpointResponse(header: header).encode(into: &$0) }
    }

    /// Carries the lease table's records to the `lease` bucket.
    private func storeLeases() {
        for change in leases.takeChanges() {
            switch change {
            case .put(let key, let value): store.put(.lease, key: key, value: value)
            case .delete(let key): store.delete(.lease, key: key)
            }
        }
    }

    static func error(of refusal: LeaseRefusal) -> EtcdError {
        switch refusal {
        case .notFound: .leaseNotFound
        case .exists: .leaseExist
        case .timeToLiveTooLarge: .leaseTTLTooLarge
        }
    }
}
