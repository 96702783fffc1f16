/// bbolt's free list page: header, then page numbers ascending; the count stands before them when the header cannot hold it.
enum FreeListPage {
    static func write(_ pages: PageBitmap, run: PageRun, to target: UnsafeMutableRawBufferPointer) {
        let base = target.baseAddress!
        let count = pages.count
        let isLong = count >= Int(PageFormat.longFreeList)
        PageHeader(
            id: run.id, flags: PageFormat.freeListFlag, count: isLong ? PageFormat.longFreeList : UInt16(count),
            overflow: UInt32(run.count - 1)
        ).store(base)
        var at = PageFormat.headerSize
        if isLong {
            base.storeBytes(of: UInt64(count).littleEndian, toByteOffset: at, as: UInt64.self)
            at += 8
        }
        var page = pages.firstSet(from: 0)
        while let id = page {
            base.storeBytes(of: id.littleEndian, toByteOffset: at, as: UInt64.self)
            at += 8
            page = pages.firstSet(from: id + 1)
        }
        (base + at).initializeMemory(as: UInt8.self, repeating: 0, count: target.count - at)
    }

    /// The page numbers in a free list page, or nil when its count does not fit. `page` may end before the page's overflow does.
    static func read(_ page: UnsafeRawBufferPointer) -> [PageID]? {
        guard let (count, start) = count(page), count <= (page.count - start) / 8 else { return nil }
        return (0..<count).map {
            UInt64(littleEndian: page.loadUnaligned(fromByteOffset: start + 8 * $0, as: UInt64.self))
        }
    }

    /// How many page numbers there are, and where they begin.
    private static func count(_ page: UnsafeRawBufferPointer) -> (count: Int, start: Int)? {
        let short = PageHeader.load(page.baseAddress!).count
        if short != PageFormat.longFreeList { return (Int(short), PageFormat.headerSize) }
        let long = UInt64(littleEndian: page.loadUnaligned(fromByteOffset: PageFormat.headerSize, as: UInt64.self))
        return Int(exactly: long).map { ($0, PageFormat.headerSize + 8) }
    }

    /// The page numbers in the free list of a state, or nil when its count fits neither its pages nor the file. The header is the
    /// caller's to judge.
    static func read(of meta: Meta, overflow: UInt32, from source: PageSource) throws(PageFileError) -> [PageID]? {
        let first = UnsafeMutableRawBufferPointer.allocate(byteCount: source.pageSize, alignment: 16)
        defer { first.deallocate() }
        try source.copy(at: Int(meta.freeList) << source.shift, into: first)
        guard let (count, start) = count(UnsafeRawBufferPointer(first)), count <= Int(meta.highWater) else { return nil }
        let size = start + 8 * count
        guard size <= (Int(overflow) + 1) << source.shift else { return nil }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        defer { bytes.deallocate() }
        try source.copy(at: Int(meta.freeList) << source.shift, into: bytes)
        return read(UnsafeRawBufferPointer(bytes))
    }
}
