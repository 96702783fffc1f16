/// Compaction in place: the last pages of the file move to free pages further down, inside an ordinary write transaction.
///
/// Once such pages are free and no reader or meta page reaches them, commits lower the high water mark and cut the file off.
extension WriteTransaction {
    /// Marks pages at the end of the file to be written anew at commit, where the lowest free pages are taken.
    ///
    /// Work is bounded by `maximumPages`, overflow pages counted; branches above them are rewritten besides. Pages of buckets inside
    /// top-level buckets are not found, and end the search. Returns how many pages will move; 0 when nothing could be gained.
    public func relocateTail(maximumPages: Int) throws(PageFileError) -> Int {
        precondition(isOpen, "the write transaction has ended")
        let buckets = try topLevelBuckets()
        var moved = 0
        var end = limit
        // Free pages that lie before what is to be moved; those behind it are about to be given up.
        var room = freeSpace.free.count(0..<end)
        while let top = freeSpace.unused.lastClear(before: end), top >= 2 {
            guard let run = try owner(of: top, in: buckets) else { break }
            room -= freeSpace.free.count(run.pages.id..<end)
            end = run.pages.id
            // A node that is in memory already moves in any case.
            guard let bucket = run.bucket else { continue }
            if moved + run.pages.count > maximumPages || room < moved + run.pages.count || !freeSpace.hasRoom(run.pages) { break }
            try bucket.take(run.key, until: run.pages.id)
            moved += run.pages.count
        }
        return moved
    }

    private struct Owner {
        let pages: PageRun
        let key: UnsafeRawBufferPointer
        /// nil when the pages will be written anew already.
        let bucket: WritableBucket?
    }

    private func topLevelBuckets() throws(PageFileError) -> [WritableBucket] {
        var buckets = [root]
        var cursor = root.cursor()
        var stands = try cursor.first()
        while stands {
            if cursor.isBucket, let bucket = try root.bucket(Array(cursor.key)) { buckets.append(bucket) }
            stands = try cursor.next()
        }
        return buckets
    }

    /// The node whose last page is `top`, found by its first key in the bucket that leads to it.
    private func owner(of top: PageID, in buckets: [WritableBucket]) throws(PageFileError) -> Owner? {
        if base.meta.freeList != PageFormat.noFreeList {
            let list = PageRun(id: base.meta.freeList, count: Int(try source.header(base.meta.freeList).overflow) + 1)
            let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
            if top >= list.id && top < list.end { return Owner(pages: list, key: nothing, bucket: nil) }
        }
        // An overflow page has no header: what stands there may look like one, so each candidate must be reached from a root.
        let lowest = max(top - min(top, PageID(WriteTransaction.longestRun)), 2)
        for start in (lowest...top).reversed() {
            let header = try source.header(start)
            guard header.id == start, start + PageID(header.overflow) == top, let view = try? page(start) else { continue }
            let run = PageRun(id: start, count: Int(header.overflow) + 1)
            guard let key = view.count == 0 ? UnsafeRawBufferPointer(start: nil, count: 0) : view.key(0) else { continue }
            for bucket in buckets {
                switch try bucket.place(of: start, key) {
                case .elsewhere: continue
                case .page: return Owner(pages: run, key: key, bucket: bucket)
                case .memory: return Owner(pages: run, key: key, bucket: nil)
                }
            }
        }
        return nil
    }

    /// Pages of one node that are looked through for its start: 256 MiB of 4 KiB pages.
    private static let longestRun = 1 << 16
}

extension FreeSpace {
    /// Whether a run would find a place further down.
    func hasRoom(_ run: PageRun) -> Bool {
        var at: PageID = 0
        while let start = free.firstSet(from: at), start < run.id {
            at = free.firstClear(from: start)
            if at - start >= PageID(run.count) { return true }
        }
        return false
    }
}

extension WritableBucket {
    enum Whereabouts {
        case elsewhere
        case page
        case memory
    }

    /// Whether the way down to `key` passes page `id`.
    func place(of id: PageID, _ key: UnsafeRawBufferPointer) throws(PageFileError) -> Whereabouts {
        if rootNode == nil && header.root == 0 { return .elsewhere }
        var step = try rootStep()
        for _ in 0...PageFormat.depthLimit {
            switch step {
            case .node(let node):
                if node.origin?.id == id { return .memory }
                if node.isLeaf || node.entries.isEmpty { return .elsewhere }
                step = try childStep(node, node.childIndex(key))
            case .page(let view):
                if view.id == id { return .page }
                if view.isLeaf || view.count == 0 { return .elsewhere }
                guard let index = view.childIndex(BytesProbe(key), start: nil) else { return .elsewhere }
                step = .page(try transaction.page(view.child(index)))
            }
        }
        return .elsewhere
    }

    /// Takes the nodes on the way down to `key` into memory, as far as page `id`.
    func take(_ key: UnsafeRawBufferPointer, until id: PageID) throws(PageFileError) {
        var node = try writableRoot()
        var depth = 0
        while node.origin?.id != id && !node.isLeaf && depth < PageFormat.depthLimit {
            node = try writableChild(node, node.childIndex(key))
            depth += 1
        }
        // Moving is an occasion to merge what deletions by others, or by an earlier release, left too small.
        if node.isLeaf { node.isUnbalanced = true }
    }
}
