@testable import MVCC

/// Finds what is wrong with a tree: order, bounds, shared prefixes, heads, summaries, room. No `fault` when all is well.
struct IndexStructureCheck {
    var keys = 0
    var bytes = 0
    var used = 0
    var nodes = 0
    private(set) var fault: String?

    init(_ index: KeyIndex) {
        let summary = check(index.root, level: index.root.level, above: nil, below: nil)
        if keys != index.keys { report("\(keys) keys in the tree, \(index.keys) counted") }
        if summary.live != index.liveKeys { report("\(summary.live) live keys in the tree, \(index.liveKeys) counted") }
        if index.root.level > 0, index.root.count < 2 { report("a root with one child") }
    }

    private mutating func report(_ text: String) { if fault == nil { fault = text } }

    /// Keys of a node are at least `above` and below `below`.
    private mutating func check(_ node: KeyNode, level: Int, above: KeyBytes?, below: KeyBytes?) -> SubtreeSummary {
        nodes += 1
        bytes += node.capacity
        used += node.usedBytes
        if node.level != level { report("level \(node.level) in place of \(level)") }
        if node.freeBytes < 0 { report("slots and entries overlap") }
        if node.count == 0, level > 0 { report("an empty inner node") }
        if level > 0, node.key(0).count > 0 { report("an inner node whose first entry has a key") }
        checkKeys(node, above: above, below: below)
        if level == 0 { keys += node.count }
        for slot in 0..<node.count where level > 0 {
            let fields = node.inner(slot)
            let summary = check(
                fields.child, level: level - 1, above: slot == 0 ? above : node.key(slot),
                below: slot + 1 < node.count ? node.key(slot + 1) : below)
            if summary.live != fields.live { report("\(summary.live) live keys below an entry that says \(fields.live)") }
            if summary.newest > fields.newest { report("a change newer than the entry above it says") }
        }
        return node.summary()
    }

    private mutating func checkKeys(_ node: KeyNode, above: KeyBytes?, below: KeyBytes?) {
        let first = node.firstKeyed
        for slot in first..<max(first, node.count) {
            let key = node.key(slot)
            if slot > first, node.key(slot - 1).compare(key, from: 0) >= 0 { report("keys out of order") }
            if let above, key.compare(above, from: 0) < 0 { report("a key below its node's bound") }
            if let below, key.compare(below, from: 0) >= 0 { report("a key above its node's bound") }
            if key.count < node.prefixLength || !key.hasPrefix(of: node.key(first), length: node.prefixLength) {
                report("a key without the node's prefix")
            } else if node.head(slot) != key.head(at: node.prefixLength) {
                report("a wrong head")
            }
        }
    }
}
