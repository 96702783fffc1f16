import EtcdAPI
import Host
import Raft

/// One thing a client does, drawn from its own number alone, so that leaving out others changes nothing about it.
enum Operation {
    case propose(InternalRaftRequest.Request, physical: Bool = false)
    case range(RangeRequest)
    case readOnlyTransaction(TxnRequest)
    /// Grants the lease and keeps it alive for as long.
    case leaseSession(Int64, ttl: Int64, renewals: Int)
    case timeToLive(Int64)
}

/// How a run's clients behave.
struct WorkloadProfile {
    let keyCount: Int
    let valueLength: Int
    let leaseCount: Int64
    /// Of a hundred operations those that write.
    let writePercent: Int
    let compacts: Bool

    init(_ random: inout SeededRandom) {
        keyCount = [3, 12, 40][Int.random(in: 0..<3, using: &random)]
        valueLength = [8, 40, 700][Int.random(in: 0..<3, using: &random)]
        leaseCount = Int64.random(in: 2...6, using: &random)
        writePercent = Int.random(in: 40...85, using: &random)
        compacts = Int.random(in: 0..<4, using: &random) > 0
    }
}

/// Draws operation number `number`. `revision` is what its client knows to be the newest.
struct OperationDraw {
    let profile: WorkloadProfile
    let number: Int
    private let revision: Int64
    private var random: SeededRandom

    init(profile: WorkloadProfile, seed: UInt64, number: Int, revision: Int64) {
        self.profile = profile
        self.number = number
        self.revision = revision
        random = SeededRandom(seed: seed &+ UInt64(number) &* 0x9e37_79b9_7f4a_7c15)
    }

    mutating func draw() -> Operation {
        if Int.random(in: 0..<100, using: &random) >= profile.writePercent { return drawRead() }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<52: return .propose(.put(put()))
        case 52..<60: return .propose(.deleteRange(DeleteRangeRequest(key: key(), prevKv: flip())))
        case 60..<64: return .propose(.deleteRange(DeleteRangeRequest(key: key(), rangeEnd: key(), prevKv: flip())))
        case 64..<88: return .propose(.txn(transaction(depth: 0)))
        case 88..<92: return compaction()
        case 92..<97: return .leaseSession(lease(), ttl: Int64.random(in: 1...8, using: &random), renewals: renewals())
        default: return .propose(.leaseRevoke(LeaseRevokeRequest(id: lease())))
        }
    }

    private mutating func drawRead() -> Operation {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<8:
            var request = range()
            request.serializable = Int.random(in: 0..<4, using: &random) == 0
            return .range(request)
        case 8:
            let ranges = (0..<2).map { _ in RequestOp(request: .requestRange(range())) }
            return .readOnlyTransaction(TxnRequest(compare: [compare()], success: ranges, failure: [ranges[0]]))
        default: return .timeToLive(lease())
        }
    }

    private mutating func flip() -> Bool { Bool.random(using: &random) }
    private mutating func renewals() -> Int { Int.random(in: 0...8, using: &random) }
    private mutating func lease() -> Int64 { Int64.random(in: 1...profile.leaseCount, using: &random) }

    private mutating func key() -> [UInt8] {
        Array("key\(100 + Int.random(in: 0..<profile.keyCount, using: &random))".utf8)
    }

    private mutating func value() -> [UInt8] {
        Array("\(number).".utf8) + [UInt8](repeating: 0x78, count: Int.random(in: 0...profile.valueLength, using: &random))
    }

    private mutating func put() -> PutRequest {
        var request = PutRequest(key: key(), value: value(), prevKv: Int.random(in: 0..<3, using: &random) == 0)
        switch Int.random(in: 0..<12, using: &random) {
        case 0..<3: request.lease = lease()
        case 3:
            request.ignoreValue = true
            request.value = []
        case 4: request.ignoreLease = true
        default: break
        }
        return request
    }

    private mutating func range() -> RangeRequest {
        var request = RangeRequest(key: key())
        switch Int.random(in: 0..<6, using: &random) {
        case 0: request.rangeEnd = key()
        case 1: (request.key, request.rangeEnd) = ([0], [0])
        default: break
        }
        if Int.random(in: 0..<5, using: &random) == 0 { request.limit = Int64.random(in: 1...4, using: &random) }
        if Int.random(in: 0..<5, using: &random) == 0, revision > 1 {
            request.revision = Int64.random(in: max(1, revision - 20)...(revision + 1), using: &random)
        }
        request.countOnly = Int.random(in: 0..<10, using: &random) == 0
        request.keysOnly = Int.random(in: 0..<10, using: &random) == 0
        return request
    }

    private mutating func compare() -> Compare {
        let key = key()
        let results: [Compare.CompareResult] = [.equal, .greater, .less, .notEqual]
        let result = results[Int.random(in: 0..<4, using: &random)]
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return Compare(result: result, target: .version, key: key, targetUnion: .version(draw(0...3)))
        case 1: return Compare(result: result, target: .create, key: key, targetUnion: .createRevision(draw(0...revision)))
        case 2: return Compare(result: result, target: .mod, key: key, targetUnion: .modRevision(draw(0...revision)))
        default: return Compare(result: result, target: .value, key: key, targetUnion: .value(Array("\(draw(0...100)).".utf8)))
        }
    }

    private mutating func draw(_ range: ClosedRange<Int64>) -> Int64 { Int64.random(in: range, using: &random) }

    private mutating func transaction(depth: Int) -> TxnRequest {
        TxnRequest(
            compare: (0..<Int.random(in: 0...2, using: &random)).map { _ in compare() },
            success: operations(depth: depth), failure: operations(depth: depth))
    }

    /// No key is put twice, which a member's clients may not ask for.
    private mutating func operations(depth: Int) -> [RequestOp] {
        let suffix = [UInt8(ascii: "a") + UInt8(depth)]
        var put = put()
        put.key += suffix
        var other = self.put()
        other.key += suffix
        var operations = [RequestOp(request: .requestPut(put))]
        if other.key != put.key { operations.append(RequestOp(request: .requestPut(other))) }
        switch Int.random(in: 0..<5, using: &random) {
        case 0: operations.append(RequestOp(request: .requestRange(range())))
        case 1: operations.insert(RequestOp(request: .requestDeleteRange(DeleteRangeRequest(key: key()))), at: 0)
        case 2 where depth == 0: operations.append(RequestOp(request: .requestTxn(transaction(depth: 1))))
        default: break
        }
        return operations
    }

    private mutating func compaction() -> Operation {
        guard profile.compacts, revision > 10 else { return .propose(.put(put())) }
        let request = CompactionRequest(revision: revision - draw(0...8), physical: flip())
        return .propose(.compaction(request), physical: request.physical)
    }
}
