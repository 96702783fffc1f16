import Bytes
import EtcdAPI

/// One range request against one reader, encoded straight into a `RangeResponse`.
public struct RangeQuery {
    let request: RangeRequest
    let range: KeyRange

    public init(_ request: RangeRequest) {
        self.request = request
        range = KeyRange(key: request.key, rangeEnd: request.rangeEnd)
    }

    /// Whether the answer depends on the order or the fields of values, so that all have to be looked at first.
    var needsAll: Bool { request.sortOrder != .none || request.sortTarget != .key || hasFilters }

    private var hasFilters: Bool {
        request.minModRevision != 0 || request.maxModRevision != 0 || request.minCreateRevision != 0
            || request.maxCreateRevision != 0
    }

    /// How many keys, in their order, are looked at before they are sorted: with a target and no order, etcd sorts what the limit
    /// lets through and one more, which tells whether there are more.
    private var sortedCount: Int {
        guard request.sortOrder == .none, !hasFilters, request.limit > 0, request.limit < .max else { return .max }
        return Int(request.limit) + 1
    }

    /// Encodes the answer at `current`, the newest revision the caller may see.
    ///
    /// `header` fills in who answers; its revision is `current`. On an error nothing has been written.
    ///
    /// - Parameter byteLimit: an answer in key order that grows past it is taken back, for ``RangePortions`` to send.
    /// - Returns: whether the answer was written.
    @discardableResult
    public func encode(
        header: ResponseHeader, from reader: inout Reader, current: Int64, into writer: inout ByteWriter, byteLimit: Int = .max
    ) throws(StoreError) -> Bool {
        let revision = try reader.resolve(revision: request.revision, current: current)
        let start = writer.count
        do throws(StoreError) {
            var header = header
            header.revision = current
            writer.message(1) { header.encode(into: &$0) }
            if request.countOnly {
                writer.field(4, Int64(reader.index.count(range, at: revision)))
            } else if needsAll {
                try encodeSorted(from: &reader, at: revision, into: &writer)
            } else {
                let end = byteLimit == .max ? Int.max : start + byteLimit
                guard try encodeInOrder(from: &reader, at: revision, into: &writer, end: end) else {
                    writer.truncate(to: start)
                    return false
                }
            }
            return true
        } catch {
            writer.truncate(to: start)
            throw error
        }
    }

    private func encodeInOrder(
        from reader: inout Reader, at revision: Int64, into writer: inout ByteWriter, end: Int
    ) throws(StoreError) -> Bool {
        let limit = request.limit > 0 ? Int(clamping: request.limit) : Int.max
        var found = 0
        var isTooLong = false
        var failure: StoreError?
        reader.index.visit(range, at: revision) { _, place in
            if found == limit {
                found += 1
                return false
            }
            found += 1
            do throws(StoreError) {
                let stored = try reader.value(at: place)
                try append(stored, to: &writer)
                if writer.count > end {
                    isTooLong = true
                    return false
                }
            } catch {
                failure = error
                return false
            }
            return true
        }
        if let failure { throw failure }
        if isTooLong { return false }
        writer.field(3, found > limit)
        writer.field(4, Int64(found > limit ? reader.index.count(range, at: revision) : found))
        return true
    }

    private func encodeSorted(from reader: inout Reader, at revision: Int64, into writer: inout ByteWriter) throws(StoreError) {
        var rows: [StoredKeyValue] = []
        var total = 0
        var failure: StoreError?
        let end = sortedCount
        reader.index.visit(range, at: revision) { _, place in
            if total == end { return false }
            total += 1
            do throws(StoreError) {
                let row = try parse(try reader.value(at: place))
                if passes(row) { rows.append(row) }
            } catch {
                failure = error
                return false
            }
            return true
        }
        if let failure { throw failure }
        if total == end { total = reader.index.count(range, at: revision) }
        sort(&rows)
        let limit = request.limit > 0 ? min(Int(clamping: request.limit), rows.count) : rows.count
        for row in rows[..<limit] {
            if request.keysOnly {
                writer.message(2) { row.encodeWithoutValue(into: &$0) }
            } else {
                writer.required(2, row.encoded)
            }
        }
        writer.field(3, rows.count > limit)
        writer.field(4, Int64(total))
    }

    private func append(_ stored: UnsafeRawBufferPointer, to writer: inout ByteWriter) throws(StoreError) {
        if request.keysOnly {
            let row = try parse(stored)
            writer.message(2) { row.encodeWithoutValue(into: &$0) }
        } else {
            writer.required(2, stored)
        }
    }

    private func parse(_ stored: UnsafeRawBufferPointer) throws(StoreError) -> StoredKeyValue {
        do throws(DecodeError) { return try StoredKeyValue(stored) } catch {
            throw .corrupt("a stored key-value cannot be decoded: \(error)")
        }
    }

    private func passes(_ row: StoredKeyValue) -> Bool {
        if request.maxModRevision != 0, row.modRevision > request.maxModRevision { return false }
        if request.minModRevision != 0, row.modRevision < request.minModRevision { return false }
        if request.maxCreateRevision != 0, row.createRevision > request.maxCreateRevision { return false }
        if request.minCreateRevision != 0, row.createRevision < request.minCreateRevision { return false }
        return true
    }

    /// Rows arrive in key order; ties keep it, as the sort is stable.
    private func sort(_ rows: inout [StoredKeyValue]) {
        // A target other than the key means ascending when no order is given.
        let order: RangeRequest.SortOrder =
            request.sortTarget != .key && request.sortOrder == .none ? .ascend : request.sortOrder
        // Unknown orders come in key order, where they are let through.
        guard order == .ascend || order == .descend else { return }
        let target = request.sortTarget
        let below: (StoredKeyValue, StoredKeyValue) -> Bool = { a, b in
            switch target {
            case .version: a.version < b.version
            case .create: a.createRevision < b.createRevision
            case .mod: a.modRevision < b.modRevision
            case .value: compareBytes(a.value, b.value) < 0
            default: compareBytes(a.key, b.key) < 0
            }
        }
        if order == .descend { rows.sort { below($1, $0) } } else { rows.sort(by: below) }
    }
}
