import Bytes
import EtcdAPI
import Host
import MVCC
import StoreTestKit

extension ReadView {
    func range(_ request: RangeRequest) throws -> RangeResponse {
        var reader = try reader()
        var writer = ByteWriter(capacity: 1024)
        try RangeQuery(request).encode(
            header: ResponseHeader(clusterId: 1), from: &reader, current: currentRevision, into: &writer)
        return try RangeResponse(decoding: writer.array())
    }
}

extension TestStore {
    /// Some random transactions over few keys.
    func writeRandomly(_ count: Int, _ random: inout SeededRandom) {
        for _ in 0..<count {
            write(
                (0..<Int.random(in: 1...3, using: &random)).map { _ in
                    let key = "k\(Int.random(in: 10..<30, using: &random))"
                    let lease = Int64.random(in: -5...2, using: &random)
                    switch Int.random(in: 0..<8, using: &random) {
                    case 0: return .delete(key, end: "k2")
                    case 1: return .delete(key)
                    default: return .put(key, "\(random.next() % 50)", lease: max(0, lease))
                    }
                })
        }
    }

    /// What `Range` should answer, the naive way.
    func answer(_ request: RangeRequest) -> RangeResponse {
        let at = request.revision <= 0 ? revision : request.revision
        let range = KeyRange(key: request.key, rangeEnd: request.rangeEnd)
        let all = live(at: at).filter { row in row.key.withUnsafeBytes { range.contains($0) } }
        var response = RangeResponse(header: ResponseHeader(clusterId: 1, revision: revision), count: Int64(all.count))
        if request.countOnly { return response }
        let hasFilters =
            request.minModRevision != 0 || request.maxModRevision != 0 || request.minCreateRevision != 0
            || request.maxCreateRevision != 0
        // With a target but no order etcd sorts what the limit lets through, and one more.
        let sortsFew = request.sortOrder == .none && !hasFilters && request.limit > 0
        var rows = all.prefix(sortsFew ? Int(request.limit) + 1 : all.count).filter { row in
            (request.minModRevision == 0 || row.modRevision >= request.minModRevision)
                && (request.maxModRevision == 0 || row.modRevision <= request.maxModRevision)
                && (request.minCreateRevision == 0 || row.createRevision >= request.minCreateRevision)
                && (request.maxCreateRevision == 0 || row.createRevision <= request.maxCreateRevision)
        }
        rows = TestStore.sorted(rows, request)
        if request.limit > 0, rows.count > request.limit {
            rows = Array(rows[..<Int(request.limit)])
            response.more = true
        }
        if request.keysOnly { for index in rows.indices { rows[index].value = [] } }
        response.kvs = rows
        return response
    }

    private static func sorted(_ rows: [KeyValue], _ request: RangeRequest) -> [KeyValue] {
        if request.sortOrder == .none, request.sortTarget == .key { return rows }
        if case .unrecognized = request.sortOrder { return rows }
        func isBelow(_ a: KeyValue, _ b: KeyValue) -> Bool {
            switch request.sortTarget {
            case .version: a.version < b.version
            case .create: a.createRevision < b.createRevision
            case .mod: a.modRevision < b.modRevision
            case .value: a.value.lexicographicallyPrecedes(b.value)
            default: a.key.lexicographicallyPrecedes(b.key)
            }
        }
        // Insertion keeps the order of equals.
        var result: [KeyValue] = []
        for row in rows {
            let place = result.firstIndex { request.sortOrder == .descend ? isBelow($0, row) : isBelow(row, $0) }
            result.insert(row, at: place ?? result.endIndex)
        }
        return result
    }

    /// `HashKV` at a revision by its definition; where nothing lives at it, with everything the last compaction left.
    func hash(at revision: Int64) -> UInt32 {
        var kept = alive(at: revision)
        if kept.isEmpty { kept = alive(at: compactRevision) }
        var crc = CRC32C.update(0, Array("key".utf8))
        for change in history where change.at.main <= revision {
            if change.at.main <= compactRevision, change.isTombstone || kept[change.value.key] != change.at { continue }
            var key = ByteWriter(capacity: 18)
            change.at.encode(tombstone: change.isTombstone, into: &key)
            crc = CRC32C.update(CRC32C.update(crc, key.array()), change.value.encoded())
        }
        return crc
    }

    private func alive(at revision: Int64) -> [[UInt8]: Revision] {
        var alive: [[UInt8]: Revision] = [:]
        for change in history where change.at.main <= revision { alive[change.value.key] = change.isTombstone ? nil : change.at }
        return alive
    }
}

func drawRange(_ data: TestStore, _ random: inout SeededRandom) -> RangeRequest {
    var request = RangeRequest(key: Array("k\(Int.random(in: 10..<30, using: &random))".utf8))
    switch Int.random(in: 0..<5, using: &random) {
    case 0: request.rangeEnd = [0]
    case 1: (request.key, request.rangeEnd) = ([0], [0])
    case 2: request.rangeEnd = Array("k\(Int.random(in: 10..<30, using: &random))".utf8)
    case 3: request.rangeEnd = Array("k3".utf8)
    default: break
    }
    if Bool.random(using: &random) {
        request.revision = Int64.random(in: max(data.compactRevision, 1)...data.revision, using: &random)
    }
    if Bool.random(using: &random) { request.limit = Int64.random(in: 1...12, using: &random) }
    request.keysOnly = Int.random(in: 0..<4, using: &random) == 0
    request.countOnly = Int.random(in: 0..<8, using: &random) == 0
    if Bool.random(using: &random) {
        request.sortOrder = [.none, .ascend, .descend].randomElement(using: &random)!
        request.sortTarget = [.key, .version, .create, .mod, .value].randomElement(using: &random)!
    }
    func bound() -> Int64 { Int64.random(in: 1...data.revision, using: &random) }
    switch Int.random(in: 0..<10, using: &random) {
    case 0: request.minModRevision = bound()
    case 1: request.maxModRevision = bound()
    case 2: request.minCreateRevision = bound()
    case 3: request.maxCreateRevision = bound()
    default: break
    }
    return request
}
