/// Dividing nodes into pages and putting them there.
extension Array where Element == Entry {
    /// Divides entries into pages as bbolt's `split` does: what fits into one page, or has no more than four entries, stays together;
    /// otherwise pages are filled to `fillPercent` with at least two entries each.
    func pageRanges(pageSize: Int, fillPercent: Double) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        let threshold = Int(Double(pageSize) * fillPercent)
        var remaining = reduce(0) { $0 + $1.bytes }
        var start = 0
        while count - start > 2 * PageFormat.fewestKeysPerPage, PageFormat.headerSize + remaining > pageSize {
            var end = start
            var size = PageFormat.headerSize
            while end < count - PageFormat.fewestKeysPerPage {
                let next = self[end].bytes
                if end - start >= PageFormat.fewestKeysPerPage && size + next > threshold { break }
                size += next
                end += 1
            }
            ranges.append(start..<end)
            remaining -= size - PageFormat.headerSize
            start = end
        }
        ranges.append(start..<count)
        return ranges
    }
}

/// The image of one node in its pages.
struct NodeImage {
    let isLeaf: Bool
    let entries: ArraySlice<Entry>

    var size: Int { entries.reduce(PageFormat.headerSize) { $0 + $1.bytes } }

    /// Fills `target`, `size` bytes or more, the rest with zeros. `pages` is 0 for an inline page.
    func write(to target: UnsafeMutableRawBufferPointer, id: PageID, pages: Int) {
        let base = target.baseAddress!
        precondition(entries.count < 0xFFFF, "a page counts at most 65,534 elements")
        PageHeader(
            id: id, flags: isLeaf ? PageFormat.leafFlag : PageFormat.branchFlag, count: UInt16(entries.count),
            overflow: UInt32(max(pages - 1, 0))
        ).store(base)
        var element = base + PageFormat.headerSize
        var content = element + entries.count * PageFormat.elementSize
        for entry in entries {
            let position = UInt32(content - element)
            if isLeaf {
                store(element, entry.flags, position, entry.keyCount, entry.valueCount)
            } else {
                store(element, position, entry.keyCount, UInt32(truncatingIfNeeded: entry.child), UInt32(entry.child >> 32))
            }
            content.copyMemory(from: entry.keyStart, byteCount: Int(entry.keyCount))
            content += Int(entry.keyCount)
            if entry.valueCount > 0 {
                content.copyMemory(from: entry.valueStart, byteCount: Int(entry.valueCount))
                content += Int(entry.valueCount)
            }
            element += PageFormat.elementSize
        }
        let rest = target.count - (content - base)
        precondition(rest >= 0, "the node is larger than its pages")
        content.initializeMemory(as: UInt8.self, repeating: 0, count: rest)
    }

    @inline(__always)
    private func store(_ element: UnsafeMutableRawPointer, _ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32) {
        element.storeBytes(of: a.littleEndian, as: UInt32.self)
        element.storeBytes(of: b.littleEndian, toByteOffset: 4, as: UInt32.self)
        element.storeBytes(of: c.littleEndian, toByteOffset: 8, as: UInt32.self)
        element.storeBytes(of: d.littleEndian, toByteOffset: 12, as: UInt32.self)
    }
}

extension WriteTransaction {
    /// Writes entries into as many new pages as they need; returns the branch entries that lead to these pages.
    func writePages(_ entries: [Entry], isLeaf: Bool, fillPercent: Double) throws(PageFileError) -> [Entry] {
        var parents: [Entry] = []
        for range in entries.pageRanges(pageSize: source.pageSize, fillPercent: fillPercent) {
            let image = NodeImage(isLeaf: isLeaf, entries: entries[range])
            let pages = (image.size + source.pageSize - 1) >> source.shift
            let run = freeSpace.allocate(pages, transaction: number)
            let target = try writer.image(run, end: freeSpace.highWater)
            image.write(to: target, id: run.id, pages: pages)
            if range.isEmpty {
                // An empty tree: its root needs no key.
                parents.append(.branch(UnsafeRawBufferPointer(start: target.baseAddress, count: 0), child: run.id))
            } else {
                parents.append(.branch(entries[range.lowerBound].key, child: run.id))
            }
        }
        return parents
    }
}
