import Host

extension ReadTransaction {
    /// Writes all buckets with their sequences into a new page file without free pages, pages filled to 90 %.
    ///
    /// The file is made at `path`, where none may exist yet; when this returns, its content is durable, but not its name (rename it and
    /// sync the directory). Memory is bounded by two pages for each level of the trees and one write buffer. After an error the
    /// unfinished file is removed.
    ///
    /// - Returns: bytes of the new file.
    public func defragment(into path: String, disk: any Disk, permissions: UInt32 = 0o600) throws(PageFileError) -> Int {
        let target = try PageFile.onDisk(path) { () throws(DiskError) in
            try disk.open(path, .createNew(permissions: permissions))
        }
        do throws(PageFileError) {
            defer { target.close() }
            // The lock keeps other processes from opening a file that is not finished.
            guard try PageFile.onDisk(path, { () throws(DiskError) in try target.tryLock(.flockExclusive) }) else {
                throw PageFileError(path: path, reason: .lockedByAnotherProcess)
            }
            var copy = FileCopy(self, target: target)
            return try copy.run()
        } catch {
            // The first error tells more than a leftover that cannot be removed either.
            try? disk.remove(path)
            throw error
        }
    }
}

/// Copies the trees of a read transaction, page after page, into a file that nobody else knows.
private struct FileCopy: ~Copyable, PageSink {
    private let transaction: ReadTransaction
    private let target: any DiskFile
    private let pageSize: Int
    private var nextPage: PageID = 2
    private var buffer: UnsafeMutableRawBufferPointer
    private var used = 0
    /// File position of the buffer's first byte.
    private var bufferOffset: Int
    /// Roots of buckets that were copied: a damaged file might lead to one again and again.
    private var copied: Set<PageID> = []

    init(_ transaction: ReadTransaction, target: any DiskFile) {
        self.transaction = transaction
        self.target = target
        pageSize = transaction.source.pageSize
        buffer = .allocate(byteCount: 1 << 20, alignment: 4096)
        bufferOffset = 2 * pageSize
    }

    deinit { buffer.deallocate() }

    mutating func run() throws(PageFileError) -> Int {
        var headers: [BucketMemory] = []
        let root = try copyTree(transaction.root, depth: 0, &headers)
        try flush()
        try onTarget { (target) throws(DiskError) in try target.syncData() }
        var meta = transaction.meta
        meta.root = root
        meta.freeList = PageFormat.noFreeList
        meta.highWater = nextPage
        // Both meta pages lead to the same tree, so that either is enough.
        for slot in 0..<2 {
            meta.transaction = UInt64(slot)
            let page = UnsafeMutableRawBufferPointer(rebasing: buffer[..<pageSize])
            meta.encode(page, slot: slot)
            try onTarget { (target) throws(DiskError) in try target.write(UnsafeRawBufferPointer(page), at: slot * pageSize) }
        }
        try onTarget { (target) throws(DiskError) in try target.syncData() }
        return Int(nextPage) * pageSize
    }

    private func onTarget(_ body: (any DiskFile) throws(DiskError) -> Void) throws(PageFileError) {
        do { try body(target) } catch { throw PageFileError(path: target.path, reason: .disk(error)) }
    }

    /// Copies a bucket's tree; returns its root. New values of buckets inside are kept in `memory` until the tree is written.
    private mutating func copyTree(
        _ bucket: Bucket, depth: Int, _ memory: inout [BucketMemory]
    ) throws(PageFileError) -> PageID {
        var builder = TreeBuilder(pageSize: pageSize)
        try fill(&builder, from: bucket, depth: depth, &memory)
        return try builder.finish(&self)
    }

    private mutating func fill(
        _ builder: inout TreeBuilder, from bucket: Bucket, depth: Int, _ memory: inout [BucketMemory]
    ) throws(PageFileError) {
        let source = transaction.source
        if depth > PageFormat.bucketDepthLimit { throw source.corrupt(bucket.header.root, .bucketsTooDeep) }
        if bucket.header.root != 0, !copied.insert(bucket.header.root).inserted {
            throw source.corrupt(bucket.header.root, .referencedTwice)
        }
        var cursor = bucket.cursor()
        var stands = try cursor.first()
        while stands {
            var value = cursor.value
            if cursor.isBucket {
                let inside = try copyBucket(try bucket.bucket(at: cursor), depth: depth + 1)
                memory.append(inside)
                value = UnsafeRawBufferPointer(inside.bytes)
            }
            let entry = Entry(
                keyStart: cursor.key.baseAddress!, valueStart: value.baseAddress!, keyCount: UInt32(cursor.key.count),
                valueCount: UInt32(value.count), flags: cursor.isBucket ? PageFormat.bucketElementFlag : 0, room: 0, child: 0)
            try builder.add(entry, to: &self)
            stands = try cursor.next()
        }
    }

    /// Copies a bucket inside another; returns what its parent holds for it: a header, and its only page when that is small.
    private mutating func copyBucket(_ bucket: Bucket, depth: Int) throws(PageFileError) -> BucketMemory {
        var memory: [BucketMemory] = []
        var builder = TreeBuilder(pageSize: pageSize)
        try fill(&builder, from: bucket, depth: depth, &memory)
        guard let entries = builder.inlineEntries(pageSize: pageSize) else {
            let value = BucketMemory(count: PageFormat.bucketHeaderSize)
            BucketHeader(root: try builder.finish(&self), sequence: bucket.sequence).store(value.bytes.baseAddress!)
            return value
        }
        let image = NodeImage(isLeaf: true, entries: entries[...])
        let value = BucketMemory(count: PageFormat.bucketHeaderSize + image.size)
        BucketHeader(root: 0, sequence: bucket.sequence).store(value.bytes.baseAddress!)
        image.write(to: UnsafeMutableRawBufferPointer(rebasing: value.bytes[PageFormat.bucketHeaderSize...]), id: 0, pages: 0)
        return value
    }

    mutating func write(_ entries: [Entry], isLeaf: Bool) throws(PageFileError) -> PageID {
        let image = NodeImage(isLeaf: isLeaf, entries: entries[...])
        let pages = (image.size + pageSize - 1) / pageSize
        let bytes = pages * pageSize
        if used + bytes > buffer.count {
            try flush()
            if bytes > buffer.count {
                buffer.deallocate()
                buffer = .allocate(byteCount: bytes, alignment: 4096)
            }
        }
        let id = nextPage
        image.write(to: UnsafeMutableRawBufferPointer(rebasing: buffer[used..<used + bytes]), id: id, pages: pages)
        used += bytes
        nextPage += PageID(pages)
        return id
    }

    private mutating func flush() throws(PageFileError) {
        guard used > 0 else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<used])
        let offset = bufferOffset
        try onTarget { (target) throws(DiskError) in try target.write(bytes, at: offset) }
        bufferOffset += used
        used = 0
    }
}

/// The value of a bucket in its parent, at an address that does not change.
private final class BucketMemory {
    let bytes: UnsafeMutableRawBufferPointer
    init(count: Int) { bytes = .allocate(byteCount: count, alignment: 16) }
    deinit { bytes.deallocate() }
}
