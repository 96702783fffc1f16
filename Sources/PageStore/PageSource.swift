import Host

/// Where pages come from: a shared mapping of the file, or reads kept in a cache of its own.
///
/// Both give pointers that stay good while a transaction that can reach the page lives: a page is only rewritten, and its cached copy
/// only dropped, after no open transaction can reach it.
///
/// `@unchecked Sendable`: all fields are constants; the mapping is read-only memory kept alive by `mapping`, and the cache locks itself.
@usableFromInline
final class PageSource: @unchecked Sendable {
    let path: String
    let file: any DiskFile
    let pageSize: Int
    let shift: Int
    let mapping: (any FileMapping)?
    @usableFromInline let mappedBase: UnsafeRawPointer?
    let cache: PageCache?

    init(path: String, file: any DiskFile, pageSize: Int, mapping: (any FileMapping)?) {
        self.path = path
        self.file = file
        self.pageSize = pageSize
        shift = pageSize.trailingZeroBitCount
        self.mapping = mapping
        mappedBase = mapping?.base
        cache = mapping == nil ? PageCache(file: file, pageSize: pageSize) : nil
    }

    /// The branch or leaf page `id` of a state with `limit` pages, its header judged.
    @inline(__always)
    func view(_ id: PageID, limit: PageID) throws(PageFileError) -> PageView {
        guard id >= 2 && id < limit else { throw corrupt(id, .pageOutOfRange) }
        let start: UnsafeRawPointer
        if let mappedBase {
            start = mappedBase + Int(truncatingIfNeeded: id) &<< shift
        } else {
            start = try cachedPage(id, limit: limit)
        }
        guard let view = PageView(start, id: id, limit: limit, shift: shift) else { throw misfit(start, id: id, limit: limit) }
        return view
    }

    @inline(never)
    func cachedPage(_ id: PageID, limit: PageID) throws(PageFileError) -> UnsafeRawPointer {
        do {
            return try cache.unsafelyUnwrapped.page(id, limit: limit)
        } catch {
            throw PageFileError(path: path, page: id, reason: error.reason)
        }
    }

    /// Why ``PageView/init(_:id:limit:shift:)`` refused the page.
    @inline(never)
    func misfit(_ start: UnsafeRawPointer, id: PageID, limit: PageID) -> PageFileError {
        let header = PageHeader.load(start)
        if header.id != id { return corrupt(id, .wrongPageNumber(header.id)) }
        if header.flags != PageFormat.leafFlag && header.flags != PageFormat.branchFlag {
            return corrupt(id, .wrongKind(flags: header.flags))
        }
        if id + UInt64(header.overflow) >= limit { return corrupt(id, .overflowOutOfRange(header.overflow)) }
        return corrupt(id, .tooManyElements(Int(header.count)))
    }

    @inline(never)
    func corrupt(_ page: PageID, _ what: Corruption) -> PageFileError {
        PageFileError(path: path, page: page, reason: .corrupt(what))
    }

    func failure(_ reason: PageFileError.Reason, page: PageID? = nil) -> PageFileError {
        PageFileError(path: path, page: page, reason: reason)
    }

    /// Copies raw bytes of the file, whatever pages they belong to; bytes past the end of the file are an error.
    ///
    /// Much at a time is read rather than taken from the mapping, whose pages come from the disk one by one.
    func copy(at offset: Int, into target: UnsafeMutableRawBufferPointer) throws(PageFileError) {
        if let mappedBase, target.count < 64 << 10 {
            target.copyMemory(from: UnsafeRawBufferPointer(start: mappedBase + offset, count: target.count))
            return
        }
        let read: Int
        if let cache {
            do { read = try cache.copy(at: offset, into: target) } catch { throw failure(error.reason) }
        } else {
            do { read = try file.read(at: offset, into: target) } catch { throw failure(.disk(error)) }
        }
        if read < target.count { throw corrupt(PageID(offset >> shift), .shortRead(bytes: read)) }
    }

    /// Reads the first `size` bytes in order, so that the system has them in memory when they are touched in any order.
    func readAhead(_ size: Int) throws(PageFileError) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        for offset in stride(from: 0, to: size, by: buffer.count) {
            do { _ = try file.read(at: offset, into: buffer) } catch { throw failure(.disk(error)) }
        }
    }
}
