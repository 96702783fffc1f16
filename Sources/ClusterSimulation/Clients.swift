import Bytes
import EtcdAPI
import Host
import MVCC
import Member
import Raft
import StateMachine

/// Everybody who asks the cluster for something, and what the answers must be.
///
/// Answers to requests of the log are the model's at their place in it. Their places, and what reads see, are in the order of
/// real time: after everything that had been answered when they were asked.
final class Clients {
    private enum Kind {
        case proposal(InternalRaftRequest.Request, requestID: UInt64)
        case range(RangeRequest)
        case readOnlyTransaction(TxnRequest)
        case renewal(Int64)
        case times(Int64)
        case other
    }

    private struct Pending {
        let kind: Kind
        let begun: Instant
        /// Everything up to here was answered before.
        let floorIndex: LogIndex
        let floorRevision: Int64
        let member: MemberID
    }

    private unowned let cluster: SimulatedCluster
    private let log: LogChecker
    private let leases: LeaseChecker
    private var pending: [UInt64: Pending] = [:]
    /// Who waits for an answer besides the checkers: proxies.
    private var completions: [UInt64: (MemberAnswer) -> Void] = [:]
    private var floorIndex: LogIndex = 0
    private var floorRevision: Int64 = 1
    private(set) var counts = ClientCounts()
    /// There is a quota: a write that was done may be answered with "no space" while no alarm is up yet. Told the member.
    var onShortage: ((SimulatedMember) -> Void)?
    private var knowledge: [MemberID: [Int64: (since: Instant, ttl: Int64)]] = [:]

    init(_ cluster: SimulatedCluster, _ log: LogChecker, _ leases: LeaseChecker) {
        self.cluster = cluster
        self.log = log
        self.leases = leases
    }

    // MARK: asking

    /// - Parameter completion: told how the member answers, should it do so; not for lease sessions.
    func run(_ operation: Operation, at id: MemberID, completion: ((FrontReply) -> Void)? = nil) throws {
        guard let member = cluster.runningMember(id), let process = member.process else { return }
        counts.asked += 1
        var call: UInt64?
        switch operation {
        case .propose(let request, let physical): call = propose(request, physical: physical, at: id)
        case .leaseSession(let lease, let ttl, let renewals):
            let begun = cluster.now
            propose(.leaseGrant(LeaseGrantRequest(ttl: ttl, id: lease)), physical: false, at: id)
            keepAlive(lease, ttl: ttl, renewals: renewals, from: begun)
        case .range(let request) where request.serializable:
            try check(range: request, on: process.published, floor: nil)
            counts.serializableReads += 1
        case .range(let request): call = try read(.range(request), at: id, process)
        case .readOnlyTransaction(let request): call = try read(.readOnlyTransaction(request), at: id, process)
        case .timeToLive(let lease):
            call = cluster.call(.leaseTimeToLive(lease, keys: true), on: id)
            add(.times(lease), call ?? 0, at: id)
        }
        guard let completion else { return }
        if let call { completions[call] = { completion(FrontReply($0)) } } else { completion(.done) }
    }

    /// Renews a lease at the leader; told the seconds it has again, 0 when there is no such lease, nil when nobody can say.
    func renew(_ lease: Int64, at leader: MemberID, completion: @escaping (Int64?) -> Void) {
        let call = cluster.call(.renewLease(lease), on: leader)
        add(.renewal(lease), call, at: leader)
        completions[call] = { answer in
            switch answer {
            case .leaseRenewed(let ttl): completion(ttl)
            case .refused(.leaseNotFound): completion(0)
            default: completion(nil)
            }
        }
    }

    /// Nobody waits any more.
    func forget() { completions = [:] }

    func call(_ command: MemberCommand, at id: MemberID) {
        guard cluster.runningMember(id) != nil else { return }
        add(.other, cluster.call(command, on: id), at: id)
    }

    /// A mistake to be made on purpose: who leads no longer asks to revoke what had ended by what it knew while it led.
    func revokeByOldKnowledge(_ member: SimulatedMember) {
        for (lease, known) in (knowledge[member.id] ?? [:]).sorted(by: { $0.key < $1.key }) {
            let end = known.since + Instant.Span(nanoseconds: known.ttl * 1_000_000_000)
            if end <= cluster.now { cluster.propose(.leaseRevoke(LeaseRevokeRequest(id: lease)), on: member.id) }
        }
    }

    /// What each member knows of leases from having led.
    func noteLease(_ lease: Int64, ttl: Int64, at member: MemberID) {
        knowledge[member, default: [:]][lease] = (cluster.now, ttl)
    }

    private func add(_ kind: Kind, _ call: UInt64, at id: MemberID) {
        pending[call] = Pending(
            kind: kind, begun: cluster.now, floorIndex: floorIndex, floorRevision: floorRevision, member: id)
    }

    @discardableResult
    private func propose(_ request: InternalRaftRequest.Request, physical: Bool, at id: MemberID) -> UInt64 {
        let (call, requestID) = cluster.propose(request, on: id, afterCompaction: physical)
        log.await(requestID)
        if case .leaseGrant = request { leases.asked(requestID, at: cluster.now) }
        add(.proposal(request, requestID: requestID), call, at: id)
        return call
    }

    /// As the client API does: at once where the published state is the newest there can be.
    ///
    /// - Returns: the request to the member; nil when none was needed.
    private func read(_ kind: Kind, at id: MemberID, _ process: MemberProcess) throws -> UInt64? {
        let status = process.published.status
        if status.readsAreLinearizable || cluster.options.bug == .staleRead && status.role == .leader {
            let now = Pending(kind: kind, begun: cluster.now, floorIndex: floorIndex, floorRevision: floorRevision, member: id)
            try finishRead(now, process)
            return nil
        }
        let call = cluster.call(.readIndex, on: id)
        add(kind, call, at: id)
        return call
    }

    private func keepAlive(_ lease: Int64, ttl: Int64, renewals: Int, from begun: Instant) {
        for number in 0..<renewals {
            let time = begun + Instant.Span(nanoseconds: ttl * 1_000_000_000 / 3 * Int64(number + 1))
            cluster.schedule(at: time) { [unowned self] in
                // Whoever asks goes to the leader that some member names.
                guard let leader = cluster.members.compactMap({ $0.published?.status.leader }).first(where: { $0 != 0 }),
                    cluster.runningMember(leader) != nil
                else { return }
                add(.renewal(lease), cluster.call(.renewLease(lease), on: leader), at: leader)
            }
        }
    }

    // MARK: answers

    func answered(_ call: UInt64, _ answer: MemberAnswer, _ member: SimulatedMember) throws {
        guard let pending = pending.removeValue(forKey: call), let process = member.process else {
            // What a seeded bug asks for is nobody's request.
            if cluster.options.bug == .oldLeaderRevokes { return }
            throw Violation("answers", "m\(member.id) answers request \(call) again: \(answer)")
        }
        counts.answered += 1
        switch (pending.kind, answer) {
        case (.proposal(let request, let id), .applied(let reply)): try finish(request, id, reply, pending, member)
        case (.range, .done), (.readOnlyTransaction, .done): try finishRead(pending, process)
        case (.renewal(let lease), .leaseRenewed):
            leases.renewed(lease, asked: pending.begun, now: cluster.now)
            noteLease(lease, ttl: log.model.leases[lease] ?? 0, at: member.id)
            counts.renewals += 1
        case (.times(let lease), .leaseTimes(let remaining, let granted, let keys)):
            try checkTimes(lease, remaining, granted, keys, process)
        case (_, .refused): counts.refused += 1
        default: break
        }
        completions.removeValue(forKey: call)?(answer)
    }

    private func finish(
        _ request: InternalRaftRequest.Request, _ id: UInt64, _ reply: ApplyReply, _ pending: Pending, _ member: SimulatedMember
    ) throws {
        guard let outcome = log.take(id) else {
            throw Violation("durability", "m\(member.id) acknowledged \(request), which nobody's log holds")
        }
        if let onShortage, case .refused(.noSpace) = reply, !outcome.hadAlarm {
            onShortage(member)
            counts.refused += 1
            return
        }
        if let difference = outcome.reply.difference(to: reply, revision: outcome.revision) {
            throw Violation("linearizability", "\(request) at \(outcome.index): \(difference)")
        }
        guard outcome.index > pending.floorIndex else {
            throw Violation(
                "linearizability", "\(request) is at \(outcome.index), after the answer to what is at \(pending.floorIndex)")
        }
        guard outcome.revision >= pending.floorRevision else {
            throw Violation(
                "linearizability", "\(request) led to revision \(outcome.revision), after \(pending.floorRevision) was seen")
        }
        floorIndex = max(floorIndex, outcome.index)
        floorRevision = max(floorRevision, outcome.revision)
        counts.acknowledged += 1
    }

    private func finishRead(_ pending: Pending, _ process: MemberProcess) throws {
        let published = cluster.options.bug == .viewBeforeIndex ? process.publishedBefore : process.published
        guard published.view.currentRevision >= pending.floorRevision, process.publishedIndex >= pending.floorIndex else {
            throw Violation(
                "linearizability",
                "a read at m\(pending.member) saw revision \(published.view.currentRevision) at index \(process.publishedIndex), "
                    + "after \(pending.floorRevision) at \(pending.floorIndex) had been seen")
        }
        switch pending.kind {
        case .range(let request): try check(range: request, on: published, floor: pending.floorRevision)
        case .readOnlyTransaction(let request): try check(transaction: request, on: published)
        default: break
        }
        floorIndex = max(floorIndex, process.publishedIndex)
        floorRevision = max(floorRevision, published.view.currentRevision)
        counts.linearizableReads += 1
    }

    // MARK: reads

    /// What a member reads is what the model held at the revision it tells.
    func check(range request: RangeRequest, on published: Published, floor: Int64?) throws {
        let view = published.view
        let expected = log.model.range(request, current: view.currentRevision, compactRevision: view.compactRevision)
        let found: Result<RangeResponse, EtcdError>
        do {
            var reader = try view.reader()
            var writer = ByteWriter(capacity: 256)
            try RangeQuery(request).encode(
                header: ResponseHeader(), from: &reader, current: view.currentRevision, into: &writer)
            found = .success(try RangeResponse(decoding: writer.array()))
        } catch StoreError.compacted {
            found = .failure(.compacted)
        } catch StoreError.futureRevision {
            found = .failure(.futureRevision)
        }
        guard found == expected else {
            throw Violation("reads", "\(request) at revision \(view.currentRevision): \(found) where \(expected) was due")
        }
    }

    private func check(transaction request: TxnRequest, on published: Published) throws {
        let view = published.view
        guard let transaction = ReadOnlyTransaction(request) else { return }
        let expected = log.model.readOnly(request, current: view.currentRevision, compactRevision: view.compactRevision)
        let found: Result<TxnResponse, EtcdError>
        do {
            var reader = try view.reader()
            var writer = ByteWriter(capacity: 256)
            _ = try transaction.encode(header: ResponseHeader(), from: &reader, into: &writer)
            found = .success(try TxnResponse(decoding: writer.array()))
        } catch StoreError.compacted {
            found = .failure(.compacted)
        } catch StoreError.futureRevision {
            found = .failure(.futureRevision)
        }
        guard found == expected else {
            throw Violation("reads", "\(request) at revision \(view.currentRevision): \(found) where \(expected) was due")
        }
    }

    private func checkTimes(
        _ lease: Int64, _ remaining: Int64, _ granted: Int64, _ keys: [[UInt8]], _ process: MemberProcess
    ) throws {
        // A leader that others have overtaken does not know what became of the lease; and it looks before it applies.
        guard process.indexBeforeTurn == log.lastIndex else { return }
        guard log.model.leases[lease] == granted, log.model.keys(of: lease) == keys, remaining <= granted + 1 else {
            let (ttl, held) = (log.model.leases[lease] ?? 0, log.model.keys(of: lease).count)
            throw Violation(
                "leases", "lease \(lease): \(remaining) of \(granted) s, \(keys.count) keys; it is of \(ttl) s, with \(held) keys"
            )
        }
    }
}

/// What clients asked and got.
public struct ClientCounts: Equatable, Sendable {
    public var asked = 0
    public var answered = 0
    public var acknowledged = 0
    public var refused = 0
    public var linearizableReads = 0
    public var serializableReads = 0
    public var renewals = 0
}

extension FrontReply {
    init(_ answer: MemberAnswer) {
        switch answer {
        case .applied(.refused): self = .refused
        case .refused(let error): self = error.code == .unavailable ? .unavailable : .refused
        default: self = .done
        }
    }
}
