/// Builds one tree from entries that come in key order, page after page, in memory of two pages a level.
///
/// Pages are filled to 90 %. The last two pages of a level are held back, so that no branch ends up with a single child.
struct TreeBuilder: ~Copyable {
    private struct Level {
        var full: [Entry] = []
        var open: [Entry] = []
        var openBytes = PageFormat.headerSize
    }

    static let fillPercent = 0.9
    private var levels: [Level] = [Level()]
    /// Bytes after which a page is full.
    private let threshold: Int

    init(pageSize: Int) { threshold = Int(Double(pageSize) * TreeBuilder.fillPercent) }

    /// Adds a leaf entry, whose bytes must stay until the tree is finished.
    mutating func add(_ entry: Entry, to sink: inout some PageSink & ~Copyable) throws(PageFileError) {
        try add(entry, level: 0, to: &sink)
    }

    private mutating func add(_ entry: Entry, level: Int, to sink: inout some PageSink & ~Copyable) throws(PageFileError) {
        if level == levels.count { levels.append(Level()) }
        let bytes = entry.bytes
        if levels[level].openBytes + bytes > threshold, levels[level].open.count >= PageFormat.fewestKeysPerPage {
            if !levels[level].full.isEmpty { try emit(levels[level].full, level: level, to: &sink) }
            levels[level].full = levels[level].open
            levels[level].open.removeAll(keepingCapacity: true)
            levels[level].openBytes = PageFormat.headerSize
        }
        levels[level].open.append(entry)
        levels[level].openBytes += bytes
    }

    private mutating func emit(_ entries: [Entry], level: Int, to sink: inout some PageSink & ~Copyable) throws(PageFileError) {
        let page = try sink.write(entries, isLeaf: level == 0)
        try add(.branch(entries[0].key, child: page), level: level + 1, to: &sink)
    }

    /// Whether all entries so far would fit into an inline bucket.
    func inlineEntries(pageSize: Int) -> [Entry]? {
        guard levels.count == 1, levels[0].full.isEmpty, levels[0].openBytes <= pageSize / 4 else { return nil }
        return levels[0].open.contains { $0.flags & PageFormat.bucketElementFlag != 0 } ? nil : levels[0].open
    }

    /// Writes what was held back; returns the root's page.
    mutating func finish(_ sink: inout some PageSink & ~Copyable) throws(PageFileError) -> PageID {
        var level = 0
        while true {
            let isTop = level == levels.count - 1
            if isTop && levels[level].full.isEmpty { return try sink.write(levels[level].open, isLeaf: level == 0) }
            if !levels[level].full.isEmpty && levels[level].open.count == 1 && level > 0 {
                // A branch entry more fits into the tenth that was left free, or into an overflow page.
                levels[level].full.append(contentsOf: levels[level].open)
                levels[level].open = []
            }
            if isTop && levels[level].open.isEmpty { return try sink.write(levels[level].full, isLeaf: level == 0) }
            if !levels[level].full.isEmpty { try emit(levels[level].full, level: level, to: &sink) }
            if !levels[level].open.isEmpty { try emit(levels[level].open, level: level, to: &sink) }
            level += 1
        }
    }
}

/// Where finished nodes go.
protocol PageSink: ~Copyable {
    /// Writes a node into new pages; returns the first one's number.
    mutating func write(_ entries: [Entry], isLeaf: Bool) throws(PageFileError) -> PageID
}
