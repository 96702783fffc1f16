import Backend
import PageStore

/// Looks up values by revision in the `key` bucket of one page-file state.
struct PageValues {
    private let transaction: ReadTransaction
    private var cursor: Cursor?

    init(_ transaction: ReadTransaction) throws(StoreError) {
        self.transaction = transaction
        do throws(PageFileError) { cursor = try transaction.bucket(BucketName.key.name)?.cursor() } catch {
            throw .corrupt("\(error)")
        }
    }

    /// The value at a revision that is no tombstone.
    mutating func value(at revision: Revision) throws(StoreError) -> UnsafeRawBufferPointer? {
        do throws(PageFileError) {
            guard cursor != nil,
                try cursor!.findRevision(main: UInt64(bitPattern: revision.main), sub: UInt64(bitPattern: revision.sub))
            else { return nil }
            return cursor!.value
        } catch {
            throw .corrupt("\(error)")
        }
    }

    /// Visits changes with main revision from `from` up to but not including `before`, ascending; false when `body` stopped it.
    mutating func forEach(
        from: Int64, before: Int64, _ body: (Revision, _ tombstone: Bool, UnsafeRawBufferPointer) -> Bool
    ) throws(StoreError) -> Bool {
        guard cursor != nil else { return true }
        do {
            var isValid = try cursor!.seekRevision(main: UInt64(max(from, 0)), sub: 0)
            while isValid {
                guard let (revision, tombstone) = Revision.decode(cursor!.key) else {
                    throw StoreError.corrupt(PageValues.malformed)
                }
                if revision.main >= before { return true }
                if !body(revision, tombstone, cursor!.value) { return false }
                isValid = try cursor!.next()
            }
        } catch let error as StoreError {
            throw error
        } catch {
            throw .corrupt("\(error)")
        }
        return true
    }

    /// A revision kept under a key of the `meta` bucket.
    func metaRevision(_ key: [UInt8]) throws(StoreError) -> Int64? {
        let bytes: UnsafeRawBufferPointer?
        do throws(PageFileError) { bytes = try transaction.bucket(BucketName.meta.name)?.value(key) } catch {
            throw .corrupt("\(error)")
        }
        guard let bytes else { return nil }
        guard let (revision, _) = Revision.decode(bytes) else { throw .corrupt(PageValues.malformed) }
        return revision.main
    }

    private static let malformed = "a page file's revision has another shape than 8 bytes, '_', 8 bytes"
}
