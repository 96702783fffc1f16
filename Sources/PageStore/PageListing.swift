/// What a page is used for.
public enum PageKind: Equatable, Sendable {
    case meta
    case branch
    case leaf
    case freeList
    /// In use by no state this transaction knows of.
    case free
    /// Neither reachable nor in the free list page of a file that has one.
    case unreachable
    /// The page cannot be read as what its place demands.
    case damaged
}

/// One line of a page list. Overflow pages belong to the page they follow and have no line of their own.
public struct PageInfo: Equatable, Sendable, CustomStringConvertible {
    public let id: PageID
    public let kind: PageKind
    /// Elements of a branch or leaf, page numbers of a free list.
    public let items: Int
    /// Pages that follow and belong to this one.
    public let overflow: Int

    public var description: String {
        let columns = [String(id), "\(kind)", kind == .free ? "" : String(items), overflow == 0 ? "" : String(overflow)]
        return zip(columns, [8, 12, 6, 6]).map { $0 + String(repeating: " ", count: max($1 - $0.count, 1)) }.joined()
    }
}

/// Lists the pages of a transaction's state in order of their numbers.
public struct PageList {
    private let transaction: ReadTransaction
    private let used: PageBitmap
    private let heads: PageBitmap
    private let listed: PageBitmap?
    private var next: PageID = 0

    public static let heading = "page    kind        items overflow"

    /// Visits all reachable pages first, to tell free ones apart.
    public init(_ transaction: ReadTransaction) throws(PageFileError) {
        self.transaction = transaction
        let meta = transaction.meta
        let source = transaction.source
        var used = PageBitmap(pages: meta.highWater)
        var heads = PageBitmap(pages: meta.highWater)
        try PageWalk(source: source, limit: meta.highWater).visit(meta.root) { (_, run) throws(PageFileError) in
            for page in run.id..<run.end where !used.insert(page) { throw source.corrupt(page, .referencedTwice) }
            heads.insert(run.id)
            return true
        }
        self.used = used
        self.heads = heads
        listed = try meta.freeList == PageFormat.noFreeList ? nil : PageList.listedPages(meta, source)
    }

    private static func listedPages(_ meta: Meta, _ source: PageSource) throws(PageFileError) -> PageBitmap {
        let header = try source.header(meta.freeList)
        guard meta.freeList + PageID(header.overflow) < meta.highWater else {
            throw source.corrupt(meta.freeList, .overflowOutOfRange(header.overflow))
        }
        guard let pages = try FreeListPage.read(of: meta, overflow: header.overflow, from: source) else {
            throw source.corrupt(meta.freeList, .tooManyElements(Int(header.count)))
        }
        var bitmap = PageBitmap(pages: meta.highWater)
        for page in pages where page < meta.highWater { bitmap.insert(page) }
        return bitmap
    }

    /// The next page, or nil after the last.
    public mutating func nextPage() throws(PageFileError) -> PageInfo? {
        let meta = transaction.meta
        guard next < meta.highWater else { return nil }
        let id = next
        let header = try transaction.source.header(id)
        let info: PageInfo
        if id < 2 {
            info = PageInfo(id: id, kind: .meta, items: 0, overflow: 0)
        } else if id == meta.freeList {
            let items = listed?.count ?? 0
            info = PageInfo(
                id: id, kind: header.flags == PageFormat.freeListFlag ? .freeList : .damaged, items: items,
                overflow: Int(header.overflow))
        } else if heads[id] {
            let kind: PageKind = header.flags == PageFormat.leafFlag ? .leaf : .branch
            info = PageInfo(id: id, kind: kind, items: Int(header.count), overflow: Int(header.overflow))
        } else {
            info = PageInfo(id: id, kind: listed.map { $0[id] } ?? true ? .free : .unreachable, items: 0, overflow: 0)
        }
        next = id + PageID(info.overflow) + 1
        return info
    }
}
