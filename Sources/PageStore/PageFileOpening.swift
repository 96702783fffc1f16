import Bytes
import Host

extension PageFile {
    /// Opens a page file, creating it when it is missing (unless read-only).
    ///
    /// Takes `flock` on it: exclusive for writing, shared for reading only. When one meta page is torn the other one is used. For
    /// writing all reachable pages are visited, because that alone tells the free ones; damage found on the way is thrown.
    public static func open(
        disk: any Disk, path: String, options: PageFileOptions = PageFileOptions()
    ) throws(PageFileError) -> PageFile {
        guard PageFormat.isSupported(pageSize: options.pageSize) else {
            throw PageFileError(path: path, reason: .unsupportedPageSize(options.pageSize))
        }
        let file = try onDisk(path) { () throws(DiskError) in try disk.open(path, openMode(options)) }
        do {
            return try open(disk: disk, file: file, path: path, options: options)
        } catch {
            file.close()
            throw error
        }
    }

    private static func openMode(_ options: PageFileOptions) -> OpenMode {
        if options.isReadOnly { return .readOnly }
        return options.createsNew
            ? .createNew(permissions: options.permissions) : .readWriteCreating(permissions: options.permissions)
    }

    private static func open(
        disk: any Disk, file: any DiskFile, path: String, options: PageFileOptions
    ) throws(PageFileError) -> PageFile {
        let lock: FileLock = options.isReadOnly ? .flockShared : .flockExclusive
        guard try onDisk(path, { () throws(DiskError) in try file.tryLock(lock) }) else {
            throw PageFileError(path: path, reason: .lockedByAnotherProcess)
        }
        var size = try onDisk(path) { () throws(DiskError) in try file.size() }
        if !options.isReadOnly, try isUnwritten(file, path: path, size: size, pageSize: options.pageSize) {
            size = try create(disk: disk, file: file, path: path, pageSize: options.pageSize)
        }
        let metas = try readMetas(file, path: path, size: size)
        let needed = Int(metas.current.meta.highWater) * metas.current.meta.pageSize
        if size < needed { throw PageFileError(path: path, reason: .fileTooShort(size: size, needed: needed)) }
        let source = try makeSource(
            file: file, path: path, pageSize: metas.current.meta.pageSize, options: options, needed: max(size, needed))
        if options.readsAhead && source.mapping != nil { try source.readAhead(needed) }
        var state = State(current: metas.current, older: metas.older, source: source, fileSize: size)
        if !options.isReadOnly {
            let freeSpace = try scan(source: source, current: metas.current.meta, older: metas.older?.meta)
            state.freePages = freeSpace.freeCount
            state.pendingPages = freeSpace.pendingCount
            state.freeSpace = freeSpace
            source.cache?.trim()
        }
        return PageFile(path: path, options: options, file: file, state: state)
    }

    /// A way to the pages: mapped with room for the file to grow, or through a cache.
    static func makeSource(
        file: any DiskFile, path: String, pageSize: Int, options: PageFileOptions, needed: Int
    ) throws(PageFileError) -> PageSource {
        var mapping: (any FileMapping)?
        if case .mapped = options.access {
            let capacity = needed <= options.mapCapacity ? options.mapCapacity : needed + needed / 2
            mapping = try onDisk(path) { () throws(DiskError) in try file.map(capacity: capacity) }
        }
        return PageSource(path: path, file: file, pageSize: pageSize, mapping: mapping)
    }

    /// Runs a disk operation, naming the page file in its error.
    static func onDisk<R>(_ path: String, _ body: () throws(DiskError) -> R) throws(PageFileError) -> R {
        do { return try body() } catch { throw PageFileError(path: path, reason: .disk(error)) }
    }
}

/// Creation: pages 2 and 3 are durable before the first meta page says so.
extension PageFile {
    /// Whether the file holds nothing yet: empty, or left behind by a creation that did not reach its meta pages.
    private static func isUnwritten(
        _ file: any DiskFile, path: String, size: Int, pageSize: Int
    ) throws(PageFileError) -> Bool {
        if size == 0 { return true }
        guard size <= 4 * pageSize else { return false }
        return try readPrefix(file, path: path, at: 0, count: min(2 * pageSize, size)).allSatisfy { $0 == 0 }
    }

    private static func readPrefix(
        _ file: any DiskFile, path: String, at offset: Int, count: Int
    ) throws(PageFileError) -> [UInt8] {
        try onDisk(path) { () throws(DiskError) in
            var bytes = [UInt8](repeating: 0, count: count)
            let read = try bytes.withUnsafeMutableBufferPointer { (buffer) throws(DiskError) in
                try file.read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
            }
            return Array(bytes[..<read])
        }
    }

    /// Writes an empty tree, as bbolt does: meta pages 0 and 1, an empty free list in page 2, an empty root leaf in page 3.
    private static func create(
        disk: any Disk, file: any DiskFile, path: String, pageSize: Int
    ) throws(PageFileError) -> Int {
        var bytes = [UInt8](repeating: 0, count: 4 * pageSize)
        bytes.withUnsafeMutableBytes { buffer in
            let base = buffer.baseAddress!
            PageHeader(id: 2, flags: PageFormat.freeListFlag, count: 0, overflow: 0).store(base + 2 * pageSize)
            PageHeader(id: 3, flags: PageFormat.leafFlag, count: 0, overflow: 0).store(base + 3 * pageSize)
            for slot in 0..<2 {
                let meta = Meta(pageSize: pageSize, root: 3, freeList: 2, highWater: 4, transaction: UInt64(slot))
                meta.encode(UnsafeMutableRawBufferPointer(rebasing: buffer[slot * pageSize..<(slot + 1) * pageSize]), slot: slot)
            }
        }
        try onDisk(path) { () throws(DiskError) in
            try bytes.withBytes { (buffer) throws(DiskError) in
                try file.write(UnsafeRawBufferPointer(rebasing: buffer[(2 * pageSize)...]), at: 2 * pageSize)
                try file.syncData()
                try file.write(UnsafeRawBufferPointer(rebasing: buffer[..<(2 * pageSize)]), at: 0)
                try file.syncData()
            }
            try disk.syncDirectory(directory(of: path))
        }
        return bytes.count
    }

    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

/// Finding the meta pages.
extension PageFile {
    /// The usable meta pages, the newest first.
    private static func readMetas(
        _ file: any DiskFile, path: String, size: Int
    ) throws(PageFileError) -> (current: Slot, older: Slot?) {
        let first = try decodeMeta(file, path: path, at: 0)
        let pageSize: Int
        if case .success(let meta) = first { pageSize = meta.pageSize } else { pageSize = 0 }
        var second: Result<Meta, MetaFault> = .failure(MetaFault(.missing))
        // Without the first meta page the page size is unknown: the second stands at one of these offsets.
        for candidate in [1024, 2048, 4096, 8192, 16384, 32768, 65536] where pageSize == 0 || pageSize == candidate {
            let found = try decodeMeta(file, path: path, at: candidate)
            if case .success(let meta) = found {
                if meta.pageSize != candidate { continue }
                second = found
                break
            }
            if candidate == 4096 || pageSize == candidate { second = found }
        }
        switch (first, second) {
        case (.success(let zero), .success(let one)):
            let slots = [Slot(meta: zero, number: 0), Slot(meta: one, number: 1)]
            return one.transaction > zero.transaction ? (slots[1], slots[0]) : (slots[0], slots[1])
        case (.success(let zero), .failure):
            return (Slot(meta: zero, number: 0), nil)
        case (.failure, .success(let one)):
            return (Slot(meta: one, number: 1), nil)
        case (.failure(let zero), .failure(let one)):
            throw PageFileError(path: path, reason: .notAPageFile(meta0: zero.problem, meta1: one.problem))
        }
    }

    static func decodeMeta(_ file: any DiskFile, path: String, at offset: Int) throws(PageFileError) -> Result<Meta, MetaFault> {
        let bytes = try readPrefix(file, path: path, at: offset, count: PageFormat.headerSize + PageFormat.metaSize)
        return bytes.withUnsafeBytes { Meta.decode($0) }
    }
}
