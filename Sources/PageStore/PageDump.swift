/// What one page holds, as far as it can be read.
public struct PageDump: Equatable, Sendable, CustomStringConvertible {
    public struct Element: Equatable, Sendable {
        public let key: [UInt8]
        /// Of a leaf element; a bucket's value is its header, and its page when inline.
        public let value: [UInt8]
        public let isBucket: Bool
        /// Of a branch element.
        public let child: PageID?
    }

    public enum Content: Equatable, Sendable {
        /// In the order of the fields: page size, root, sequence, free list (nil for none), high water mark, transaction.
        case meta(pageSize: Int, root: PageID, sequence: UInt64, freeList: PageID?, highWater: PageID, transaction: UInt64)
        case badMeta(MetaProblem)
        case branch([Element])
        case leaf([Element])
        case freeList([PageID])
        /// Free pages keep what they last held, overflow pages hold the middle of something.
        case unreadable(Corruption)
    }

    public let id: PageID
    /// The number the page's header says.
    public let headerID: PageID
    public let flags: UInt16
    public let count: Int
    public let overflow: Int
    public let content: Content

    public var description: String {
        let head = "page \(id): header id \(headerID), flags 0x\(String(flags, radix: 16)), count \(count), overflow \(overflow)"
        return ([head] + lines).joined(separator: "\n")
    }

    private var lines: [String] {
        switch content {
        case .meta(let pageSize, let root, let sequence, let freeList, let highWater, let transaction):
            [
                "meta: transaction \(transaction), page size \(pageSize), root \(root), sequence \(sequence), "
                    + "free list \(freeList.map(String.init) ?? "none"), high water mark \(highWater)"
            ]
        case .badMeta(let problem): ["meta: \(problem)"]
        case .branch(let elements): elements.map { "\(printable($0.key[...])) -> page \($0.child ?? 0)" }
        case .leaf(let elements):
            elements.map { "\(printable($0.key[...])) = \($0.isBucket ? "bucket " : "")\(PageDump.shortened($0.value))" }
        case .freeList(let pages): pages.map { "page \($0)" }
        case .unreadable(let corruption): ["unreadable: \(corruption)"]
        }
    }

    /// Bytes of a node that are read for a dump.
    static let longest = 64 << 20

    private static func shortened(_ value: [UInt8]) -> String {
        value.count <= 64 ? printable(value[...]) : printable(value[..<64]) + "... (\(value.count) bytes)"
    }
}

extension ReadTransaction {
    /// Reads one page, whatever it is used for, without trusting it.
    public func dump(page id: PageID) throws(PageFileError) -> PageDump {
        guard id < meta.highWater else { throw source.failure(.pageOutOfRange, page: id) }
        let header = try source.header(id)
        // What is no page's start may claim any length: no more memory than a real node takes is spent on it.
        let whole =
            id >= 2 && id + PageID(header.overflow) < meta.highWater && Int(header.overflow) << source.shift <= PageDump.longest
        let bytes = UnsafeMutableRawBufferPointer.allocate(
            byteCount: ((whole ? Int(header.overflow) : 0) + 1) << source.shift, alignment: 16)
        defer { bytes.deallocate() }
        try source.copy(at: Int(id) << source.shift, into: bytes)
        return PageDump(
            id: id, headerID: header.id, flags: header.flags, count: Int(header.count), overflow: Int(header.overflow),
            content: content(UnsafeRawBufferPointer(bytes), id: id, header: header))
    }

    private func content(_ bytes: UnsafeRawBufferPointer, id: PageID, header: PageHeader) -> PageDump.Content {
        if id < 2 {
            switch Meta.decode(bytes) {
            case .failure(let fault): return .badMeta(fault.problem)
            case .success(let meta):
                return .meta(
                    pageSize: meta.pageSize, root: meta.root, sequence: meta.rootSequence,
                    freeList: meta.freeList == PageFormat.noFreeList ? nil : meta.freeList, highWater: meta.highWater,
                    transaction: meta.transaction)
            }
        }
        if header.flags == PageFormat.freeListFlag {
            return FreeListPage.read(bytes).map(PageDump.Content.freeList) ?? .unreadable(.tooManyElements(Int(header.count)))
        }
        guard header.flags == PageFormat.leafFlag || header.flags == PageFormat.branchFlag else {
            return .unreadable(.wrongKind(flags: header.flags))
        }
        guard PageFormat.headerSize + Int(header.count) * PageFormat.elementSize <= bytes.count else {
            return .unreadable(.tooManyElements(Int(header.count)))
        }
        let view = PageView(
            start: bytes.baseAddress!, extent: bytes.count, id: id, count: Int(header.count),
            isLeaf: header.flags == PageFormat.leafFlag)
        return elements(view)
    }

    private func elements(_ view: PageView) -> PageDump.Content {
        var elements: [PageDump.Element] = []
        for index in 0..<view.count {
            guard let key = view.key(index) else { return .unreadable(.elementOutsidePage(index: index)) }
            if view.isLeaf {
                guard let value = view.value(index, after: key) else { return .unreadable(.elementOutsidePage(index: index)) }
                let isBucket = view.leafFlags(index) & PageFormat.bucketElementFlag != 0
                elements.append(PageDump.Element(key: Array(key), value: Array(value), isBucket: isBucket, child: nil))
            } else {
                elements.append(PageDump.Element(key: Array(key), value: [], isBucket: false, child: view.child(index)))
            }
        }
        return view.isLeaf ? .leaf(elements) : .branch(elements)
    }
}
