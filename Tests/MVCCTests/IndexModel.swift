import Host

@testable import MVCC

/// What the key index should answer: for each key of a fixed sorted pool its revisions, oldest first.
struct IndexModel {
    struct Change: Equatable {
        var revision: Revision
        var created: Int64
        var version: Int64
        var isTombstone: Bool
    }

    var changes: [[Change]]
    var current: Int64 = 1
    var compacted: Int64 = 0

    init(keys: Int) { changes = Array(repeating: [], count: keys) }

    /// The newest change at or below `revision`, tombstones included.
    func find(_ key: Int, at revision: Int64) -> Change? { changes[key].last { $0.revision.main <= revision } }

    func get(_ key: Int, at revision: Int64) -> Change? {
        let change = find(key, at: revision)
        return change?.isTombstone == false ? change : nil
    }

    mutating func put(_ key: Int, at revision: Revision) -> Change {
        let last = changes[key].last
        let alive = last.map { !$0.isTombstone } ?? false
        let change = Change(
            revision: revision, created: alive ? last!.created : revision.main, version: alive ? last!.version + 1 : 1,
            isTombstone: false)
        changes[key].append(change)
        return change
    }

    mutating func tombstone(_ key: Int, at revision: Revision) -> Bool {
        guard let last = changes[key].last, !last.isTombstone else { return false }
        changes[key].append(Change(revision: revision, created: 0, version: 0, isTombstone: true))
        return true
    }

    func keeper(_ key: Int, at compact: Int64) -> Change? {
        guard let change = find(key, at: compact), !change.isTombstone || change.revision.main == compact else { return nil }
        return change
    }

    mutating func compact(at compact: Int64) {
        compacted = compact
        for key in changes.indices {
            let kept = keeper(key, at: compact)
            changes[key].removeAll { $0.revision.main <= compact && $0 != kept }
        }
    }
}

/// Keys that are alike in the ways real ones are: long common prefixes, prefixes of each other, zero and 0xff bytes, and a few
/// larger than a node.
func makeKeys(_ count: Int, large: Int, _ random: inout SeededRandom) -> [[UInt8]] {
    let stems = ["/registry/pods/default/", "/registry/leases/kube-system/", "/", "", "/registry/pods/default/web-"].map {
        Array($0.utf8)
    }
    var keys = Set<[UInt8]>()
    while keys.count < count {
        var key = stems[Int.random(in: 0..<stems.count, using: &random)]
        switch Int.random(in: 0..<20, using: &random) {
        case 0: key += Array(repeating: 0, count: Int.random(in: 1...6, using: &random))
        case 1: key += Array(repeating: 0xff, count: Int.random(in: 1...6, using: &random))
        case 2: key = [UInt8(Int.random(in: 0...255, using: &random))]
        case 3 where large > 0:
            let bytes = Int.random(in: 1...large, using: &random)
            key += Array(repeating: UInt8(ascii: "x"), count: bytes) + Array(String(bytes).utf8)
        default: key += Array(String(Int.random(in: 0..<10 * count, using: &random)).utf8)
        }
        if !key.isEmpty { keys.insert(key) }
    }
    return keys.sorted { $0.lexicographicallyPrecedes($1) }
}

extension KeyReading {
    func get(_ key: [UInt8], at revision: Int64) -> KeyState? { key.withUnsafeBytes { get($0, at: revision) } }
    func find(_ key: [UInt8], at revision: Int64) -> KeyState? { key.withUnsafeBytes { find($0, at: revision) } }
    func newest(_ key: [UInt8]) -> KeyState? { key.withUnsafeBytes { newest($0) } }

    func count(from: [UInt8], to: [UInt8]?, at revision: Int64) -> Int {
        from.withUnsafeBytes { from in
            guard let to else { return count(from: from, to: nil, at: revision) }
            return to.withUnsafeBytes { count(from: from, to: $0, at: revision) }
        }
    }

    func visit(
        from: [UInt8], after: Bool = false, to: [UInt8]?, at revision: Int64, descending: Bool = false,
        _ body: ([UInt8], KeyState) -> Bool
    ) -> Bool {
        from.withUnsafeBytes { from in
            guard let to else {
                return visit(from: from, after: after, to: nil, at: revision, descending: descending) { body(Array($0), $1) }
            }
            return to.withUnsafeBytes {
                visit(from: from, after: after, to: $0, at: revision, descending: descending) { body(Array($0), $1) }
            }
        }
    }
}

extension KeyIndex {
    func put(_ key: [UInt8], at revision: Revision) -> PutOutcome { key.withUnsafeBytes { put($0, at: revision) } }
    func tombstone(_ key: [UInt8], at revision: Revision) -> Bool { key.withUnsafeBytes { tombstone($0, at: revision) } }
    func keeper(_ key: [UInt8], at compact: Int64) -> KeyState? { key.withUnsafeBytes { keeper($0, at: compact) } }
    @discardableResult
    func trim(_ key: [UInt8], at compact: Int64) -> KeyState? { key.withUnsafeBytes { trim($0, at: compact) } }
    func restore(_ key: [UInt8], _ change: IndexModel.Change) -> RestoreOutcome {
        key.withUnsafeBytes {
            restore(
                $0, at: change.revision, created: change.created, version: change.version, tombstone: change.isTombstone)
        }
    }
}
