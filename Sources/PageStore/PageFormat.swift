import Bytes

/// A page's number: its offset in the file divided by the page size.
public typealias PageID = UInt64

/// Consecutive pages that hold one node: the page and its overflow.
struct PageRun: Equatable, Sendable {
    var id: PageID
    var count: Int
    @inline(__always) var end: PageID { id + PageID(count) }
}

/// Numbers of bbolt's file format (bbolt `internal/common`: page.go, meta.go, bucket.go, types.go). All integers little-endian.
///
/// Page header, 16 bytes: id u64, flags u16, count u16, overflow u32.
/// Branch element, 16 bytes: pos u32, ksize u32, page u64. Leaf element, 16 bytes: flags u32, pos u32, ksize u32, vsize u32.
/// `pos` counts from the element's own start; a leaf's value follows its key.
/// Meta, 64 bytes after the header: magic u32, version u32, page size u32, flags u32, root bucket {page u64, sequence u64},
/// free list page u64, high water mark u64, transaction u64, FNV-1a 64 of the 56 bytes before u64.
@usableFromInline
enum PageFormat {
    static let magic: UInt32 = 0xED0C_DAED
    static let version: UInt32 = 2
    @usableFromInline static let headerSize = 16
    @usableFromInline static let elementSize = 16
    static let metaSize = 64
    static let bucketHeaderSize = 16
    /// The free list page of a file that has none and is scanned at open, as etcd writes them.
    static let noFreeList = PageID.max
    /// A free list page with this count holds its true count in its first element.
    static let longFreeList: UInt16 = 0xFFFF

    static let branchFlag: UInt16 = 0x01
    static let leafFlag: UInt16 = 0x02
    static let metaFlag: UInt16 = 0x04
    static let freeListFlag: UInt16 = 0x10
    /// A leaf element whose value is a bucket header.
    @usableFromInline static let bucketElementFlag: UInt32 = 0x01

    static let longestKey = 32_768
    static let longestValue = (1 << 31) - 2
    /// A node is not split into pages with fewer keys than this.
    static let fewestKeysPerPage = 2

    static let pageSizes = 1024...65536
    /// Levels of one tree. With two children a branch, 24 levels already hold 32 GiB of 4 KiB leaves.
    @usableFromInline static let depthLimit = 24
    static let bucketDepthLimit = 16

    static func isSupported(pageSize: Int) -> Bool {
        pageSizes.contains(pageSize) && pageSize & (pageSize - 1) == 0
    }
}

/// The fixed fields at the start of every page.
struct PageHeader: Equatable, Sendable {
    var id: PageID
    var flags: UInt16
    var count: UInt16
    var overflow: UInt32

    @inline(__always)
    static func load(_ page: UnsafeRawPointer) -> PageHeader {
        PageHeader(
            id: UInt64(littleEndian: page.loadUnaligned(as: UInt64.self)),
            flags: UInt16(littleEndian: page.loadUnaligned(fromByteOffset: 8, as: UInt16.self)),
            count: UInt16(littleEndian: page.loadUnaligned(fromByteOffset: 10, as: UInt16.self)),
            overflow: UInt32(littleEndian: page.loadUnaligned(fromByteOffset: 12, as: UInt32.self)))
    }

    @inline(__always)
    func store(_ page: UnsafeMutableRawPointer) {
        page.storeBytes(of: id.littleEndian, as: UInt64.self)
        page.storeBytes(of: flags.littleEndian, toByteOffset: 8, as: UInt16.self)
        page.storeBytes(of: count.littleEndian, toByteOffset: 10, as: UInt16.self)
        page.storeBytes(of: overflow.littleEndian, toByteOffset: 12, as: UInt32.self)
    }
}

/// What one meta page says: the root of one committed state of the file.
struct Meta: Equatable, Sendable {
    var pageSize: Int
    var flags: UInt32 = 0
    var root: PageID
    var rootSequence: UInt64 = 0
    var freeList: PageID
    /// One past the last page of this state.
    var highWater: PageID
    var transaction: UInt64

    /// Reads and judges the meta in a page (or its first 80 bytes).
    static func decode(_ page: UnsafeRawBufferPointer) -> Result<Meta, MetaFault> {
        guard page.count >= PageFormat.headerSize + PageFormat.metaSize else { return .failure(MetaFault(.missing)) }
        let body = UnsafeRawBufferPointer(rebasing: page[PageFormat.headerSize..<PageFormat.headerSize + PageFormat.metaSize])
        func u32(_ at: Int) -> UInt32 { UInt32(littleEndian: body.loadUnaligned(fromByteOffset: at, as: UInt32.self)) }
        func u64(_ at: Int) -> UInt64 { UInt64(littleEndian: body.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
        guard u32(0) == PageFormat.magic else { return .failure(MetaFault(.wrongMagic(u32(0)))) }
        guard u32(4) == PageFormat.version else { return .failure(MetaFault(.wrongVersion(u32(4)))) }
        guard u64(56) == FNV1a.hash64(UnsafeRawBufferPointer(rebasing: body[..<56])) else {
            return .failure(MetaFault(.wrongChecksum))
        }
        guard PageFormat.isSupported(pageSize: Int(u32(8))) else {
            return .failure(MetaFault(.unsupportedPageSize(u32(8))))
        }
        let meta = Meta(
            pageSize: Int(u32(8)), flags: u32(12), root: u64(16), rootSequence: u64(24), freeList: u64(32), highWater: u64(40),
            transaction: u64(48))
        if meta.root < 2 || meta.root >= meta.highWater { return .failure(MetaFault(.pageOutOfRange(meta.root))) }
        // Keeps page numbers times page size inside Int.
        if meta.highWater >= 1 << 46 { return .failure(MetaFault(.pageOutOfRange(meta.highWater))) }
        if meta.freeList != PageFormat.noFreeList, meta.freeList < 2 || meta.freeList >= meta.highWater {
            return .failure(MetaFault(.pageOutOfRange(meta.freeList)))
        }
        // Keeps the numbers of transactions to come inside UInt64.
        if meta.transaction >= 1 << 62 { return .failure(MetaFault(.transactionOutOfRange(meta.transaction))) }
        return .success(meta)
    }

    /// Writes a whole meta page; `page` is `pageSize` bytes.
    func encode(_ page: UnsafeMutableRawBufferPointer, slot: Int) {
        page.initializeMemory(as: UInt8.self, repeating: 0)
        let base = page.baseAddress!
        PageHeader(id: PageID(slot), flags: PageFormat.metaFlag, count: 0, overflow: 0).store(base)
        let body = base + PageFormat.headerSize
        for (at, value) in [(0, PageFormat.magic), (4, PageFormat.version), (8, UInt32(pageSize)), (12, flags)] {
            body.storeBytes(of: value.littleEndian, toByteOffset: at, as: UInt32.self)
        }
        for (at, value) in [(16, root), (24, rootSequence), (32, freeList), (40, highWater), (48, transaction)] {
            body.storeBytes(of: value.littleEndian, toByteOffset: at, as: UInt64.self)
        }
        let checksum = FNV1a.hash64(UnsafeRawBufferPointer(start: body, count: 56))
        body.storeBytes(of: checksum.littleEndian, toByteOffset: 56, as: UInt64.self)
    }
}

/// A ``MetaProblem`` as the failure of a `Result`.
struct MetaFault: Error, Equatable {
    let problem: MetaProblem
    init(_ problem: MetaProblem) { self.problem = problem }
}

/// The first 16 bytes of a bucket's value: its root page (0 when the bucket's only page follows inline) and its sequence.
struct BucketHeader: Equatable, Sendable {
    var root: PageID
    var sequence: UInt64

    static func load(_ value: UnsafeRawBufferPointer) -> BucketHeader? {
        guard value.count >= PageFormat.bucketHeaderSize, let base = value.baseAddress else { return nil }
        return BucketHeader(
            root: UInt64(littleEndian: base.loadUnaligned(as: UInt64.self)),
            sequence: UInt64(littleEndian: base.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    }

    func store(_ target: UnsafeMutableRawPointer) {
        target.storeBytes(of: root.littleEndian, as: UInt64.self)
        target.storeBytes(of: sequence.littleEndian, toByteOffset: 8, as: UInt64.self)
    }
}
