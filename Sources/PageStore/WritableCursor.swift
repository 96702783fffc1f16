/// A position in a bucket of a write transaction, seeing the transaction's own changes.
///
/// Changes made while it stands somewhere are allowed: moving on, it continues from the key it stood on, whether that key is still
/// there or not. Bytes it lends are good until the bucket's next change.
public struct WritableCursor {
    private struct Frame {
        var step: WritableBucket.Step
        var index: Int
    }

    private let bucket: WritableBucket
    private var frames: [Frame] = []
    private var changes: UInt64 = 0
    /// Whether the cursor stands on an entry.
    public private(set) var isValid = false
    /// The key of the entry stood on. Meaningless unless ``isValid``.
    public private(set) var key = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The value of the entry stood on. Meaningless unless ``isValid``.
    public private(set) var value = UnsafeRawBufferPointer(start: nil, count: 0)
    /// Whether the entry stood on is a nested bucket.
    public private(set) var isBucket = false

    init(_ bucket: WritableBucket) { self.bucket = bucket }

    /// Moves to the first entry; false when the bucket is empty.
    public mutating func first() throws(PageFileError) -> Bool {
        try start()
        try descend(atEnd: false)
        return try settle(forward: true)
    }

    /// Moves to the last entry; false when the bucket is empty.
    public mutating func last() throws(PageFileError) -> Bool {
        try start()
        try descend(atEnd: true)
        return try settle(forward: false)
    }

    /// Moves to the first entry whose key is at or after `key`; false when there is none.
    public mutating func seek(_ key: UnsafeRawBufferPointer) throws(PageFileError) -> Bool {
        try start()
        while true {
            let level = frames.count - 1
            let place = try lowerBound(frames[level].step, key)
            if isLeaf(frames[level].step) {
                frames[level].index = place.index
                return try settle(forward: true)
            }
            frames[level].index = place.isExact ? place.index : max(place.index - 1, 0)
            try push()
        }
    }

    /// ``seek(_:)`` for a key in an array.
    public mutating func seek(_ key: [UInt8]) throws(PageFileError) -> Bool {
        try key.withBytes { (key) throws(PageFileError) in try seek(key) }
    }

    /// Moves to the next entry; false at the end.
    public mutating func next() throws(PageFileError) -> Bool {
        guard isValid else { return false }
        if changes != bucket.changes {
            let stood = key
            guard try seek(stood) else { return false }
            if compareKeys(key, stood) != 0 { return true }
        }
        let stood = key
        frames[frames.count - 1].index += 1
        guard try settle(forward: true) else { return false }
        if compareKeys(key, stood) <= 0 { throw outOfOrder() }
        return true
    }

    /// Moves to the previous entry; false at the beginning.
    public mutating func previous() throws(PageFileError) -> Bool {
        guard isValid else { return false }
        if changes != bucket.changes {
            let stood = key
            // At or after the key it stood on, or past the end: one back is right either way.
            guard try seek(stood) else { return try last() }
        }
        let stood = key
        frames[frames.count - 1].index -= 1
        guard try settle(forward: false) else { return false }
        if compareKeys(key, stood) >= 0 { throw outOfOrder() }
        return true
    }
}

extension WritableCursor {
    private mutating func start() throws(PageFileError) {
        bucket.requireOpen()
        frames.removeAll(keepingCapacity: true)
        isValid = false
        changes = bucket.changes
        frames.append(Frame(step: try bucket.rootStep(), index: 0))
    }

    /// Strict order at every step also means that no walk over a corrupt tree is endless.
    private mutating func outOfOrder() -> PageFileError {
        isValid = false
        return bucket.transaction.source.corrupt(bucket.header.root, .keysOutOfOrder)
    }

    private func isLeaf(_ step: WritableBucket.Step) -> Bool {
        switch step {
        case .node(let node): node.isLeaf
        case .page(let view): view.isLeaf
        }
    }

    private func count(_ step: WritableBucket.Step) -> Int {
        switch step {
        case .node(let node): node.entries.count
        case .page(let view): view.count
        }
    }

    private func lowerBound(_ step: WritableBucket.Step, _ key: UnsafeRawBufferPointer) throws(PageFileError) -> PagePlace {
        switch step {
        case .node(let node): return node.lowerBound(key)
        case .page(let view):
            guard let place = view.lowerBound(BytesProbe(key), start: nil) else { throw badPage(view) }
            return place
        }
    }

    private func badPage(_ view: PageView) -> PageFileError {
        let index = (0..<view.count).first { view.key($0) == nil } ?? 0
        return bucket.transaction.source.corrupt(view.id, .elementOutsidePage(index: index))
    }

    /// Goes into the child that the last frame points at.
    private mutating func push() throws(PageFileError) {
        let frame = frames[frames.count - 1]
        let step: WritableBucket.Step
        switch frame.step {
        case .node(let node): step = try bucket.childStep(node, frame.index)
        case .page(let view):
            if view.count == 0 { throw bucket.transaction.source.corrupt(view.id, .emptyPage) }
            step = .page(try bucket.transaction.page(view.child(frame.index)))
        }
        guard frames.count <= PageFormat.depthLimit else {
            throw bucket.transaction.source.corrupt(bucket.header.root, .treeTooDeep)
        }
        frames.append(Frame(step: step, index: 0))
    }

    private mutating func descend(atEnd: Bool) throws(PageFileError) {
        while true {
            let level = frames.count - 1
            frames[level].index = atEnd ? max(count(frames[level].step) - 1, 0) : 0
            if isLeaf(frames[level].step) { return }
            try push()
        }
    }

    /// Stands on the entry the leaf's frame points at, or on the nearest one beyond when it points past either end.
    private mutating func settle(forward: Bool) throws(PageFileError) -> Bool {
        isValid = false
        // Leaves emptied by this transaction are passed over; empty leaves of a corrupt tree must not make that endless.
        var budget = bucket.transaction.limit + PageID(bucket.changes)
        while true {
            let level = frames.count - 1
            let index = frames[level].index
            if index >= 0 && index < count(frames[level].step) { return try stand(frames[level].step, index) }
            if budget == 0 { throw bucket.transaction.source.corrupt(bucket.header.root, .keysOutOfOrder) }
            budget -= 1
            guard try moveToNeighbour(forward) else { return false }
        }
    }

    private mutating func moveToNeighbour(_ forward: Bool) throws(PageFileError) -> Bool {
        var level = frames.count - 2
        while level >= 0 {
            let index = frames[level].index + (forward ? 1 : -1)
            if index >= 0 && index < count(frames[level].step) {
                frames[level].index = index
                frames.removeSubrange((level + 1)...)
                try push()
                try descend(atEnd: !forward)
                return true
            }
            level -= 1
        }
        return false
    }

    private mutating func stand(_ step: WritableBucket.Step, _ index: Int) throws(PageFileError) -> Bool {
        let flags: UInt32
        switch step {
        case .node(let node):
            key = node.entries[index].key
            value = node.entries[index].value
            flags = node.entries[index].flags
        case .page(let view):
            guard let found = view.key(index), found.count > 0, let content = view.value(index, after: found) else {
                throw badPage(view)
            }
            key = found
            value = content
            flags = view.leafFlags(index)
        }
        isBucket = flags & PageFormat.bucketElementFlag != 0
        isValid = true
        return true
    }
}
