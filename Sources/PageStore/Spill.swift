/// Turning a bucket's changed nodes into pages, from the leaves up.
extension WritableBucket {
    /// Writes the bucket's changes; returns what the parent shall hold for it, or nil when nothing changed.
    ///
    /// Buckets inside go first, in the order of their names, so that equal transactions write equal files.
    func spill() throws(PageFileError) -> [UInt8]? {
        for (name, child) in children.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            guard let value = try child.spill() else { continue }
            try name.withBytes { (name) throws(PageFileError) in
                try value.withBytes { (value) throws(PageFileError) in
                    try put(name, value, flags: PageFormat.bucketElementFlag)
                }
            }
        }
        guard let node = rootNode else { return sequenceChanged ? unchangedTree() : nil }
        let meter = transaction.file.options.commitMeter
        let began = meter?.now() ?? 0
        try rebalance(node)
        if let meter { transaction.rebalanceTime += meter.now() - began }
        guard let root = try collapse(node) else { return encodedHeader() }
        if self !== transaction.root, isInlineable(root) {
            if let origin = root.origin { try transaction.release(origin) }
            rootNode = root
            header.root = 0
            var value = [UInt8](repeating: 0, count: inlineImageSize)
            value.withUnsafeMutableBytes { writeInlineImage($0) }
            return value
        }
        var level = try write(root)
        while level.count > 1 { level = try transaction.writePages(level, isLeaf: false, fillPercent: fillPercent) }
        header.root = level[0].child
        return encodedHeader()
    }

    private func encodedHeader() -> [UInt8] {
        var value = [UInt8](repeating: 0, count: PageFormat.bucketHeaderSize)
        value.withUnsafeMutableBytes { header.store($0.baseAddress!) }
        return value
    }

    /// A new sequence over a tree that stayed as it was.
    private func unchangedTree() -> [UInt8] {
        let tail = inlinePage.map { UnsafeRawBufferPointer(start: $0.start, count: $0.extent) }
        return encodedHeader() + (tail.map(Array.init) ?? [])
    }

    /// Writes a node and what is in memory below it; returns the branch entries that lead to it.
    private func write(_ node: Node) throws(PageFileError) -> [Entry] {
        if !node.isLeaf {
            var entries: [Entry] = []
            entries.reserveCapacity(node.entries.count + 8)
            for index in node.entries.indices {
                if let child = node.children[index] {
                    entries.append(contentsOf: try write(child))
                } else {
                    entries.append(node.entries[index])
                }
            }
            node.entries = entries
        }
        if let origin = node.origin { try transaction.release(origin) }
        return try transaction.writePages(node.entries, isLeaf: node.isLeaf, fillPercent: fillPercent)
    }

    /// bbolt keeps a bucket in its parent's leaf while it has one leaf of at most a quarter page and no buckets inside.
    private func isInlineable(_ root: Node) -> Bool {
        root.isLeaf && root.bytes <= transaction.source.pageSize / 4
            && !root.entries.contains { $0.flags & PageFormat.bucketElementFlag != 0 }
    }

    /// Bytes of an inline bucket: its header and its only page.
    var inlineImageSize: Int { PageFormat.bucketHeaderSize + (rootNode?.bytes ?? PageFormat.headerSize) }

    func writeInlineImage(_ target: UnsafeMutableRawBufferPointer) {
        guard let rootNode else { preconditionFailure("only a leaf in memory is written inline") }
        header.store(target.baseAddress!)
        NodeImage(isLeaf: true, entries: rootNode.entries[...]).write(
            to: UnsafeMutableRawBufferPointer(rebasing: target[PageFormat.bucketHeaderSize...]), id: 0, pages: 0)
    }
}

/// Merging nodes that deletions have left too small.
extension WritableBucket {
    /// Nodes below this many bytes are merged with a sibling: half of what a split would fill, as in bbolt.
    private var mergeThreshold: Int { Int(Double(transaction.source.pageSize) * fillPercent) / 2 }

    private func isTooSmall(_ node: Node) -> Bool {
        node.bytes <= mergeThreshold || (!node.isLeaf && node.entries.count < PageFormat.fewestKeysPerPage)
    }

    /// Merges what became too small below `branch`.
    private func rebalance(_ branch: Node) throws(PageFileError) {
        guard !branch.isLeaf else { return }
        var index = 0
        while index < branch.entries.count {
            guard let child = branch.children[index] else {
                index += 1
                continue
            }
            try rebalance(child)
            guard child.isUnbalanced else {
                index += 1
                continue
            }
            child.isUnbalanced = false
            if child.entries.isEmpty {
                if let origin = child.origin { try transaction.release(origin) }
                branch.removeChild(at: index)
            } else if branch.entries.count > 1 && isTooSmall(child) {
                // The merged node may still be too small: it is looked at again.
                index = max(index - 1, 0)
                try mergeRight(branch, index)
            } else {
                index += 1
            }
        }
    }

    /// Moves everything from the child right of `index` into the one at `index`.
    private func mergeRight(_ branch: Node, _ index: Int) throws(PageFileError) {
        let left = try writableChild(branch, index)
        let right = try writableChild(branch, index + 1)
        guard left.isLeaf == right.isLeaf else {
            throw transaction.source.corrupt(branch.entries[index + 1].child, .wrongKind(flags: PageFormat.leafFlag))
        }
        if let origin = right.origin { try transaction.release(origin) }
        left.append(contentsOf: right)
        branch.removeChild(at: index + 1)
    }

    /// The root that remains when branches with a single child are left out; nil when that is an unchanged page, now `header.root`.
    private func collapse(_ root: Node) throws(PageFileError) -> Node? {
        var root = root
        while !root.isLeaf && root.entries.count <= 1 {
            if let origin = root.origin { try transaction.release(origin) }
            guard !root.entries.isEmpty else { return Node(isLeaf: true) }
            guard let child = root.children[0] else {
                header.root = root.entries[0].child
                return nil
            }
            root = child
        }
        return root
    }
}
