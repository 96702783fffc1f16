/// How one bucket's tree uses its pages. Buckets inside are counted separately.
public struct BucketStatistics: Equatable, Sendable, CustomStringConvertible {
    /// Names from the outermost bucket inwards; empty for the root.
    public let name: [[UInt8]]
    /// The bucket has no page of its own.
    public internal(set) var isInline = false
    public internal(set) var depth = 0
    public internal(set) var branchPages = 0
    public internal(set) var branchOverflowPages = 0
    public internal(set) var leafPages = 0
    public internal(set) var leafOverflowPages = 0
    public internal(set) var keys = 0
    public internal(set) var bucketsInside = 0
    /// Bytes that headers, elements, keys and values take.
    public internal(set) var branchBytes = 0
    public internal(set) var leafBytes = 0

    init(name: [[UInt8]]) { self.name = name }

    /// Pages the tree takes.
    public var pages: Int { branchPages + branchOverflowPages + leafPages + leafOverflowPages }

    public var description: String {
        let path = name.isEmpty ? "(root)" : name.map { printable($0[...]) }.joined(separator: "/")
        if isInline { return "\(path): inline, \(keys) keys, \(leafBytes) bytes" }
        return
            "\(path): \(keys) keys, \(bucketsInside) buckets inside, depth \(depth), branches \(branchPages)+\(branchOverflowPages) pages "
            + "\(branchBytes) bytes, leaves \(leafPages)+\(leafOverflowPages) pages \(leafBytes) bytes"
    }
}

extension ReadTransaction {
    /// Figures of the root and of every bucket, each before those inside it.
    public func statistics() throws(PageFileError) -> [BucketStatistics] {
        var collector = StatisticsCollector(source: source, limit: meta.highWater)
        try collector.collect(root, name: [])
        return collector.collected
    }
}

private struct StatisticsCollector {
    let source: PageSource
    let limit: PageID
    var seen = PageBitmap()
    var collected: [BucketStatistics] = []

    init(source: PageSource, limit: PageID) {
        self.source = source
        self.limit = limit
    }

    mutating func collect(_ bucket: Bucket, name: [[UInt8]]) throws(PageFileError) {
        if name.count > PageFormat.bucketDepthLimit { throw source.corrupt(bucket.header.root, .bucketsTooDeep) }
        let place = collected.count
        var figures = BucketStatistics(name: name)
        collected.append(figures)
        var inside: [([UInt8], Bucket)] = []
        if let page = bucket.inlinePage {
            figures.isInline = true
            figures.depth = 1
            try count(page, &figures, &inside)
        } else {
            try walk(bucket.header.root, depth: 1, &figures, &inside)
        }
        collected[place] = figures
        for (inner, bucket) in inside { try collect(bucket, name: name + [inner]) }
    }

    private mutating func walk(
        _ id: PageID, depth: Int, _ figures: inout BucketStatistics, _ inside: inout [([UInt8], Bucket)]
    ) throws(PageFileError) {
        let view = try source.view(id, limit: limit)
        guard seen.insert(id) else { throw source.corrupt(id, .referencedTwice) }
        if depth > PageFormat.depthLimit { throw source.corrupt(id, .treeTooDeep) }
        let overflow = (view.extent >> source.shift) - 1
        figures.depth = max(figures.depth, depth)
        if view.isLeaf {
            figures.leafPages += 1
            figures.leafOverflowPages += overflow
            try count(view, &figures, &inside)
            return
        }
        figures.branchPages += 1
        figures.branchOverflowPages += overflow
        figures.branchBytes += PageFormat.headerSize
        for index in 0..<view.count {
            guard let key = view.key(index) else { throw source.corrupt(id, .elementOutsidePage(index: index)) }
            figures.branchBytes += PageFormat.elementSize + key.count
            try walk(view.child(index), depth: depth + 1, &figures, &inside)
        }
    }

    private func count(
        _ leaf: PageView, _ figures: inout BucketStatistics, _ inside: inout [([UInt8], Bucket)]
    ) throws(PageFileError) {
        figures.leafBytes += PageFormat.headerSize
        for index in 0..<leaf.count {
            guard let key = leaf.key(index), let value = leaf.value(index, after: key) else {
                throw source.corrupt(leaf.id, .elementOutsidePage(index: index))
            }
            figures.leafBytes += PageFormat.elementSize + key.count + value.count
            if leaf.leafFlags(index) & PageFormat.bucketElementFlag == 0 {
                figures.keys += 1
                continue
            }
            figures.bucketsInside += 1
            guard let bucket = Bucket(source: source, limit: limit, value: value) else {
                throw source.corrupt(leaf.id, .badBucket)
            }
            inside.append((Array(key), bucket))
        }
    }
}

/// Bytes as text when all are printable ASCII, else in hexadecimal.
func printable(_ bytes: ArraySlice<UInt8>) -> String {
    if bytes.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) { return String(decoding: bytes, as: UTF8.self) }
    let digits = Array("0123456789abcdef".utf8)
    return "0x" + String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
