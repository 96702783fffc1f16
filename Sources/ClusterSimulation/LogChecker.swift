import EtcdAPI
import Host
import Raft
import StateMachine

/// One log: every member applies the same entry at every index, and the model says what each does.
///
/// The log is the order in which everything happened, so a history of clients is linearizable when each answer is the model's at
/// its request's place, and that place lies between the request's beginning and its end. Requests are found by their ids, each of
/// which may be in the log once.
final class LogChecker {
    private struct Place: Equatable {
        let term: Term
        let kind: EntryKind
        let digest: Int
    }

    /// What became of a request.
    struct Outcome {
        let index: LogIndex
        let reply: ModelReply
        /// After it.
        let revision: Int64
        /// A NOSPACE alarm was up, so that the model knows of the refusal already.
        let hadAlarm: Bool
    }

    private(set) var model: StoreModel
    private var places: [Place] = []
    /// By log index: the revision and the compact revision after the entry.
    private(set) var revisions: [Int64] = [1]
    private(set) var compactRevisions: [Int64] = [-1]
    private var awaited: [UInt64: Outcome?] = [:]
    /// Everything clients ever asked for, and everything the log holds.
    private var asked: Set<UInt64> = []
    private var seen: Set<UInt64> = []
    /// Revocations that no client asked for, told as they enter the model.
    var onRevocation: ((Int64) throws -> Void)?
    /// Grants as they enter the model: lease, seconds, request id.
    var onGrant: ((Int64, Int64, UInt64) -> Void)?
    var onClientRevocation: ((Int64) throws -> Void)?
    /// What is left of a lease, in seconds, as it enters the log; 0 for its whole time.
    var onCheckpoint: ((_ lease: Int64, _ left: Int64) -> Void)?
    /// Puts of clients as they enter the model.
    var onPut: ((PutRequest) throws -> Void)?
    /// Alarms that are raised and lifted, and whether a client asked for it.
    var onAlarm: ((AlarmRequest, Bool) throws -> Void)?

    init(smallestTTL: Int64) { model = StoreModel(smallestTTL: smallestTTL) }

    var lastIndex: LogIndex { LogIndex(places.count) }

    /// A client waits for this request from now on.
    func await(_ requestID: UInt64) {
        awaited[requestID] = .some(nil)
        asked.insert(requestID)
    }

    /// Its place in the log, once; nil when it is in nobody's.
    func take(_ requestID: UInt64) -> Outcome? { awaited.removeValue(forKey: requestID) ?? nil }

    func sawApplying(_ entry: Entry, by member: MemberID) throws {
        let place = Place(term: entry.term, kind: entry.kind, digest: LogChecker.digest(entry.data))
        if entry.index <= lastIndex {
            let known = places[Int(entry.index) - 1]
            guard known == place else {
                throw Violation(
                    "agreement",
                    "m\(member) applies at \(entry.index) an entry of term \(entry.term), others one of term \(known.term)")
            }
            return
        }
        guard entry.index == lastIndex + 1 else {
            throw Violation("agreement", "m\(member) applies \(entry.index), but nobody applied \(lastIndex + 1)")
        }
        if let last = places.last, last.term > entry.term {
            throw Violation("agreement", "the term falls to \(entry.term) at \(entry.index)")
        }
        places.append(place)
        try advance(entry)
        revisions.append(model.revision)
        compactRevisions.append(model.compactRevision)
    }

    private func advance(_ entry: Entry) throws {
        guard entry.kind == .normal, !entry.data.isEmpty, let request = try? InternalRaftRequest(decoding: entry.data),
            let body = request.request
        else { return }
        let id = request.header?.id ?? request.id
        if id != 0, !seen.insert(id).inserted {
            throw Violation("once", "request \(id) is in the log again, at \(entry.index): \(body)")
        }
        if case .leaseRevoke(let revoke) = body, model.leases[revoke.id] != nil {
            if asked.contains(id) { try onClientRevocation?(revoke.id) } else { try onRevocation?(revoke.id) }
        }
        if case .leaseCheckpoint(let written) = body {
            for lease in written.checkpoints { onCheckpoint?(lease.id, lease.remainingTTL) }
        }
        if case .put(let put) = body { try onPut?(put) }
        if case .alarm(let alarm) = body { try onAlarm?(alarm, asked.contains(id)) }
        guard let reply = model.apply(body) else { return }
        if case .grant(let lease, let ttl) = reply { onGrant?(lease, ttl, id) }
        guard awaited[id] != nil else { return }
        awaited[id] = .some(
            Outcome(index: entry.index, reply: reply, revision: model.revision, hadAlarm: !model.shortOfSpace.isEmpty))
    }

    private static func digest(_ bytes: [UInt8]) -> Int {
        var digest: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { digest = (digest ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return Int(truncatingIfNeeded: digest)
    }
}

extension ModelReply {
    /// The revision an answer tells; nil for refusals.
    func expected(revision: Int64) -> String { "\(self) at revision \(revision)" }

    /// Why a member's answer is not this; nil when it is.
    func difference(to reply: ApplyReply, revision: Int64) -> String? {
        switch (self, reply) {
        case (.refused(let expected), .refused(let found)):
            return expected == found ? nil : "refused with \(found), not \(expected)"
        case (.refused(let expected), .response): return "answered, where \(expected) was due"
        case (_, .refused(let error)): return "refused with \(error)"
        case (_, .response(let bytes)):
            do { return try differenceOfResponse(bytes, revision) } catch { return "an answer that cannot be read: \(error)" }
        }
    }

    private func differenceOfResponse(_ bytes: [UInt8], _ revision: Int64) throws -> String? {
        func compare<T: Equatable>(_ found: T, _ expected: T) -> String? {
            found == expected ? nil : "answered \(found), where \(expected) was due"
        }
        switch self {
        case .put(let expected):
            var found = try PutResponse(decoding: bytes)
            found.header = found.header?.revisionOnly
            return compare(found, expected)
        case .delete(let expected):
            var found = try DeleteRangeResponse(decoding: bytes)
            found.header = found.header?.revisionOnly
            return compare(found, expected)
        case .txn(let expected):
            var found = try TxnResponse(decoding: bytes)
            found.header = found.header?.revisionOnly
            return compare(found, expected)
        case .compaction: return compare(try CompactionResponse(decoding: bytes).header?.revision, revision)
        case .grant(let id, let ttl):
            let found = try LeaseGrantResponse(decoding: bytes)
            return compare([found.id, found.ttl, found.header?.revision ?? 0], [id, ttl, revision])
        case .revoke: return compare(try LeaseRevokeResponse(decoding: bytes).header?.revision, revision)
        case .refused, .alarm: return nil
        }
    }
}

extension ResponseHeader {
    /// What members that answer the same have in common.
    var revisionOnly: ResponseHeader { ResponseHeader(revision: revision) }
}
