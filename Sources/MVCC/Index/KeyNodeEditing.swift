extension KeyNode {
    /// Makes an empty node out of raw memory.
    func format(capacity: Int, level: Int, epoch: UInt64) {
        self.epoch = epoch
        nextRetired = nil
        self.capacity = capacity
        entriesStart = capacity
        count = 0
        prefixLength = 0
        self.level = level
        expectedInsertion = 0
    }

    /// Copies all of `other`, which has the same capacity, but for its epoch and garbage link.
    func copy(_ other: KeyNode, epoch: UInt64) {
        let slotsEnd = KeyNode.headerBytes + other.count * KeyNode.slotBytes
        base.copyMemory(from: other.base, byteCount: slotsEnd)
        let start = other.entriesStart
        (base + start).copyMemory(from: other.base + start, byteCount: other.capacity - start)
        self.epoch = epoch
        nextRetired = nil
    }

    /// Opens a slot for `key` and returns its entry, of which only the key is filled in. The room must be there, and an
    /// inner node's slot 0 takes an empty key.
    func insert(_ key: KeyBytes, at slot: Int) -> UnsafeMutableRawPointer {
        let entry = addEntry(key, at: slot)
        expectedInsertion = slot + 1
        let keyed = count - firstKeyed
        guard slot >= firstKeyed else { return entry }
        if keyed == 1 {
            prefixLength = key.count
            setHead(slot, 0)
            return entry
        }
        let neighbour = slot == firstKeyed ? slot + 1 : firstKeyed
        let shared = key.commonPrefix(with: self.key(neighbour), limit: prefixLength)
        if shared < prefixLength {
            prefixLength = shared
            refreshHeads()
        } else {
            setHead(slot, key.head(at: shared))
        }
        return entry
    }

    private func addEntry(_ key: KeyBytes, at slot: Int) -> UnsafeMutableRawPointer {
        let size = KeyNode.entryBytes(level: level, keyLength: key.count)
        precondition(freeBytes >= size + KeyNode.slotBytes, "no room in the node for an entry")
        let offset = entriesStart - size
        let moved = slotAddress(slot)
        (moved + KeyNode.slotBytes).copyMemory(from: moved, byteCount: (count - slot) * KeyNode.slotBytes)
        moved.storeBytes(of: 0, as: UInt32.self)
        moved.storeBytes(of: UInt32(offset), toByteOffset: 4, as: UInt32.self)
        entriesStart = offset
        count += 1
        let entry = base + offset
        entry.storeBytes(of: UInt32(key.count), toByteOffset: fixedBytes, as: UInt32.self)
        (entry + fixedBytes + 4).copyMemory(from: key.start, byteCount: key.count)
        return entry
    }

    /// Appends an entry; as ``append(_:_:firstKey:)``.
    func append(_ key: KeyBytes, fields: UnsafeRawPointer) {
        let kept = !isLeaf && count == 0 ? KeyBytes(start: key.start, count: 0) : key
        addEntry(kept, at: count).copyMemory(from: fields, byteCount: fixedBytes)
    }

    /// Appends copies of another node's entries; ``refreshPrefix()`` must follow before the node is searched. Entry 0 of an
    /// inner node gets `firstKey` for a key: nothing when it becomes entry 0 here, the separator from above in a merge.
    func append(_ other: KeyNode, _ slots: Range<Int>, firstKey: KeyBytes? = nil) {
        for slot in slots {
            var key = other.key(slot)
            if !isLeaf, count == 0 { key = KeyBytes(start: key.start, count: 0) }
            if slot == slots.lowerBound, let firstKey { key = firstKey }
            let entry = addEntry(key, at: count)
            entry.copyMemory(from: other.entry(slot), byteCount: fixedBytes)
        }
    }

    /// Finds the prefix that all keys share anew, and the heads after it.
    func refreshPrefix() {
        let first = firstKeyed
        if count > first { prefixLength = key(first).commonPrefix(with: key(count - 1)) }
        refreshHeads()
    }

    private func refreshHeads() {
        let prefix = prefixLength
        for slot in firstKeyed..<max(count, firstKeyed) { setHead(slot, key(slot).head(at: prefix)) }
    }
}
