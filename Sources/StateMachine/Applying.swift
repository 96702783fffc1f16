import Backend
import Bytes
import EtcdAPI
import Host
import MVCC
import Membership
import Raft
import Records

/// The outcome of one applied entry.
public struct Applied: Sendable {
    /// The id its proposer waits for; 0 when nobody can.
    public var requestID: UInt64 = 0
    /// The number of the request's field in InternalRaftRequest, 0 for a bare v2 request; nil when nothing was applied to the store.
    public var request: Int?
    public var reply: ApplyReply?
    public var effects: [ApplyEffect] = []
    /// Seconds a lease was granted for.
    public var grantedTTL: Int64?

    public init() {}
}

extension StateMachine {
    /// Applies a committed normal entry. Entries up to ``appliedIndex`` have been applied to the store before a restart:
    /// of those only membership is taken.
    public func apply(_ entry: Entry, now: Instant) throws(ApplyFailure) -> Applied {
        var applied = Applied()
        if entry.data.isEmpty {
            advance(entry.index, entry.term)
            return applied
        }
        guard let request = try decode(entry) else {
            try applyBareV2(entry, &applied)
            applied.request = 0
            advance(entry.index, entry.term)
            return applied
        }
        applied.requestID = request.id != 0 ? request.id : request.header?.id ?? 0
        if entry.index > appliedIndex { applied.request = request.request?.field }
        if try applyVersions(request, entry, &applied) {
            advance(entry.index, entry.term)
            return applied
        }
        if entry.index <= appliedIndex { return applied }
        appliedTerm = entry.term
        let wasEnabled = authentication.isEnabled
        applied.reply = try reply(to: request, of: entry, now: now, &applied.effects)
        if authentication.isEnabled != wasEnabled { applied.effects.append(.authenticationSwitched) }
        if let grant = request.leaseGrant, case .response? = applied.reply { applied.grantedTTL = grant.ttl }
        if request.leaseCheckpoint != nil { applied.effects.append(.remainingTimesWritten) }
        if applied.reply == nil {
            throw .entry(UnappliableEntry(index: entry.index, reason: "a request of unknown kind: field \(request.unknownField)"))
        }
        if case .refused(.noSpace)? = applied.reply, !alarms.isRaised(.nospace) { applied.effects.append(.raiseNoSpace) }
        advance(entry.index, entry.term)
        return applied
    }

    private func reply(
        to request: InternalRaftRequest, of entry: Entry, now: Instant, _ effects: inout [ApplyEffect]
    ) throws(ApplyFailure) -> ApplyReply? {
        if alarms.isRaised(.corrupt), request.isStoppedByCorruption { return .refused(.corrupt) }
        if let refusal = refusal(of: request) { return .refused(refusal) }
        do throws(AuthenticationGap) {
            if let reply = try authenticationReply(to: request) { return reply }
        } catch {
            throw .entry(
                UnappliableEntry(index: entry.index, reason: "a password in the clear, as only etcd 3.4 and older propose it"))
        }
        do throws(StoreError) { return try reply(to: request, now: now, &effects) } catch { throw .store(error) }
    }

    func advance(_ index: UInt64, _ term: UInt64) {
        if index > appliedIndex {
            appliedIndex = index
            appliedTerm = term
        }
    }

    /// nil when the entry is one of the bare v2 requests, which do not parse as an InternalRaftRequest.
    private func decode(_ entry: Entry) throws(ApplyFailure) -> InternalRaftRequest? {
        entry.data.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            return try? InternalRaftRequest(decoding: &reader)
        }
    }

    private func applyBareV2(_ entry: Entry, _ applied: inout Applied) throws(ApplyFailure) {
        do throws(UnappliableEntry) {
            guard let request = try? V2Request(decoding: entry.data) else {
                throw UnappliableEntry(index: entry.index, reason: "neither a v3 request nor a v2 one")
            }
            applied.effects = try applyV2(request, index: entry.index)
            applied.requestID = request.id
            applied.reply = .response([])
        } catch {
            throw .entry(error)
        }
    }

    /// Requests that change membership and versions; true when it was one.
    private func applyVersions(
        _ request: InternalRaftRequest, _ entry: Entry, _ applied: inout Applied
    ) throws(ApplyFailure) -> Bool {
        let isNew = entry.index > appliedIndex
        if let set = request.clusterVersionSet {
            guard let version = try? ClusterVersion(parsing: set.ver) else {
                throw .entry(UnappliableEntry(index: entry.index, reason: "cluster version \"\(set.ver)\""))
            }
            _ = changeMembership(stored: isNew) { $0.setClusterVersion(version) }
            applied.effects.append(.clusterVersionChanged)
            applied.reply = .response([])
        } else if let set = request.clusterMemberAttrSet {
            _ = changeMembership(stored: isNew) {
                $0.setAttributes(
                    set.memberID, name: set.memberAttributes?.name ?? "", clientURLs: set.memberAttributes?.clientUrls ?? [])
            }
            applied.reply = .response([])
        } else if let set = request.downgradeInfoSet {
            _ = changeMembership(stored: isNew) {
                $0.setDowngrade(DowngradeRecord(targetVersion: set.enabled ? set.ver : "", isEnabled: set.enabled))
            }
            applied.reply = .response([])
        } else {
            return false
        }
        return true
    }

    /// nil when the request holds nothing this release knows.
    private func reply(
        to request: InternalRaftRequest, now: Instant, _ effects: inout [ApplyEffect]
    ) throws(StoreError) -> ApplyReply? {
        if let put = request.put { return try self.put(put) }
        if let transaction = request.txn { return try self.transaction(transaction) }
        if let delete = request.deleteRange { return try deleteRange(delete) }
        if let range = request.range { return try self.range(range) }
        if let compaction = request.compaction { return try compact(compaction) }
        if let grant = request.leaseGrant { return self.grant(grant, now: now) }
        if let revoke = request.leaseRevoke { return try self.revoke(revoke) }
        if let checkpoint = request.leaseCheckpoint { return self.checkpoint(checkpoint) }
        if let alarm = request.alarm { return self.alarm(alarm, &effects) }
        return nil
    }

    private func range(_ request: RangeRequest) throws(StoreError) -> ApplyReply {
        var reader = try store.liveReader()
        scratch.removeAll(keepingAtMost: 1 << 20)
        do throws(StoreError) {
            try RangeQuery(request).encode(header: header, from: &reader, current: store.currentRevision, into: &scratch)
        } catch .compacted {
            return .refused(.compacted)
        } catch .futureRevision {
            return .refused(.futureRevision)
        }
        return .response(scratch.array())
    }

    private func compact(_ request: CompactionRequest) throws(StoreError) -> ApplyReply {
        do throws(StoreError) { try store.compact(at: request.revision) } catch .compacted {
            return .refused(.compacted)
        } catch .futureRevision {
            return .refused(.futureRevision)
        }
        return respond { CompactionResponse(header: header).encode(into: &$0) }
    }
}

extension InternalRaftRequest {
    /// While somebody's data is known to be corrupt nothing changes keys or ends leases, on any member alike: etcd's corrupt applier
    /// refuses these and no others. Renewals, checkpoints, alarms, users and membership go on.
    fileprivate var isStoppedByCorruption: Bool {
        put != nil || txn != nil || deleteRange != nil || range != nil || compaction != nil || leaseGrant != nil
            || leaseRevoke != nil
    }
}

/// Why an entry could not be applied; final for the member.
public enum ApplyFailure: Error, Equatable, Sendable {
    case entry(UnappliableEntry)
    case store(StoreError)
}
