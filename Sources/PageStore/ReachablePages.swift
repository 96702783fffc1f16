/// Walks over the pages of trees, with each page visited once.
struct PageWalk {
    let source: PageSource
    let limit: PageID

    /// Visits all branch and leaf pages below `root`, and those of the buckets inside; `visit` says whether to go on below a page.
    ///
    /// The walk ends only if `visit` refuses, or throws for, pages it has seen already.
    func visit(
        _ root: PageID, _ visit: (PageView, PageRun) throws(PageFileError) -> Bool
    ) throws(PageFileError) {
        var waiting = [root]
        while let id = waiting.popLast() {
            let view = try source.view(id, limit: limit)
            let run = PageRun(id: id, count: view.extent >> source.shift)
            guard try visit(view, run) else { continue }
            if view.isLeaf {
                try buckets(in: view) { (header) throws(PageFileError) in
                    if header.root != 0 { waiting.append(header.root) }
                }
            } else {
                // Reversed, so that pages come in key order.
                for index in (0..<view.count).reversed() { waiting.append(view.child(index)) }
            }
        }
    }

    /// The headers of the buckets in a leaf.
    private func buckets(
        in view: PageView, _ body: (BucketHeader) throws(PageFileError) -> Void
    ) throws(PageFileError) {
        for index in 0..<view.count where view.leafFlags(index) & PageFormat.bucketElementFlag != 0 {
            guard let key = view.key(index), let value = view.value(index, after: key) else {
                throw source.corrupt(view.id, .elementOutsidePage(index: index))
            }
            guard let header = BucketHeader.load(value) else { throw source.corrupt(view.id, .badBucket) }
            try body(header)
        }
    }
}

extension PageFile {
    /// Finds the free pages: those that the current tree does not reach. A free list page is not trusted for it, because a damaged
    /// one would have live pages overwritten.
    static func scan(source: PageSource, current: Meta, older: Meta?) throws(PageFileError) -> FreeSpace {
        var used = PageBitmap(pages: current.highWater)
        try PageWalk(source: source, limit: current.highWater).visit(current.root) { (_, run) throws(PageFileError) in
            for page in run.id..<run.end where !used.insert(page) { throw source.corrupt(page, .referencedTwice) }
            return true
        }
        if current.freeList != PageFormat.noFreeList { try mark(freeList: current.freeList, of: current, source, &used) }
        let withheld = older.map { reachableOnly(from: $0, source: source, used: used, current: current) } ?? []
        return FreeSpace(used: used, withheld: withheld, highWater: current.highWater, transaction: current.transaction)
    }

    private static func mark(
        freeList: PageID, of meta: Meta, _ source: PageSource, _ used: inout PageBitmap
    ) throws(PageFileError) {
        let header = try source.header(freeList)
        guard header.id == freeList else { throw source.corrupt(freeList, .wrongPageNumber(header.id)) }
        guard header.flags == PageFormat.freeListFlag else { throw source.corrupt(freeList, .wrongKind(flags: header.flags)) }
        guard freeList + PageID(header.overflow) < meta.highWater else {
            throw source.corrupt(freeList, .overflowOutOfRange(header.overflow))
        }
        for page in freeList...freeList + PageID(header.overflow) where !used.insert(page) {
            throw source.corrupt(page, .referencedTwice)
        }
    }

    /// Pages that the older meta's tree reaches and the current one does not.
    ///
    /// A page in both trees is the same page with the same subtree, so only pages outside `used` are followed. bbolt may have
    /// overwritten parts of the older tree: then the walk ends there, for these pages only protect a way back.
    private static func reachableOnly(from older: Meta, source: PageSource, used: PageBitmap, current: Meta) -> [PageRun] {
        var seen = PageBitmap(pages: current.highWater)
        var runs: [PageRun] = []
        let limit = min(older.highWater, current.highWater)
        do {
            try PageWalk(source: source, limit: limit).visit(older.root) { (_, run) throws(PageFileError) in
                if (run.id..<run.end).contains(where: { used[$0] || seen[$0] }) { return false }
                seen.insert(run)
                runs.append(run)
                return true
            }
        } catch {
            return runs
        }
        if let run = freeListRun(of: older, source), !(run.id..<run.end).contains(where: { used[$0] || seen[$0] }) {
            runs.append(run)
        }
        return runs
    }
}

extension PageFile {
    /// The pages of the older meta's free list, if it has one that is still whole.
    private static func freeListRun(of meta: Meta, _ source: PageSource) -> PageRun? {
        guard meta.freeList != PageFormat.noFreeList, let header = try? source.header(meta.freeList) else { return nil }
        let run = PageRun(id: meta.freeList, count: Int(header.overflow) + 1)
        return header.flags == PageFormat.freeListFlag && header.id == run.id && run.end <= meta.highWater ? run : nil
    }
}

extension PageSource {
    /// The header of any page of the file, whatever its kind.
    func header(_ id: PageID) throws(PageFileError) -> PageHeader {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: PageFormat.headerSize, alignment: 16)
        defer { bytes.deallocate() }
        try copy(at: Int(id) << shift, into: bytes)
        return PageHeader.load(UnsafeRawPointer(bytes.baseAddress!))
    }
}
