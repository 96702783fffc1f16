import Glibc

/// One branch or leaf page whose header has been judged: its element table lies inside it, elements are judged as they are read.
///
/// The pointer is good while the transaction that gave the view lives. Alignment is not assumed: inline pages have none.
@usableFromInline
struct PageView {
    let start: UnsafeRawPointer
    /// Bytes of the page with its overflow.
    let extent: Int
    let id: PageID
    let count: Int
    let isLeaf: Bool

    @inline(__always)
    init(start: UnsafeRawPointer, extent: Int, id: PageID, count: Int, isLeaf: Bool) {
        self.start = start
        self.extent = extent
        self.id = id
        self.count = count
        self.isLeaf = isLeaf
    }

    /// Judges the header of page `id` at `start`, of a state with `limit` pages; nil when it is no branch or leaf in order.
    @inline(__always)
    init?(_ start: UnsafeRawPointer, id: PageID, limit: PageID, shift: Int) {
        let header = PageHeader.load(start)
        let extent = (Int(header.overflow) &+ 1) &<< shift
        let table = PageFormat.headerSize &+ Int(header.count) &* PageFormat.elementSize
        let isLeaf = header.flags == PageFormat.leafFlag
        guard header.id == id, isLeaf || header.flags == PageFormat.branchFlag,
            id &+ UInt64(header.overflow) < limit, table <= extent
        else { return nil }
        self.init(start: start, extent: extent, id: id, count: Int(header.count), isLeaf: isLeaf)
    }

    /// Where an element's key length and position stand: leaves put their flags first.
    @inline(__always) var field: Int { isLeaf ? 4 : 0 }

    /// An element's key, or nil when it reaches out of the page.
    @inline(__always)
    func key(_ index: Int) -> UnsafeRawBufferPointer? { key(index, field: field) }

    @inline(__always)
    func key(_ index: Int, field: Int) -> UnsafeRawBufferPointer? {
        let element = PageFormat.headerSize &+ index &* PageFormat.elementSize
        // Position and key length are neighbours: one load.
        let both = UInt64(littleEndian: start.loadUnaligned(fromByteOffset: element &+ field, as: UInt64.self))
        let from = element &+ Int(both & 0xffff_ffff)
        let size = Int(both >> 32)
        guard from &+ size <= extent else { return nil }
        return UnsafeRawBufferPointer(start: start + from, count: size)
    }

    /// A branch element's child.
    @inline(__always)
    func child(_ index: Int) -> PageID {
        let at = PageFormat.headerSize &+ index &* PageFormat.elementSize &+ 8
        return UInt64(littleEndian: start.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }

    @inline(__always)
    func leafFlags(_ index: Int) -> UInt32 {
        let at = PageFormat.headerSize &+ index &* PageFormat.elementSize
        return UInt32(littleEndian: start.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }

    /// A leaf element's value, or nil when it reaches out of the page. `key` is the same element's key.
    @inline(__always)
    func value(_ index: Int, after key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        let at = PageFormat.headerSize &+ index &* PageFormat.elementSize &+ 12
        let size = Int(UInt32(littleEndian: start.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
        let from = key.baseAddress.unsafelyUnwrapped + key.count
        guard (from - start) &+ size <= extent else { return nil }
        return UnsafeRawBufferPointer(start: from, count: size)
    }

    /// Judges the page inside a bucket's value (bbolt's inline bucket): a leaf that needs no page of its own.
    static func inline(_ value: UnsafeRawBufferPointer) -> PageView? {
        let extent = value.count - PageFormat.bucketHeaderSize
        guard extent >= PageFormat.headerSize, let base = value.baseAddress else { return nil }
        let start = base + PageFormat.bucketHeaderSize
        let header = PageHeader.load(start)
        let table = PageFormat.headerSize + Int(header.count) * PageFormat.elementSize
        guard header.flags == PageFormat.leafFlag, table <= extent else { return nil }
        return PageView(start: start, extent: extent, id: 0, count: Int(header.count), isLeaf: true)
    }
}

/// Lexicographic order of two keys: negative, zero or positive.
@inline(__always)
func compareKeys(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    let shared = min(left.count, right.count)
    if shared > 0 {
        let order = memcmp(left.baseAddress.unsafelyUnwrapped, right.baseAddress.unsafelyUnwrapped, shared)
        if order != 0 { return Int(order) }
    }
    return left.count - right.count
}

extension Array where Element == UInt8 {
    /// `withUnsafeBytes` with a typed throw.
    @inline(__always)
    func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try withUnsafeBufferPointer { (buffer) throws(E) in try body(UnsafeRawBufferPointer(buffer)) }
    }
}
