import EtcdAPI
import Host
import MVCC
import StateMachine
import Testing

@testable import Member

/// Draws requests of every kind; values are never used twice, so a write applied twice or lost cannot hide.
struct Workload {
    private var random: SeededRandom
    private var count = 0

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func draw(_ model: StoreModel) -> InternalRaftRequest.Request {
        count += 1
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<10: return .put(put(model))
        case 10..<12: return .deleteRange(DeleteRangeRequest(key: key()))
        case 12: return .deleteRange(DeleteRangeRequest(key: key(), rangeEnd: key()))
        case 13..<16: return .txn(transaction(model))
        case 16: return .compaction(CompactionRequest(revision: Int64.random(in: 1...(model.revision + 1), using: &random)))
        case 17, 18: return .leaseGrant(LeaseGrantRequest(ttl: 9000, id: Int64.random(in: 1...6, using: &random)))
        default: return .leaseRevoke(LeaseRevokeRequest(id: Int64.random(in: 1...6, using: &random)))
        }
    }

    private mutating func key() -> [UInt8] { Array("key\(Int.random(in: 10..<24, using: &random))".utf8) }

    private mutating func put(_ model: StoreModel) -> PutRequest {
        let lease = Int.random(in: 0..<3, using: &random) == 0 ? Int64.random(in: 1...6, using: &random) : 0
        let padding = String(repeating: "x", count: Int.random(in: 0...200, using: &random))
        return PutRequest(key: key(), value: Array("value \(count) \(padding)".utf8), lease: lease)
    }

    private mutating func transaction(_ model: StoreModel) -> TxnRequest {
        let first = key()
        let second = first + [UInt8(ascii: "b")]
        let version = Int64.random(in: 0...2, using: &random)
        let value = Array("transaction \(count)".utf8)
        return TxnRequest(
            compare: [Compare(target: .version, key: first, targetUnion: .version(version))],
            success: [
                RequestOp(request: .requestPut(PutRequest(key: first, value: value))),
                RequestOp(request: .requestPut(PutRequest(key: second, value: value))),
            ],
            failure: [
                RequestOp(request: .requestDeleteRange(DeleteRangeRequest(key: second))),
                RequestOp(request: .requestRange(RangeRequest(key: first))),
            ])
    }
}

/// A client of a bench that remembers what it was told, and what it was not.
struct Client {
    var model = StoreModel()
    /// Sent and not answered: each may have happened, those before it then too.
    var uncertain: [InternalRaftRequest.Request] = []
    private(set) var acknowledged = 0

    /// Sends requests in one turn and holds the answers against the model.
    mutating func send(_ requests: [InternalRaftRequest.Request], to bench: Bench) throws {
        uncertain = requests
        let answers = try bench.propose(requests)
        for (request, answer) in zip(requests, answers) {
            let expected = model.apply(request)
            let reply = try Client.reply(to: request, answer)
            #expect(reply == expected, "\(request)")
            acknowledged += 1
        }
        uncertain = []
    }

    private static func reply(to request: InternalRaftRequest.Request, _ answer: MemberAnswer?) throws -> StoreModel.Reply? {
        if let refusal = answer?.refusal { return .refused(refusal) }
        guard let bytes = answer?.response else { return nil }
        switch request {
        case .put: return .put(revision: try PutResponse(decoding: bytes).header!.revision)
        case .deleteRange:
            let response = try DeleteRangeResponse(decoding: bytes)
            return .deleted(response.deleted, revision: response.header!.revision)
        case .txn:
            let response = try TxnResponse(decoding: bytes)
            return .transaction(succeeded: response.succeeded, revision: response.header!.revision)
        case .leaseGrant: return .granted(ttl: try LeaseGrantResponse(decoding: bytes).ttl)
        default: return .done
        }
    }

    /// After a restart: everything acknowledged is there, once, and of what was not answered the first few.
    mutating func compare(with bench: Bench) throws {
        var candidate = model
        var reasons: [String] = []
        var rest = uncertain[...]
        while true {
            let reason = try candidate.difference(to: bench.published.view) ?? leaseDifference(candidate, bench)
            guard let reason else { break }
            reasons.append(reason)
            guard let next = rest.popFirst() else {
                Issue.record("after the restart: \(reasons)")
                return
            }
            _ = candidate.apply(next)
        }
        model = candidate
        uncertain = []
    }

    private func leaseDifference(_ model: StoreModel, _ bench: Bench) -> String? {
        for id in Int64(1)...6 {
            let lease = bench.member.machine.leases.lease(id, now: bench.now)
            if lease?.ttl != model.leases[id] { return "lease \(id) of \(String(describing: lease?.ttl))" }
            let keys = model.live(at: model.revision).filter { $0.lease == id }.map(\.key)
            if lease != nil, bench.member.machine.leases.keys(of: id) != keys { return "keys of lease \(id)" }
        }
        return nil
    }
}
