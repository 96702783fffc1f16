/// Buckets inside a bucket of a write transaction.
extension WritableBucket {
    /// A bucket inside this one, or nil when there is none of that name. The same object each time.
    public func bucket(_ name: [UInt8]) throws(PageFileError) -> WritableBucket? {
        requireOpen()
        if let known = children[name] { return known }
        let found = try name.withBytes { (name) throws(PageFileError) in try lookUp(name) }
        guard let found, found.flags & PageFormat.bucketElementFlag != 0 else { return nil }
        let bucket = try open(found.value)
        children[name] = bucket
        return bucket
    }

    private func open(_ value: UnsafeRawBufferPointer) throws(PageFileError) -> WritableBucket {
        guard let bucket = Bucket(source: transaction.source, limit: transaction.limit, value: value) else {
            throw transaction.source.corrupt(header.root, .badBucket)
        }
        return WritableBucket(transaction: transaction, header: bucket.header, inlinePage: bucket.inlinePage)
    }

    /// A bucket inside this one, created empty when it is missing.
    public func createBucketIfMissing(_ name: [UInt8]) throws(PageFileError) -> WritableBucket {
        if let known = try bucket(name) { return known }
        let bucket = WritableBucket(transaction: transaction)
        // The place in the parent; what it holds is written at commit.
        try name.withBytes { (name) throws(PageFileError) in
            try withUnsafeTemporaryValue(bucket.inlineImageSize) { (value) throws(PageFileError) in
                bucket.writeInlineImage(value)
                try put(name, UnsafeRawBufferPointer(value), flags: PageFormat.bucketElementFlag)
            }
        }
        children[name] = bucket
        return bucket
    }

    /// Removes a bucket with all it holds, buckets inside included.
    public func deleteBucket(_ name: [UInt8]) throws(PageFileError) {
        requireOpen()
        let found = try name.withBytes { (name) throws(PageFileError) in try lookUp(name) }
        guard let found else { throw transaction.source.failure(.bucketMissing) }
        guard found.flags & PageFormat.bucketElementFlag != 0 else { throw transaction.source.failure(.notABucket) }
        // The element still describes the base state: changes of this transaction reach it only at commit, and its new pages
        // are allocated only then.
        let base = try open(found.value)
        let runs = try base.pagesOfBase()
        for run in runs { try transaction.release(run) }
        transaction.deletedRoots.insert(base.header.root)
        try name.withBytes { (name) throws(PageFileError) in try remove(name) }
        children[name]?.markDeleted()
        children[name] = nil
    }

    private func markDeleted() {
        for child in children.values { child.markDeleted() }
        isDeleted = true
    }

    /// All pages of the bucket and of the buckets inside, as the base state has them.
    private func pagesOfBase() throws(PageFileError) -> [PageRun] {
        guard header.root != 0 else { return [] }
        var seen = PageBitmap()
        var runs: [PageRun] = []
        let source = transaction.source
        let deleted = transaction.deletedRoots
        try PageWalk(source: source, limit: transaction.limit).visit(header.root) { (_, run) throws(PageFileError) in
            if deleted.contains(run.id) { return false }
            for page in run.id..<run.end where !seen.insert(page) { throw source.corrupt(page, .referencedTwice) }
            runs.append(run)
            return true
        }
        return runs
    }
}

/// ``withUnsafeTemporaryAllocation(byteCount:alignment:_:)`` with a typed throw.
func withUnsafeTemporaryValue(
    _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws(PageFileError) -> Void
) throws(PageFileError) {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
    defer { memory.deallocate() }
    try body(memory)
}
