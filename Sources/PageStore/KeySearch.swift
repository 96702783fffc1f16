/// What a descent looks for. Implementations are small values specialised into the descent.
protocol KeyProbe {
    /// How a stored key compares with the one looked for: negative when it sorts before it, 0 when equal, positive after.
    func order(_ key: UnsafeRawBufferPointer) -> Int
    /// An index to look at first, or nil for the middle.
    mutating func guess(_ view: PageView) -> Int?
    /// Told which child was taken, to narrow the next guess.
    mutating func descended(_ view: PageView, _ index: Int)
}

/// An arbitrary key; eight bytes are compared as one word before the rest.
struct BytesProbe: KeyProbe {
    let target: UnsafeRawBufferPointer
    private let prefix: UInt64
    private let hasPrefix: Bool

    @inline(__always)
    init(_ target: UnsafeRawBufferPointer) {
        self.target = target
        hasPrefix = target.count >= 8
        prefix = hasPrefix ? UInt64(bigEndian: target.baseAddress.unsafelyUnwrapped.loadUnaligned(as: UInt64.self)) : 0
    }

    @inline(__always)
    func order(_ key: UnsafeRawBufferPointer) -> Int {
        if hasPrefix && key.count >= 8 {
            let word = UInt64(bigEndian: key.baseAddress.unsafelyUnwrapped.loadUnaligned(as: UInt64.self))
            if word != prefix { return word < prefix ? -1 : 1 }
        }
        return compareKeys(key, target)
    }

    @inline(__always) mutating func guess(_ view: PageView) -> Int? { nil }
    @inline(__always) mutating func descended(_ view: PageView, _ index: Int) {}
}

/// The 17-byte key of an etcd revision: main revision big-endian, `_`, sub revision big-endian (etcd mvcc/revision.go).
///
/// Compared as two words. Main revisions are nearly evenly spread, so each page is entered where interpolation between the
/// separators above it points, which spares most of a binary search's cache misses.
struct RevisionProbe: KeyProbe {
    let main: UInt64
    let sub: UInt64
    /// First words of keys at or below, and above, everything under the current page.
    private var low: UInt64 = 0
    private var high: UInt64 = .max
    private var knowsLow = false
    private var knowsHigh = false

    static let length = 17
    static let separator = UInt8(ascii: "_")

    @inline(__always)
    init(main: UInt64, sub: UInt64) {
        self.main = main
        self.sub = sub
    }

    @inline(__always)
    func order(_ key: UnsafeRawBufferPointer) -> Int {
        guard key.count >= RevisionProbe.length else { return shortOrder(key) }
        let base = key.baseAddress.unsafelyUnwrapped
        let first = UInt64(bigEndian: base.loadUnaligned(as: UInt64.self))
        if first != main { return first < main ? -1 : 1 }
        let middle = base.load(fromByteOffset: 8, as: UInt8.self)
        if middle != RevisionProbe.separator { return middle < RevisionProbe.separator ? -1 : 1 }
        let second = UInt64(bigEndian: base.loadUnaligned(fromByteOffset: 9, as: UInt64.self))
        if second != sub { return second < sub ? -1 : 1 }
        return key.count - RevisionProbe.length
    }

    /// A key shorter than any revision: rare enough to write the revision out.
    @inline(never)
    private func shortOrder(_ key: UnsafeRawBufferPointer) -> Int {
        withUnsafeTemporaryAllocation(byteCount: RevisionProbe.length, alignment: 8) { target in
            target.storeBytes(of: main.bigEndian, as: UInt64.self)
            target.storeBytes(of: RevisionProbe.separator, toByteOffset: 8, as: UInt8.self)
            target.storeBytes(of: sub.bigEndian, toByteOffset: 9, as: UInt64.self)
            return compareKeys(key, UnsafeRawBufferPointer(target))
        }
    }

    @inline(__always)
    private func word(_ view: PageView, _ index: Int) -> UInt64? {
        guard let key = view.key(index), key.count >= 8 else { return nil }
        return UInt64(bigEndian: key.baseAddress.unsafelyUnwrapped.loadUnaligned(as: UInt64.self))
    }

    @inline(__always)
    mutating func guess(_ view: PageView) -> Int? {
        let last = view.count - 1
        guard last > 1 else { return nil }
        if !knowsLow, let word = word(view, 0) {
            low = word
            knowsLow = true
        }
        guard knowsLow, main >= low else { return nil }
        if !knowsHigh {
            // Below the last child nothing bounds from above. Leaves are usually dense: one key a revision.
            if view.isLeaf { return Int(min(main &- low, UInt64(last))) }
            guard let word = word(view, last), word > low else { return nil }
            return Int(min(Double(main &- low) / Double(word &- low) * Double(last), Double(last)))
        }
        guard high > low else { return nil }
        return Int(min(Double(main &- low) / Double(high &- low) * Double(view.count), Double(last)))
    }

    @inline(__always)
    mutating func descended(_ view: PageView, _ index: Int) {
        if let word = word(view, index) {
            low = word
            knowsLow = true
        }
        if index + 1 < view.count, let word = word(view, index + 1) {
            high = word
            knowsHigh = true
        }
    }
}

/// The place of a key in one page.
struct PagePlace {
    /// The first element at or after the key; `count` when all are before it.
    let index: Int
    let isExact: Bool
}

extension PageView {
    /// The first element whose key is at or after the one looked for, or nil when an element on the way lies outside the page.
    ///
    /// Starts at `start` and gallops away from it, then halves; without a start it halves from the beginning.
    @inline(__always)
    func lowerBound<Probe: KeyProbe>(_ probe: borrowing Probe, start: Int?) -> PagePlace? {
        let field = self.field
        // Keys before `from` are smaller; keys at `until` and beyond are not.
        var from = 0
        var until = count
        if let start, start < until {
            guard let key = key(start, field: field) else { return nil }
            let order = probe.order(key)
            if order == 0 { return PagePlace(index: start, isExact: true) }
            var step = 1
            if order < 0 {
                from = start + 1
                while from + step <= until {
                    guard let key = self.key(from + step - 1, field: field) else { return nil }
                    let order = probe.order(key)
                    if order == 0 { return PagePlace(index: from + step - 1, isExact: true) }
                    if order > 0 {
                        until = from + step - 1
                        break
                    }
                    from += step
                    step *= 2
                }
            } else {
                until = start
                while until - step >= from {
                    guard let key = self.key(until - step, field: field) else { return nil }
                    let order = probe.order(key)
                    if order == 0 { return PagePlace(index: until - step, isExact: true) }
                    if order < 0 {
                        from = until - step + 1
                        break
                    }
                    until -= step
                    step *= 2
                }
            }
        }
        while from < until {
            let middle = (from + until) / 2
            guard let key = key(middle, field: field) else { return nil }
            let order = probe.order(key)
            if order == 0 { return PagePlace(index: middle, isExact: true) }
            if order < 0 { from = middle + 1 } else { until = middle }
        }
        return PagePlace(index: from, isExact: false)
    }

    /// The branch element whose subtree may hold the key: the last one at or before it, else the first.
    @inline(__always)
    func childIndex<Probe: KeyProbe>(_ probe: borrowing Probe, start: Int?) -> Int? {
        guard let place = lowerBound(probe, start: start) else { return nil }
        return place.isExact ? place.index : max(place.index - 1, 0)
    }
}
