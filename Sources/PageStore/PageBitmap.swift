/// One bit for each page of the file, grown on demand; bits past the end are clear.
struct PageBitmap: Equatable, Sendable {
    private var words: [UInt64] = []
    private(set) var count = 0

    init() {}

    init(pages: PageID) { grow(to: pages) }

    private mutating func grow(to pages: PageID) {
        let needed = Int((pages + 63) / 64)
        if needed > words.count { words.append(contentsOf: repeatElement(0, count: needed - words.count)) }
    }

    subscript(_ page: PageID) -> Bool {
        let word = Int(page / 64)
        return word < words.count && words[word] & (1 << (page % 64)) != 0
    }

    /// Sets the bit; false when it was set already.
    @discardableResult
    mutating func insert(_ page: PageID) -> Bool {
        grow(to: page + 1)
        let bit: UInt64 = 1 << (page % 64)
        if words[Int(page / 64)] & bit != 0 { return false }
        words[Int(page / 64)] |= bit
        count += 1
        return true
    }

    /// Clears the bit; false when it was clear already.
    @discardableResult
    mutating func remove(_ page: PageID) -> Bool {
        guard self[page] else { return false }
        words[Int(page / 64)] &= ~(1 << (page % 64))
        count -= 1
        return true
    }

    mutating func insert(_ run: PageRun) {
        for page in run.id..<run.end { insert(page) }
    }

    mutating func remove(_ run: PageRun) {
        for page in run.id..<run.end { remove(page) }
    }

    /// Set bits in a range.
    func count(_ pages: Range<PageID>) -> Int {
        var count = 0
        var page = pages.lowerBound
        while page < pages.upperBound, Int(page / 64) < words.count {
            let end = min((page / 64 + 1) * 64, pages.upperBound)
            let mask: UInt64 = (~0 << (page % 64)) & (~0 >> ((64 - end % 64) % 64))
            count += (words[Int(page / 64)] & mask).nonzeroBitCount
            page = end
        }
        return count
    }

    /// The first set bit at or after `page`.
    func firstSet(from page: PageID) -> PageID? { first(from: page, flipping: 0) }

    /// The first clear bit at or after `page`; pages past the end are clear.
    func firstClear(from page: PageID) -> PageID {
        first(from: page, flipping: .max) ?? max(page, PageID(words.count) * 64)
    }

    private func first(from page: PageID, flipping mask: UInt64) -> PageID? {
        var word = Int(page / 64)
        guard word < words.count else { return nil }
        var bits = (words[word] ^ mask) & (~0 << (page % 64))
        while bits == 0 {
            word += 1
            if word == words.count { return nil }
            bits = words[word] ^ mask
        }
        return PageID(word * 64 + bits.trailingZeroBitCount)
    }

    /// The last clear bit before `page`, or nil when all are set.
    func lastClear(before page: PageID) -> PageID? {
        guard page > 0 else { return nil }
        if page > PageID(words.count) * 64 { return page - 1 }
        var word = Int((page - 1) / 64)
        var bits = ~words[word] & (~0 >> (63 - (page - 1) % 64))
        while bits == 0 {
            if word == 0 { return nil }
            word -= 1
            bits = ~words[word]
        }
        return PageID(word * 64 + 63 - bits.leadingZeroBitCount)
    }
}
