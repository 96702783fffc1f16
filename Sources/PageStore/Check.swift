/// One thing wrong with a page file.
public struct CheckProblem: Equatable, Sendable, CustomStringConvertible {
    public enum Kind: Equatable, Sendable {
        case meta(MetaProblem)
        case corrupt(Corruption)
        /// A key outside the range that the branch above gives its page.
        case keyOutsideRange(index: Int)
        case unknownElementFlags(index: Int, flags: UInt32)
        /// The free list page's count does not fit.
        case freeListTooLong
        case freeListOutOfOrder(index: Int)
        /// The free list names a page outside the file.
        case freePageOutOfRange
        /// In use, and in the free list.
        case reachableYetFree
        /// Neither in use nor in the free list.
        case unreachableNotFree
    }

    public let page: PageID
    public let kind: Kind

    public var description: String {
        switch kind {
        case .meta(let problem): "page \(page): meta page: \(problem)"
        case .corrupt(let corruption): "page \(page): \(corruption)"
        case .keyOutsideRange(let index): "page \(page): key \(index) is outside the range its branch gives"
        case .unknownElementFlags(let index, let flags):
            "page \(page): element \(index) has unknown flags 0x\(String(flags, radix: 16))"
        case .freeListTooLong: "page \(page): the free list does not fit into its pages"
        case .freeListOutOfOrder(let index): "page \(page): free list out of order at \(index)"
        case .freePageOutOfRange: "page \(page): in the free list, but outside the file"
        case .reachableYetFree: "page \(page): in use, but in the free list"
        case .unreachableNotFree: "page \(page): neither in use nor in the free list"
        }
    }
}

/// What a check found.
public struct CheckReport: Sendable, CustomStringConvertible {
    /// The state that was checked.
    public let transaction: UInt64
    /// Pages up to the last one, meta pages included.
    public internal(set) var pages = 0
    public internal(set) var freePages = 0
    /// Whether the file holds a free list page; etcd's do not.
    public internal(set) var hasFreeList = false
    /// All buckets, those inside others included.
    public internal(set) var buckets = 0
    /// Entries that are not buckets.
    public internal(set) var keys = 0
    /// The first problems, as many as were asked for.
    public internal(set) var problems: [CheckProblem] = []
    public internal(set) var problemCount = 0

    public var isSound: Bool { problemCount == 0 }

    public var description: String {
        var lines = problems.map(\.description)
        if problemCount > problems.count { lines.append("and \(problemCount - problems.count) more problems") }
        let verdict = isSound ? "OK" : "\(problemCount) problems"
        lines.append(
            "\(verdict): transaction \(transaction), \(pages) pages, \(freePages) free, \(buckets) buckets, \(keys) keys")
        return lines.joined(separator: "\n")
    }
}

extension ReadTransaction {
    /// Checks everything that can be checked without knowing what keys mean: both meta pages; every page reachable exactly once or
    /// free; keys sorted and inside the ranges their branches give; elements inside their pages; the free list, if there is one.
    ///
    /// Damage is reported, not thrown; only a disk that cannot be read is an error.
    public func check(problemLimit: Int = 100) throws(PageFileError) -> CheckReport {
        var checker = Checker(source: source, meta: meta, problemLimit: problemLimit)
        try checker.checkMetas()
        try checker.checkTree(meta.root)
        try checker.checkFreeList()
        return checker.report
    }
}

private struct Checker {
    private let source: PageSource
    private let meta: Meta
    private let problemLimit: Int
    private var used: PageBitmap
    var report: CheckReport

    init(source: PageSource, meta: Meta, problemLimit: Int) {
        self.source = source
        self.meta = meta
        self.problemLimit = problemLimit
        used = PageBitmap(pages: meta.highWater)
        report = CheckReport(transaction: meta.transaction)
        report.pages = Int(meta.highWater)
        report.hasFreeList = meta.freeList != PageFormat.noFreeList
    }

    private mutating func add(_ page: PageID, _ kind: CheckProblem.Kind) {
        report.problemCount += 1
        if report.problems.count < problemLimit { report.problems.append(CheckProblem(page: page, kind: kind)) }
    }

    private mutating func add(_ page: PageID, _ corruption: Corruption) { add(page, .corrupt(corruption)) }

    /// Keeps damage as a problem; passes on that the disk cannot be read.
    private mutating func keep(_ error: PageFileError) throws(PageFileError) {
        guard case .corrupt(let corruption) = error.reason else { throw error }
        add(error.page ?? 0, corruption)
    }

    mutating func checkMetas() throws(PageFileError) {
        used.insert(PageRun(id: 0, count: 2))
        for slot in 0..<2 {
            let header = try source.header(PageID(slot))
            if header.id != PageID(slot) { add(PageID(slot), .wrongPageNumber(header.id)) }
            if header.flags != PageFormat.metaFlag { add(PageID(slot), .wrongKind(flags: header.flags)) }
            let decoded = try PageFile.decodeMeta(source.file, path: source.path, at: slot * source.pageSize)
            if case .failure(let fault) = decoded { add(PageID(slot), .meta(fault.problem)) }
        }
    }

    mutating func checkTree(_ root: PageID) throws(PageFileError) {
        try checkPage(root, low: nil, high: nil, depth: 0, bucketDepth: 0)
    }

    /// Checks a page and all below it. Its keys lie in `low..<high`.
    private mutating func checkPage(
        _ id: PageID, low: UnsafeRawBufferPointer?, high: UnsafeRawBufferPointer?, depth: Int, bucketDepth: Int
    ) throws(PageFileError) {
        let view: PageView
        do { view = try source.view(id, limit: meta.highWater) } catch {
            try keep(error)
            return
        }
        for page in id..<id + PageID(view.extent >> source.shift) where !used.insert(page) {
            add(page, .referencedTwice)
            return
        }
        if depth >= PageFormat.depthLimit { return add(id, .treeTooDeep) }
        if view.count == 0 && (depth > 0 || !view.isLeaf) { add(id, .emptyPage) }
        guard checkKeys(view, low: low, high: high) else { return }
        if view.isLeaf { return try checkLeaf(view, bucketDepth: bucketDepth) }
        for index in 0..<view.count {
            let next = index + 1 < view.count ? view.key(index + 1) : high
            try checkPage(view.child(index), low: view.key(index), high: next, depth: depth + 1, bucketDepth: bucketDepth)
        }
    }

    /// Checks keys one by one; false when one cannot even be read.
    private mutating func checkKeys(_ view: PageView, low: UnsafeRawBufferPointer?, high: UnsafeRawBufferPointer?) -> Bool {
        var previous: UnsafeRawBufferPointer?
        for index in 0..<view.count {
            guard let key = view.key(index) else {
                add(view.id, .elementOutsidePage(index: index))
                return false
            }
            if key.count == 0 { add(view.id, .emptyKey(index: index)) }
            if let previous, compareKeys(previous, key) >= 0 { add(view.id, .keysOutOfOrder) }
            if let low, index == 0, compareKeys(key, low) < 0 { add(view.id, .keyOutsideRange(index: index)) }
            if let high, compareKeys(key, high) >= 0 { add(view.id, .keyOutsideRange(index: index)) }
            previous = key
        }
        return true
    }

    private mutating func checkLeaf(_ view: PageView, bucketDepth: Int) throws(PageFileError) {
        for index in 0..<view.count {
            let flags = view.leafFlags(index)
            if flags & ~PageFormat.bucketElementFlag != 0 { add(view.id, .unknownElementFlags(index: index, flags: flags)) }
            guard let key = view.key(index), let value = view.value(index, after: key) else {
                add(view.id, .elementOutsidePage(index: index))
                continue
            }
            if flags & PageFormat.bucketElementFlag == 0 {
                report.keys += 1
            } else {
                try checkBucket(value, in: view, bucketDepth: bucketDepth + 1)
            }
        }
    }

    private mutating func checkBucket(
        _ value: UnsafeRawBufferPointer, in view: PageView, bucketDepth: Int
    ) throws(PageFileError) {
        report.buckets += 1
        if bucketDepth > PageFormat.bucketDepthLimit { return add(view.id, .bucketsTooDeep) }
        guard let bucket = Bucket(source: source, limit: meta.highWater, value: value) else { return add(view.id, .badBucket) }
        guard let page = bucket.inlinePage else {
            return try checkPage(bucket.header.root, low: nil, high: nil, depth: 0, bucketDepth: bucketDepth)
        }
        // Problems of an inline page are those of the page it stands in.
        let inside = PageView(start: page.start, extent: page.extent, id: view.id, count: page.count, isLeaf: true)
        if checkKeys(inside, low: nil, high: nil) { try checkLeaf(inside, bucketDepth: bucketDepth) }
    }

    mutating func checkFreeList() throws(PageFileError) {
        var listed: PageBitmap?
        if report.hasFreeList { listed = try readFreeList() }
        for page in 2..<max(meta.highWater, 2) {
            let isListed = listed?[page] ?? !used[page]
            if isListed { report.freePages += 1 }
            if used[page] && isListed { add(page, .reachableYetFree) }
            if !used[page] && !isListed { add(page, .unreachableNotFree) }
        }
    }

    /// The pages in the free list page, or nil when it cannot be read.
    private mutating func readFreeList() throws(PageFileError) -> PageBitmap? {
        let id = meta.freeList
        let header = try source.header(id)
        if header.id != id { add(id, .wrongPageNumber(header.id)) }
        if header.flags != PageFormat.freeListFlag { add(id, .wrongKind(flags: header.flags)) }
        let run = PageRun(id: id, count: Int(header.overflow) + 1)
        guard header.id == id, header.flags == PageFormat.freeListFlag else { return nil }
        guard run.end <= meta.highWater else {
            add(id, .overflowOutOfRange(header.overflow))
            return nil
        }
        for page in run.id..<run.end where !used.insert(page) { add(page, .referencedTwice) }
        guard let pages = try FreeListPage.read(of: meta, overflow: header.overflow, from: source) else {
            add(id, .freeListTooLong)
            return nil
        }
        var listed = PageBitmap(pages: meta.highWater)
        for (index, page) in pages.enumerated() {
            if index > 0 && pages[index - 1] >= page { add(id, .freeListOutOfOrder(index: index)) }
            if page < 2 || page >= meta.highWater { add(page, .freePageOutOfRange) } else { listed.insert(page) }
        }
        return listed
    }
}
