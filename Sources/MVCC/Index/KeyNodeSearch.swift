extension KeyNode {
    /// The first slot with a key not below `key` (`count` when there is none), and whether it is `key` itself.
    @inline(__always)
    func search(_ key: KeyBytes) -> (slot: Int, found: Bool) {
        let first = firstKeyed
        if first >= count { return (count, false) }
        let prefix = prefixLength
        if prefix > 0 {
            let order = comparePrefix(key, prefix)
            if order != 0 { return (order < 0 ? first : count, false) }
        }
        return searchAfterPrefix(key, prefix)
    }

    /// The slot of `key` itself. Unlike ``search(_:)`` it opens no other entry for the shared prefix: one cache miss less.
    @inline(__always)
    func find(_ key: KeyBytes) -> Int? {
        let prefix = prefixLength
        guard key.count >= prefix else { return nil }
        let (slot, found) = searchAfterPrefix(key, prefix)
        guard found, self.key(slot).hasPrefix(of: key, length: prefix) else { return nil }
        return slot
    }

    /// ``search(_:)`` among what follows the shared prefix.
    @inline(__always)
    private func searchAfterPrefix(_ key: KeyBytes, _ prefix: Int) -> (slot: Int, found: Bool) {
        let wanted = key.head(at: prefix)
        var low = firstSlot(withHeadAtLeast: wanted)
        var high = low
        while high < count, head(high) == wanted { high += 1 }
        while low < high {
            let middle = (low + high) >> 1
            let order = self.key(middle).compare(key, from: prefix)
            if order == 0 { return (middle, true) }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return (low, false)
    }

    @inline(__always)
    private func firstSlot(withHeadAtLeast wanted: UInt32) -> Int {
        var low = firstKeyed
        var high = count
        while low < high {
            let middle = (low + high) >> 1
            if head(middle) < wanted { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// How `key` stands to the prefix of all keys here: below all (-1), above all (1), or among them (0).
    @inline(__always)
    private func comparePrefix(_ key: KeyBytes, _ prefix: Int) -> Int {
        let shared = KeyBytes(start: self.key(firstKeyed).start, count: prefix)
        if key.count >= prefix {
            let order = KeyBytes(start: key.start, count: prefix).compare(shared, from: 0)
            return order.signum()
        }
        // A key that ends inside the prefix is below every key here unless it differs upwards before its end.
        return key.compare(shared, from: 0).signum()
    }

    /// The child of an inner node whose subtree holds `key` or would hold it.
    @inline(__always)
    func childSlot(holding key: KeyBytes) -> Int {
        let (slot, found) = search(key)
        return found ? slot : slot - 1
    }

    /// The last child of an inner node whose subtree may hold keys below `key`.
    @inline(__always)
    func lastChildSlot(below key: KeyBytes) -> Int { search(key).slot - 1 }
}
