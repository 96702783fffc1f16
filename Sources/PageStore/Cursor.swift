/// A position in one bucket of a read transaction.
///
/// A plain value without references: it and the pointers it hands out are good while the transaction that gave it lives, which the
/// caller ensures (`withExtendedLifetime`). Keys and values point into the file's pages.
///
/// Every page is judged when it is entered and every element when it is reached, so a corrupt file ends in a thrown
/// ``PageFileError``: depth is limited, and crossing to another leaf must move on in key order, so no walk is endless.
public struct Cursor {
    /// One branch page on the way from the root to the leaf.
    struct Frame {
        var start: UnsafeRawPointer
        var extent: Int
        var count: Int32
        var index: Int32
    }

    /// Not retained: the transaction holds it.
    let source: Unmanaged<PageSource>
    let mappedBase: UnsafeRawPointer?
    let shift: Int
    let limit: PageID
    let root: PageID
    /// The only page of a bucket without pages of its own.
    let inlinePage: PageView?

    var frames: InlineArray<24, Frame>
    var depth = 0
    var leaf: PageView
    @usableFromInline var leafCount = 0
    /// The element stood on in the leaf, or the place a search ended at.
    @usableFromInline var index = 0
    var hasLeaf = false
    /// Whether the cursor stands on an entry.
    public internal(set) var isValid = false
    @usableFromInline var keyStart: UnsafeRawPointer
    @usableFromInline var keyCount = 0
    @usableFromInline var valueStart: UnsafeRawPointer
    @usableFromInline var valueCount = 0
    /// Whether the entry stood on is a nested bucket; its value is the bucket's header then.
    public internal(set) var isBucket = false

    init(source: PageSource, limit: PageID, root: PageID, inlinePage: PageView?) {
        self.source = .passUnretained(source)
        mappedBase = source.mappedBase
        shift = source.shift
        self.limit = limit
        self.root = root
        self.inlinePage = inlinePage
        // Never read before it is set: any address will do.
        let nowhere = UnsafeRawPointer(bitPattern: 16).unsafelyUnwrapped
        frames = InlineArray(repeating: Frame(start: nowhere, extent: 0, count: 0, index: 0))
        leaf = PageView(start: nowhere, extent: 0, id: 0, count: 0, isLeaf: true)
        keyStart = nowhere
        valueStart = nowhere
    }

    /// The key of the entry stood on. Meaningless unless ``isValid``.
    @inlinable @inline(__always)
    public var key: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: keyStart, count: keyCount) }

    /// The value of the entry stood on. Meaningless unless ``isValid``.
    @inlinable @inline(__always)
    public var value: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: valueStart, count: valueCount) }

    /// Moves to the first entry; false when the bucket is empty.
    public mutating func first() throws(PageFileError) -> Bool {
        forget()
        return try enter(root, atEnd: false)
    }

    /// Moves to the last entry; false when the bucket is empty.
    public mutating func last() throws(PageFileError) -> Bool {
        forget()
        return try enter(root, atEnd: true)
    }

    /// Moves to the first entry whose key is at or after `key`; false when there is none.
    ///
    /// Looks into the leaf it stands on first, then up the branches it came by: ascending searches are cheap.
    public mutating func seek(_ key: UnsafeRawBufferPointer) throws(PageFileError) -> Bool {
        var probe = BytesProbe(key)
        _ = try search(&probe)
        return try settle()
    }

    /// ``seek(_:)`` for a key in an array.
    public mutating func seek(_ key: [UInt8]) throws(PageFileError) -> Bool {
        try key.withBytes { (bytes) throws(PageFileError) in try seek(bytes) }
    }

    /// Moves to exactly this key; false, standing on no entry, when it is not there.
    public mutating func find(_ key: UnsafeRawBufferPointer) throws(PageFileError) -> Bool {
        var probe = BytesProbe(key)
        return try search(&probe)
    }

    /// ``find(_:)`` for a key in an array.
    public mutating func find(_ key: [UInt8]) throws(PageFileError) -> Bool {
        try key.withBytes { (bytes) throws(PageFileError) in try find(bytes) }
    }

    /// ``find(_:)`` for the 17-byte key of a revision in etcd's `key` bucket: main big-endian, `_`, sub big-endian.
    public mutating func findRevision(main: UInt64, sub: UInt64) throws(PageFileError) -> Bool {
        var probe = RevisionProbe(main: main, sub: sub)
        return try search(&probe)
    }

    /// ``seek(_:)`` for the key of a revision.
    public mutating func seekRevision(main: UInt64, sub: UInt64) throws(PageFileError) -> Bool {
        var probe = RevisionProbe(main: main, sub: sub)
        _ = try search(&probe)
        return try settle()
    }

    /// Moves to the next entry; false at the end, where the cursor stands on no entry.
    @inlinable
    public mutating func next() throws(PageFileError) -> Bool {
        guard isValid else { return false }
        if index &+ 1 < leafCount { return try stand(index &+ 1) }
        return try nextLeaf()
    }

    /// Moves to the previous entry; false at the beginning, where the cursor stands on no entry.
    @inlinable
    public mutating func previous() throws(PageFileError) -> Bool {
        guard isValid else { return false }
        if index > 0 { return try stand(index &- 1) }
        return try previousLeaf()
    }
}

extension Cursor {
    @inline(never)
    func corrupt(_ page: PageID, _ what: Corruption) -> PageFileError {
        source.takeUnretainedValue().corrupt(page, what)
    }

    /// An element that reached out of its page: which one is found again for the message.
    @inline(never)
    func badElement(_ view: PageView) -> PageFileError {
        let index = (0..<view.count).first { view.key($0) == nil } ?? 0
        return corrupt(view.id, .elementOutsidePage(index: index))
    }

    @inline(__always)
    func view(_ id: PageID) throws(PageFileError) -> PageView {
        if let mappedBase, id >= 2, id < limit,
            let view = PageView(mappedBase + Int(truncatingIfNeeded: id) &<< shift, id: id, limit: limit, shift: shift)
        {
            return view
        }
        return try unmappedView(id)
    }

    @inline(never)
    private func unmappedView(_ id: PageID) throws(PageFileError) -> PageView {
        if let inlinePage, id == 0 { return inlinePage }
        return try source.takeUnretainedValue().view(id, limit: limit)
    }

    mutating func forget() {
        depth = 0
        hasLeaf = false
        isValid = false
    }

    /// Takes element `position` of the leaf as the entry stood on.
    @usableFromInline
    mutating func stand(_ position: Int) throws(PageFileError) -> Bool {
        guard let key = leaf.key(position), key.count > 0, let value = leaf.value(position, after: key) else {
            isValid = false
            throw corrupt(leaf.id, .elementOutsidePage(index: position))
        }
        keyStart = key.baseAddress.unsafelyUnwrapped
        keyCount = key.count
        valueStart = value.baseAddress.unsafelyUnwrapped
        valueCount = value.count
        isBucket = leaf.leafFlags(position) & PageFormat.bucketElementFlag != 0
        index = position
        isValid = true
        return true
    }

    @inline(__always)
    mutating func take(leaf view: PageView) throws(PageFileError) {
        // Only the root may be an empty leaf; this also keeps a walk over leaves from going on without meeting keys.
        if view.count == 0 && depth > 0 { throw corrupt(view.id, .emptyPage) }
        leaf = view
        leafCount = view.count
        hasLeaf = true
    }

    @inline(__always)
    mutating func push(_ view: PageView, _ index: Int) throws(PageFileError) {
        guard depth < PageFormat.depthLimit else { throw corrupt(view.id, .treeTooDeep) }
        frames[depth] = Frame(start: view.start, extent: view.extent, count: Int32(view.count), index: Int32(index))
        depth += 1
    }

    func frameView(_ level: Int) -> PageView {
        let frame = frames[level]
        let id = PageHeader.load(frame.start).id
        return PageView(start: frame.start, extent: frame.extent, id: id, count: Int(frame.count), isLeaf: false)
    }

    /// Descends to the first or last leaf below `page` and stands on its first or last element.
    mutating func enter(_ page: PageID, atEnd: Bool) throws(PageFileError) -> Bool {
        var view = try view(page)
        while !view.isLeaf {
            if view.count == 0 { throw corrupt(view.id, .emptyPage) }
            let index = atEnd ? view.count - 1 : 0
            try push(view, index)
            view = try self.view(view.child(index))
        }
        try take(leaf: view)
        if view.count == 0 { return false }
        return try stand(atEnd ? view.count - 1 : 0)
    }

    /// Stands on the element `index` points at, going on to the next leaf when that is past this one's end.
    mutating func settle() throws(PageFileError) -> Bool {
        if isValid { return true }
        if index < leafCount { return try stand(index) }
        if leafCount == 0 { return false }
        return try nextLeaf()
    }

    @usableFromInline @inline(never)
    mutating func nextLeaf() throws(PageFileError) -> Bool {
        isValid = false
        guard let lastKey = leaf.key(leafCount - 1), let firstKey = leaf.key(0) else { throw badElement(leaf) }
        guard try climb(by: 1) else { return false }
        guard try enterBelowLastFrame(atEnd: false) else { return false }
        // Strict progress of the first key means no leaf is met twice, whatever the branches say.
        if compareKeys(key, lastKey) <= 0 || compareKeys(key, firstKey) <= 0 { throw outOfOrder() }
        return true
    }

    @usableFromInline @inline(never)
    mutating func previousLeaf() throws(PageFileError) -> Bool {
        isValid = false
        guard let lastKey = leaf.key(leafCount - 1), let firstKey = leaf.key(0) else { throw badElement(leaf) }
        guard try climb(by: -1) else { return false }
        guard try enterBelowLastFrame(atEnd: true) else { return false }
        if compareKeys(key, firstKey) >= 0 || compareKeys(key, lastKey) >= 0 { throw outOfOrder() }
        return true
    }

    private mutating func outOfOrder() -> PageFileError {
        isValid = false
        return corrupt(leaf.id, .keysOutOfOrder)
    }

    /// Goes up to the nearest branch with a neighbouring child and takes that child; false when there is none.
    private mutating func climb(by step: Int32) throws(PageFileError) -> Bool {
        var level = depth - 1
        while level >= 0 {
            let index = frames[level].index + step
            if index >= 0 && index < frames[level].count {
                frames[level].index = index
                depth = level + 1
                hasLeaf = false
                return true
            }
            level -= 1
        }
        return false
    }

    private mutating func enterBelowLastFrame(atEnd: Bool) throws(PageFileError) -> Bool {
        let branch = frameView(depth - 1)
        return try enter(branch.child(Int(frames[depth - 1].index)), atEnd: atEnd)
    }
}

extension Cursor {
    /// Finds the leaf and place for the probe; true, standing on the entry, when the key is there.
    @inline(__always)
    mutating func search<Probe: KeyProbe>(_ probe: inout Probe) throws(PageFileError) -> Bool {
        isValid = false
        if hasLeaf && leafCount > 0 {
            switch try whereabouts(&probe) {
            case .inLeaf:
                guard let place = leaf.lowerBound(probe, start: min(index + 1, leafCount - 1)) else { throw badElement(leaf) }
                if place.isExact { return try stand(place.index) }
                index = place.index
                // Past the end of the last child of a branch, the key may still be in a leaf of another branch.
                if index < leafCount || depth == 0 || frames[depth - 1].index + 1 < frames[depth - 1].count { return false }
            case .nextLeaf(let child):
                hasLeaf = false
                return try descend(&probe, from: child)
            case .elsewhere: break
            }
        }
        forget()
        return try descend(&probe, from: root)
    }

    private enum Whereabouts {
        case inLeaf
        /// Below the next child of the same branch, now taken there.
        case nextLeaf(PageID)
        case elsewhere
    }

    /// Where the key is, as the branch above the leaf tells: its separators were read a moment ago, the leaf's other keys were not.
    @inline(__always)
    private mutating func whereabouts<Probe: KeyProbe>(_ probe: inout Probe) throws(PageFileError) -> Whereabouts {
        guard depth > 0 else { return .inLeaf }
        let branch = frameView(depth - 1)
        let current = Int(frames[depth - 1].index)
        guard let separator = branch.key(current) else { throw badElement(branch) }
        if probe.order(separator) > 0 { return .elsewhere }
        guard current + 1 < branch.count else { return .inLeaf }
        guard let following = branch.key(current + 1) else { throw badElement(branch) }
        if probe.order(following) > 0 { return .inLeaf }
        // Only the next leaf is looked at: what is further away in the branch would have to come from memory first.
        let child = current + 1
        guard child + 1 < branch.count else { return .elsewhere }
        guard let end = branch.key(child + 1) else { throw badElement(branch) }
        if probe.order(end) <= 0 { return .elsewhere }
        frames[depth - 1].index = Int32(child)
        probe.descended(branch, child)
        return .nextLeaf(branch.child(child))
    }

    @inline(__always)
    private mutating func descend<Probe: KeyProbe>(_ probe: inout Probe, from page: PageID) throws(PageFileError) -> Bool {
        hasLeaf = false
        var view = try view(page)
        while !view.isLeaf {
            if view.count == 0 { throw corrupt(view.id, .emptyPage) }
            guard let index = view.childIndex(probe, start: probe.guess(view)) else { throw badElement(view) }
            try push(view, index)
            probe.descended(view, index)
            view = try self.view(view.child(index))
        }
        try take(leaf: view)
        guard let place = view.lowerBound(probe, start: probe.guess(view)) else { throw badElement(view) }
        if place.isExact { return try stand(place.index) }
        index = place.index
        return false
    }
}
