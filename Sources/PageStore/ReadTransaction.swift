/// A consistent view of one committed state.
///
/// Pages of that state are not reused while the object lives; it may be released on any thread. Buckets, cursors and the bytes they
/// lend are good only that long: keep the transaction alive around their use.
public final class ReadTransaction: Sendable {
    let file: PageFile
    let source: PageSource
    let meta: Meta

    init(file: PageFile, source: PageSource, meta: Meta) {
        self.file = file
        self.source = source
        self.meta = meta
    }

    deinit { file.endRead(meta.transaction) }

    /// The number of the transaction that wrote this state.
    public var number: UInt64 { meta.transaction }

    /// Bytes up to the last page of this state.
    public var size: Int { Int(meta.highWater) * meta.pageSize }

    /// The bucket that holds the top-level buckets.
    public var root: Bucket {
        Bucket(
            source: source, limit: meta.highWater, header: BucketHeader(root: meta.root, sequence: meta.rootSequence),
            inlinePage: nil)
    }

    /// A top-level bucket, or nil when there is none of that name.
    public func bucket(_ name: [UInt8]) throws(PageFileError) -> Bucket? { try root.bucket(name) }
}

/// A bucket of a read transaction: a plain value, good while the transaction lives.
public struct Bucket {
    let source: Unmanaged<PageSource>
    let limit: PageID
    let header: BucketHeader
    let inlinePage: PageView?

    init(source: PageSource, limit: PageID, header: BucketHeader, inlinePage: PageView?) {
        self.source = .passUnretained(source)
        self.limit = limit
        self.header = header
        self.inlinePage = inlinePage
    }

    /// The bucket described by an element's value, or nil when the value is malformed.
    init?(source: PageSource, limit: PageID, value: UnsafeRawBufferPointer) {
        guard let header = BucketHeader.load(value) else { return nil }
        var inlinePage: PageView?
        if header.root == 0 {
            guard let page = PageView.inline(value) else { return nil }
            inlinePage = page
        }
        self.init(source: source, limit: limit, header: header, inlinePage: inlinePage)
    }

    /// bbolt's counter of a bucket; etcd leaves it at 0.
    public var sequence: UInt64 { header.sequence }

    /// A cursor that stands on no entry yet.
    public func cursor() -> Cursor {
        source._withUnsafeGuaranteedRef { Cursor(source: $0, limit: limit, root: header.root, inlinePage: inlinePage) }
    }

    /// The value of a key, or nil when it is missing or names a bucket.
    public func value(_ key: UnsafeRawBufferPointer) throws(PageFileError) -> UnsafeRawBufferPointer? {
        var cursor = cursor()
        return try cursor.find(key) && !cursor.isBucket ? cursor.value : nil
    }

    /// ``value(_:)`` for a key in an array.
    public func value(_ key: [UInt8]) throws(PageFileError) -> UnsafeRawBufferPointer? {
        var cursor = cursor()
        return try cursor.find(key) && !cursor.isBucket ? cursor.value : nil
    }

    /// A bucket inside this one, or nil when there is none of that name.
    public func bucket(_ name: [UInt8]) throws(PageFileError) -> Bucket? {
        var cursor = cursor()
        guard try cursor.find(name), cursor.isBucket else { return nil }
        return try bucket(at: cursor)
    }

    /// The bucket a cursor of this bucket stands on (``Cursor/isBucket``).
    public func bucket(at cursor: Cursor) throws(PageFileError) -> Bucket {
        precondition(cursor.isValid && cursor.isBucket, "the cursor does not stand on a bucket")
        let source = source.takeUnretainedValue()
        guard let bucket = Bucket(source: source, limit: limit, value: cursor.value) else {
            throw source.corrupt(cursor.leaf.id, .badBucket)
        }
        return bucket
    }
}
