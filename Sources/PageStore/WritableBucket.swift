/// A bucket of a write transaction, seeing the transaction's own changes. Good until the transaction ends.
///
/// Bytes it lends are good until the bucket's next change.
public final class WritableBucket {
    unowned let transaction: WriteTransaction
    /// As the base state has it; the sequence may be changed.
    var header: BucketHeader
    let inlinePage: PageView?
    /// The tree's root, once something in the tree was changed.
    var rootNode: Node?
    /// The rightmost leaf, while it is known and in memory.
    var appendLeaf: Node?
    /// Buckets inside that were opened for writing.
    var children: [[UInt8]: WritableBucket] = [:]
    var sequenceChanged = false
    /// Counts changes, so that cursors notice.
    var changes: UInt64 = 0
    var isDeleted = false

    /// How full pages are made when a node is split, from 0.1 to 1. bbolt's default is 0.5; ``appendPut(_:_:)`` makes it 0.9.
    public var fillPercent: Double = 0.5 {
        didSet { fillPercent = min(max(fillPercent, 0.1), 1) }
    }

    init(transaction: WriteTransaction, header: BucketHeader, inlinePage: PageView?) {
        self.transaction = transaction
        self.header = header
        self.inlinePage = inlinePage
    }

    /// A new, empty bucket.
    init(transaction: WriteTransaction) {
        self.transaction = transaction
        header = BucketHeader(root: 0, sequence: 0)
        inlinePage = nil
        rootNode = Node(isLeaf: true)
    }

    /// bbolt's counter of a bucket; etcd leaves it at 0.
    public var sequence: UInt64 {
        get { header.sequence }
        set {
            requireOpen()
            header.sequence = newValue
            sequenceChanged = true
        }
    }

    /// The value of a key, or nil when it is missing or names a bucket.
    public func value(_ key: UnsafeRawBufferPointer) throws(PageFileError) -> UnsafeRawBufferPointer? {
        guard let entry = try lookUp(key), entry.flags & PageFormat.bucketElementFlag == 0 else { return nil }
        return entry.value
    }

    /// ``value(_:)`` for a key in an array.
    public func value(_ key: [UInt8]) throws(PageFileError) -> UnsafeRawBufferPointer? {
        try key.withBytes { (key) throws(PageFileError) in try value(key) }
    }

    /// Sets a key's value.
    public func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(PageFileError) {
        try put(key, value, flags: 0)
    }

    /// ``put(_:_:)`` for arrays.
    public func put(_ key: [UInt8], _ value: [UInt8]) throws(PageFileError) {
        try key.withBytes { (key) throws(PageFileError) in
            try value.withBytes { (value) throws(PageFileError) in try put(key, value, flags: 0) }
        }
    }

    /// ``put(_:_:)`` of a key that usually sorts after all others: cheaper when it does, and pages are filled to 90 %.
    public func appendPut(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(PageFileError) {
        requireOpen()
        fillPercent = 0.9
        try judge(key, value)
        let leaf: Node
        if let known = appendLeaf { leaf = known } else { leaf = try rightmostLeaf() }
        // An empty leaf says nothing about the keys before it.
        if let last = leaf.entries.last {
            guard compareKeys(last.key, key) < 0 else { return try put(key, value, flags: 0) }
        } else if leaf !== rootNode {
            return try put(key, value, flags: 0)
        }
        appendLeaf = leaf
        let entry = copy(key, value, flags: 0)
        leaf.entryBytes += entry.bytes
        leaf.entries.append(entry)
        changes += 1
    }

    /// ``appendPut(_:_:)`` for arrays.
    public func appendPut(_ key: [UInt8], _ value: [UInt8]) throws(PageFileError) {
        try key.withBytes { (key) throws(PageFileError) in
            try value.withBytes { (value) throws(PageFileError) in try appendPut(key, value) }
        }
    }

    /// Removes a key; false when it was not there. Buckets are removed with ``deleteBucket(_:)``.
    @discardableResult
    public func delete(_ key: UnsafeRawBufferPointer) throws(PageFileError) -> Bool {
        requireOpen()
        guard let entry = try lookUp(key) else { return false }
        if entry.flags & PageFormat.bucketElementFlag != 0 { throw transaction.source.failure(.isABucket) }
        try remove(key)
        return true
    }

    /// ``delete(_:)`` for a key in an array.
    @discardableResult
    public func delete(_ key: [UInt8]) throws(PageFileError) -> Bool {
        try key.withBytes { (key) throws(PageFileError) in try delete(key) }
    }

    /// A cursor that stands on no entry yet.
    public func cursor() -> WritableCursor { WritableCursor(self) }
}

extension WritableBucket {
    func requireOpen() {
        precondition(transaction.isOpen, "the write transaction has ended")
        precondition(!isDeleted, "the bucket was deleted")
    }

    private func judge(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(PageFileError) {
        if key.count == 0 { throw transaction.source.failure(.emptyKey) }
        if key.count > PageFormat.longestKey { throw transaction.source.failure(.keyTooLong(key.count)) }
        if value.count > PageFormat.longestValue { throw transaction.source.failure(.valueTooLong(value.count)) }
    }

    /// A new entry with its key and value, side by side, in the arena.
    private func copy(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, flags: UInt32) -> Entry {
        let memory = transaction.arena.allocate(key.count + value.count)
        memory.copyMemory(from: key.baseAddress!, byteCount: key.count)
        if let base = value.baseAddress { (memory + key.count).copyMemory(from: base, byteCount: value.count) }
        return Entry(
            keyStart: UnsafeRawPointer(memory), valueStart: UnsafeRawPointer(memory + key.count), keyCount: UInt32(key.count),
            valueCount: UInt32(value.count), flags: flags, room: UInt32(value.count), child: 0)
    }

    func put(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, flags: UInt32) throws(PageFileError) {
        requireOpen()
        try judge(key, value)
        var leaf = try writableLeaf(key)
        if leaf.entries.count >= Node.splitLimit {
            splitLeaf(key)
            leaf = try writableLeaf(key)
        }
        let place = leaf.lowerBound(key)
        if place.isExact {
            if leaf.entries[place.index].flags != flags {
                throw transaction.source.failure(flags == 0 ? .isABucket : .notABucket)
            }
            replace(leaf, place.index, value)
        } else {
            let entry = copy(key, value, flags: flags)
            leaf.entryBytes += entry.bytes
            leaf.entries.insert(entry, at: place.index)
        }
        changes += 1
    }

    /// Overwrites a value of this transaction in place when it fits: keys written again and again do not use up memory.
    private func replace(_ leaf: Node, _ index: Int, _ value: UnsafeRawBufferPointer) {
        leaf.entryBytes += value.count - Int(leaf.entries[index].valueCount)
        if value.count <= Int(leaf.entries[index].room) {
            // Memory of the arena, which only this transaction writes; the source may overlap it.
            let target = UnsafeMutableRawPointer(mutating: leaf.entries[index].valueStart)
            if let base = value.baseAddress { target.copyMemory(from: base, byteCount: value.count) }
        } else {
            let memory = transaction.arena.allocate(value.count)
            if let base = value.baseAddress { memory.copyMemory(from: base, byteCount: value.count) }
            leaf.entries[index].valueStart = UnsafeRawPointer(memory)
            leaf.entries[index].room = UInt32(value.count)
        }
        leaf.entries[index].valueCount = UInt32(value.count)
    }

    func remove(_ key: UnsafeRawBufferPointer) throws(PageFileError) {
        var leaf = try writableLeaf(key)
        if leaf.entries.count >= Node.splitLimit {
            splitLeaf(key)
            leaf = try writableLeaf(key)
        }
        let place = leaf.lowerBound(key)
        precondition(place.isExact, "the key was found a moment ago")
        leaf.entryBytes -= leaf.entries[place.index].bytes
        leaf.entries.remove(at: place.index)
        leaf.isUnbalanced = true
        changes += 1
    }
}

/// Ways down the tree.
extension WritableBucket {
    /// A node in memory or a page.
    enum Step {
        case node(Node)
        case page(PageView)
    }

    func rootStep() throws(PageFileError) -> Step {
        if let rootNode { return .node(rootNode) }
        if let inlinePage { return .page(inlinePage) }
        return .page(try transaction.page(header.root))
    }

    func childStep(_ branch: Node, _ index: Int) throws(PageFileError) -> Step {
        if let child = branch.children[index] { return .node(child) }
        return .page(try transaction.page(branch.entries[index].child))
    }

    /// The entry of a key, without taking any page into memory.
    func lookUp(_ key: UnsafeRawBufferPointer) throws(PageFileError) -> Entry? {
        requireOpen()
        var step = try rootStep()
        for _ in 0...PageFormat.depthLimit {
            switch step {
            case .node(let node) where node.isLeaf:
                let place = node.lowerBound(key)
                return place.isExact ? node.entries[place.index] : nil
            case .node(let node):
                if node.entries.isEmpty { return nil }
                step = try childStep(node, node.childIndex(key))
            case .page(let view):
                var cursor = Cursor(
                    source: transaction.source, limit: transaction.limit, root: view.id, inlinePage: view.id == 0 ? view : nil)
                guard try cursor.find(key) else { return nil }
                return Entry(
                    keyStart: cursor.keyStart, valueStart: cursor.valueStart, keyCount: UInt32(cursor.keyCount),
                    valueCount: UInt32(cursor.valueCount), flags: cursor.isBucket ? PageFormat.bucketElementFlag : 0, room: 0,
                    child: 0)
            }
        }
        throw transaction.source.corrupt(header.root, .treeTooDeep)
    }

    func writableRoot() throws(PageFileError) -> Node {
        if let rootNode { return rootNode }
        let view: PageView
        if let inlinePage { view = inlinePage } else { view = try transaction.page(header.root) }
        let node = try Node(view, source: transaction.source)
        rootNode = node
        return node
    }

    func writableChild(_ branch: Node, _ index: Int) throws(PageFileError) -> Node {
        if let child = branch.children[index] { return child }
        let child = try Node(try transaction.page(branch.entries[index].child), source: transaction.source)
        if child.entries.isEmpty { throw transaction.source.corrupt(branch.entries[index].child, .emptyPage) }
        branch.children[index] = child
        return child
    }

    /// The leaf a key belongs into, in memory with all branches above it.
    func writableLeaf(_ key: UnsafeRawBufferPointer) throws(PageFileError) -> Node {
        var node = try writableRoot()
        var depth = 0
        while !node.isLeaf {
            depth += 1
            guard depth <= PageFormat.depthLimit, !node.entries.isEmpty else { throw badBranch(node) }
            node = try writableChild(node, node.childIndex(key))
        }
        return node
    }

    private func rightmostLeaf() throws(PageFileError) -> Node {
        var node = try writableRoot()
        var depth = 0
        while !node.isLeaf {
            depth += 1
            guard depth <= PageFormat.depthLimit, !node.entries.isEmpty else { throw badBranch(node) }
            node = try writableChild(node, node.entries.count - 1)
        }
        return node
    }

    private func badBranch(_ node: Node) -> PageFileError {
        transaction.source.corrupt(node.origin?.id ?? 0, node.entries.isEmpty ? .emptyPage : .treeTooDeep)
    }

    /// Halves the leaf a key belongs into, which is in memory with all branches above it.
    private func splitLeaf(_ key: UnsafeRawBufferPointer) {
        appendLeaf = nil
        guard let root = rootNode else { preconditionFailure("splitting a leaf of a tree that is not in memory") }
        if root.isLeaf {
            let right = root.splitLeaf()
            let branch = Node(isLeaf: false)
            branch.entries = [.branch(root.entries[0].key, child: 0), .branch(right.entries[0].key, child: 0)]
            branch.children = [root, right]
            rootNode = branch
            return
        }
        var parent = root
        while let child = parent.children[parent.childIndex(key)], !child.isLeaf { parent = child }
        let index = parent.childIndex(key)
        guard let leaf = parent.children[index] else { preconditionFailure("the leaf is in memory") }
        let right = leaf.splitLeaf()
        parent.entries.insert(.branch(right.entries[0].key, child: 0), at: index + 1)
        parent.children.insert(right, at: index + 1)
    }
}
