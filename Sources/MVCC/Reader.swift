import Backend
import Bytes
import PageStore

/// Reads the store at one moment: an index snapshot, the values not committed yet, and the page file as of its last commit.
///
/// A value of one owner at a time: the page cursor inside remembers where the last lookup ended, which makes ascending
/// lookups cheap. What it returns is borrowed from the view it was made of.
public struct Reader {
    public let index: any KeyReading
    public let recent: RecentValues
    public let currentRevision: Int64
    public let compactRevision: Int64
    private var pages: PageValues

    init(index: any KeyReading, recent: RecentValues, pages: PageValues, currentRevision: Int64, compactRevision: Int64) {
        self.index = index
        self.recent = recent
        self.pages = pages
        self.currentRevision = currentRevision
        self.compactRevision = compactRevision
    }

    /// The encoded key-value stored at a revision that the index knows.
    public mutating func value(at revision: Revision) throws(StoreError) -> UnsafeRawBufferPointer {
        if let firstRecent = recent.firstMain, revision.main >= firstRecent,
            let slot = recent.value(main: revision.main, sub: revision.sub)
        {
            return slot.value
        }
        guard let value = try pages.value(at: revision) else {
            throw .corrupt("no value at revision \(revision.main).\(revision.sub), which the index holds")
        }
        return value
    }

    /// The newest value of a key at main revision `at`, or nil when there is none or it is deleted.
    public mutating func get(_ key: UnsafeRawBufferPointer, at: Int64) throws(StoreError) -> UnsafeRawBufferPointer? {
        guard let state = index.get(key, at: at) else { return nil }
        return try value(at: state.revision)
    }

    /// Turns a request's revision (0 or less: the newest) into the one to read at.
    public func resolve(revision: Int64, current: Int64) throws(StoreError) -> Int64 {
        if revision > current { throw .futureRevision }
        let resolved = revision <= 0 ? current : revision
        if resolved < compactRevision { throw .compacted }
        return resolved
    }

    /// Visits every change with main revision in `from...through`, ascending, committed or not, until `body` returns false.
    public mutating func forEachChange(
        from: Int64, through: Int64, _ body: (Revision, _ tombstone: Bool, UnsafeRawBufferPointer) -> Bool
    ) throws(StoreError) {
        let firstRecent = recent.firstMain ?? Int64.max
        if from < firstRecent {
            let goOn = try pages.forEach(from: from, before: min(firstRecent, through == .max ? .max : through + 1), body)
            if !goOn { return }
        }
        recent.forEach(fromMain: from) { slot in
            slot.main <= through && body(Revision(main: slot.main, sub: slot.sub), slot.isTombstone, slot.value)
        }
    }
}

extension Reader {
    /// The value at a revision, with its fields.
    public mutating func parsedValue(at revision: Revision) throws(StoreError) -> StoredKeyValue {
        let stored = try value(at: revision)
        do throws(DecodeError) { return try StoredKeyValue(stored) } catch {
            throw .corrupt("the key-value at revision \(revision.main).\(revision.sub) cannot be decoded: \(error)")
        }
    }

    /// Visits the stored key-values of a range at a revision, in key order.
    public mutating func forEachValue(
        in range: KeyRange, at revision: Int64, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(StoreError) {
        var failure: StoreError?
        index.visit(range, at: revision) { _, place in
            do throws(StoreError) { body(try value(at: place)) } catch {
                failure = error
                return false
            }
            return true
        }
        if let failure { throw failure }
    }
}
