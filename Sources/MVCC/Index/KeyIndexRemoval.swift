extension KeyIndex {
    /// Removes the dead key at the end of the path.
    func remove() {
        makeWritable(downTo: 1)
        removeEntry(level: 0)
        while !root.isLeaf, root.count == 1 {
            let only = root.inner(0).child
            release(root)
            root = only
        }
    }

    /// Removes the path's entry at `level`; the nodes above are writable. Nodes that become empty go, small ones merge.
    private func removeEntry(level: Int) {
        let node = path[level].node
        if node.count == 1 {
            if level == root.level {
                root = nodes.allocate(atLeast: 0, level: 0, epoch: epoch)
            } else {
                removeEntry(level: level + 1)
            }
            release(node)
            return
        }
        let slot = path[level].slot
        let bytes = node.usedBytes - node.entryBytes(slot) - KeyNode.slotBytes
        let smaller = nodes.allocate(atLeast: bytes, level: level, epoch: epoch)
        smaller.append(node, 0..<slot)
        smaller.append(node, slot + 1..<node.count)
        smaller.refreshPrefix()
        link(smaller, level: level)
        release(node)
        if level < root.level { mergeIfSmall(smaller, level: level) }
    }

    /// Joins a node less than a third full with a neighbour if the two leave some room for growth.
    private func mergeIfSmall(_ node: KeyNode, level: Int) {
        guard node.usedBytes < nodes.nodeBytes / 3 else { return }
        let parent = path[level + 1].node
        let slot = path[level + 1].slot
        for left in [slot - 1, slot] where left >= 0 && left + 1 < parent.count {
            let (first, second) = (parent.inner(left), parent.inner(left + 1))
            let (leftNode, rightNode) = (first.child, second.child)
            let separator = parent.key(left + 1)
            let bytes = leftNode.usedBytes + rightNode.usedBytes - KeyNode.headerBytes + (level == 0 ? 0 : separator.count + 3)
            guard bytes <= nodes.nodeBytes * 3 / 4 else { continue }
            let merged = nodes.allocate(atLeast: bytes, level: level, epoch: epoch)
            merged.append(leftNode, 0..<leftNode.count)
            merged.append(rightNode, 0..<rightNode.count, firstKey: level == 0 ? nil : separator)
            merged.refreshPrefix()
            var summary = SubtreeSummary(live: first.live, newest: first.newest)
            summary.add(live: second.live, newest: second.newest)
            first.store(child: merged, summary)
            path[level + 1].slot = left + 1
            removeEntry(level: level + 1)
            release(leftNode)
            release(rightNode)
            return
        }
    }
}
