extension KeyIndex {
    /// Copies the nodes of the path that a snapshot reaches, from the root to `lowest`.
    func makeWritable(downTo lowest: Int) {
        var level = root.level
        while level >= lowest {
            let old = path[level].node
            if old.epoch <= retired.frozenThrough {
                let copy = nodes.allocate(atLeast: old.capacity, level: level, epoch: epoch)
                copy.copy(old, epoch: epoch)
                link(copy, level: level)
                release(old)
            }
            level -= 1
        }
    }

    /// Puts a node in the place of the path's at `level`; the one above is writable.
    func link(_ node: KeyNode, level: Int) {
        if level == root.level {
            root = node
        } else {
            path[level + 1].node.inner(path[level + 1].slot).child = node
        }
        path[level].node = node
    }

    /// Lets go of a node that the live tree no longer has.
    func release(_ node: KeyNode) {
        if !retired.retire(node) { nodes.free(node) }
    }

    /// Inserts an entry into the path's node at `level`, which is writable; splits it when it is full.
    func insert(_ key: KeyBytes, fields: UnsafeMutableRawPointer, level: Int, at slot: Int) {
        let node = path[level].node
        let size = KeyNode.entryBytes(level: level, keyLength: key.count) + KeyNode.slotBytes
        if node.freeBytes >= size {
            node.insert(key, at: slot).copyMemory(from: fields, byteCount: node.fixedBytes)
            return
        }
        let new = NewEntry(key: key, fields: fields, slot: slot, bytes: size)
        // A leaf with one key, and an inner node with few, grow instead: halves must not be empty.
        if node.count + 1 < 2 * KeyIndex.minimumEntries(level) {
            let larger = rebuild(node, 0..<node.count, with: new)
            link(larger, level: level)
            release(node)
        } else {
            split(node, level: level, with: new)
        }
    }

    private struct NewEntry {
        let key: KeyBytes
        let fields: UnsafeMutableRawPointer
        let slot: Int
        /// With its slot.
        let bytes: Int
    }

    private static func minimumEntries(_ level: Int) -> Int { level == 0 ? 1 : 2 }

    /// A new node with these entries of `node`, and the new one if it is among them.
    private func rebuild(_ node: KeyNode, _ slots: Range<Int>, with new: NewEntry?) -> KeyNode {
        var bytes = KeyNode.headerBytes + (new?.bytes ?? 0)
        for slot in slots { bytes += node.entryBytes(slot) + KeyNode.slotBytes }
        let built = nodes.allocate(atLeast: bytes, level: node.level, epoch: epoch)
        if let new {
            built.append(node, slots.lowerBound..<new.slot)
            built.append(new.key, fields: new.fields)
            built.expectedInsertion = built.count
            built.append(node, new.slot..<slots.upperBound)
        } else {
            built.append(node, slots)
        }
        built.refreshPrefix()
        return built
    }

    private func split(_ node: KeyNode, level: Int, with new: NewEntry) {
        let leftCount = splitPoint(node, new)
        let newGoesLeft = new.slot < leftCount
        let boundary = newGoesLeft ? leftCount - 1 : leftCount
        let left = rebuild(node, 0..<boundary, with: newGoesLeft ? new : nil)
        let right = rebuild(node, boundary..<node.count, with: newGoesLeft ? nil : new)
        let separator: KeyBytes
        if level == 0 {
            // The shortest one that tells the halves apart.
            let first = right.key(0)
            separator = KeyBytes(start: first.start, count: first.commonPrefix(with: left.key(left.count - 1)) + 1)
        } else {
            separator = new.slot == leftCount ? new.key : node.key(boundary)
        }
        linkHalves(left, separator, right, level: level)
        // Not before: the separator may lie in it.
        release(node)
    }

    private func linkHalves(_ left: KeyNode, _ separator: KeyBytes, _ right: KeyNode, level: Int) {
        let fields = scratch + (level + 1) * LeafFields.bytes
        if level == root.level {
            precondition(level + 1 < KeyIndex.maximumLevels, "the key index is too deep")
            let top = nodes.allocate(atLeast: 0, level: level + 1, epoch: epoch)
            InnerFields(base: fields).store(child: left, left.summary())
            top.append(KeyBytes(start: separator.start, count: 0), fields: fields)
            root = top
            path[level + 1] = PathStep(node: top, slot: 0)
        } else {
            path[level + 1].node.inner(path[level + 1].slot).store(child: left, left.summary())
        }
        InnerFields(base: fields).store(child: right, right.summary())
        insert(separator, fields: fields, level: level + 1, at: path[level + 1].slot + 1)
    }

    /// How many entries, the new one counted, go left: half of the bytes, or all before the end of an ascending run, so
    /// that keys that come in order fill their nodes.
    private func splitPoint(_ node: KeyNode, _ new: NewEntry) -> Int {
        let minimum = KeyIndex.minimumEntries(node.level)
        let highest = node.count + 1 - minimum
        func bytes(_ position: Int) -> Int {
            position == new.slot ? new.bytes : node.entryBytes(position < new.slot ? position : position - 1) + KeyNode.slotBytes
        }
        if new.slot > 0, new.slot == node.expectedInsertion {
            if new.slot == node.count { return max(minimum, min(node.count, highest)) }
            var left = KeyNode.headerBytes
            for position in 0...new.slot { left += bytes(position) }
            return max(minimum, min(left <= nodes.nodeBytes ? new.slot + 1 : new.slot, highest))
        }
        let half = (node.usedBytes - KeyNode.headerBytes + new.bytes) / 2
        var left = 0
        var count = 0
        while count < highest, left + bytes(count) / 2 < half {
            left += bytes(count)
            count += 1
        }
        return max(minimum, count)
    }
}
