/// One element of a node in memory. Keys and values point into the file's pages or into the transaction's arena.
struct Entry {
    var keyStart: UnsafeRawPointer
    var valueStart: UnsafeRawPointer
    var keyCount: UInt32
    var valueCount: UInt32
    /// Of a leaf element: ``PageFormat/bucketElementFlag``.
    var flags: UInt32
    /// Bytes at `valueStart` that belong to this entry in the arena; 0 when it points into a page.
    var room: UInt32
    /// Of a branch element: the child's page, unless the child is in memory.
    var child: PageID

    @inline(__always) var key: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: keyStart, count: Int(keyCount)) }
    @inline(__always) var value: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: valueStart, count: Int(valueCount)) }

    /// Bytes it takes in a page. A branch entry has no value.
    @inline(__always) var bytes: Int { PageFormat.elementSize + Int(keyCount) + Int(valueCount) }

    static func branch(_ key: UnsafeRawBufferPointer, child: PageID) -> Entry {
        Entry(
            keyStart: key.baseAddress!, valueStart: key.baseAddress!, keyCount: UInt32(key.count), valueCount: 0, flags: 0,
            room: 0,
            child: child)
    }
}

/// A page taken into memory to be changed; it may hold more than a page until it is written.
final class Node {
    let isLeaf: Bool
    var entries: [Entry]
    /// Of a branch, beside `entries`: the children that are in memory.
    var children: [Node?]
    /// The pages it was read from, given back when it is written.
    var origin: PageRun?
    /// Bytes of the leaf's entries in a page; kept for leaves only, whose size is asked for often.
    var entryBytes: Int
    /// Something was deleted: the node may have become too small.
    var isUnbalanced = false

    /// A leaf that an insertion in its middle would make slow is halved at this many entries.
    static let splitLimit = 1024

    init(isLeaf: Bool, entries: [Entry] = [], origin: PageRun? = nil) {
        self.isLeaf = isLeaf
        self.entries = entries
        self.origin = origin
        children = isLeaf ? [] : [Node?](repeating: nil, count: entries.count)
        entryBytes = isLeaf ? entries.reduce(0) { $0 + $1.bytes } : 0
    }

    /// Reads a page, judging every element.
    convenience init(_ view: PageView, source: PageSource) throws(PageFileError) {
        var entries: [Entry] = []
        entries.reserveCapacity(view.count + 8)
        for index in 0..<view.count {
            guard let key = view.key(index) else { throw source.corrupt(view.id, .elementOutsidePage(index: index)) }
            if key.count == 0 { throw source.corrupt(view.id, .emptyKey(index: index)) }
            if view.isLeaf {
                guard let value = view.value(index, after: key) else {
                    throw source.corrupt(view.id, .elementOutsidePage(index: index))
                }
                entries.append(
                    Entry(
                        keyStart: key.baseAddress!, valueStart: value.baseAddress!, keyCount: UInt32(key.count),
                        valueCount: UInt32(value.count), flags: view.leafFlags(index), room: 0, child: 0))
            } else {
                entries.append(.branch(key, child: view.child(index)))
            }
        }
        // An inline page is part of its parent's page and has none to give back.
        let origin = view.id == 0 ? nil : PageRun(id: view.id, count: view.extent >> source.shift)
        self.init(isLeaf: view.isLeaf, entries: entries, origin: origin)
    }

    var bytes: Int {
        PageFormat.headerSize + (isLeaf ? entryBytes : entries.reduce(0) { $0 + $1.bytes })
    }

    /// The first entry at or after `key`.
    func lowerBound(_ key: UnsafeRawBufferPointer) -> PagePlace {
        entries.withUnsafeBufferPointer { entries in
            let probe = BytesProbe(key)
            var from = 0
            var until = entries.count
            while from < until {
                let middle = (from + until) / 2
                let order = probe.order(entries[middle].key)
                if order == 0 { return PagePlace(index: middle, isExact: true) }
                if order < 0 { from = middle + 1 } else { until = middle }
            }
            return PagePlace(index: from, isExact: false)
        }
    }

    /// The branch entry whose subtree may hold `key`.
    func childIndex(_ key: UnsafeRawBufferPointer) -> Int {
        let place = lowerBound(key)
        return place.isExact ? place.index : max(place.index - 1, 0)
    }

    func removeChild(at index: Int) {
        entries.remove(at: index)
        children.remove(at: index)
        isUnbalanced = true
    }

    /// Takes over everything from the sibling to the right.
    func append(contentsOf right: Node) {
        entries.append(contentsOf: right.entries)
        children.append(contentsOf: right.children)
        entryBytes += right.entryBytes
        isUnbalanced = true
    }

    /// Moves the upper half of a leaf into a new one.
    func splitLeaf() -> Node {
        let middle = entries.count / 2
        let right = Node(isLeaf: true, entries: Array(entries[middle...]))
        entries.removeSubrange(middle...)
        entryBytes -= right.entryBytes
        right.isUnbalanced = isUnbalanced
        return right
    }
}
