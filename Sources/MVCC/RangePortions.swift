import Bytes
import EtcdAPI

/// A long range answer in key order, in portions that each cost less than a millisecond: measured first, then encoded.
///
/// Both passes read the same view, so the length found is the length sent.
public struct RangePortions: Sendable {
    /// Keys looked at, and bytes written, in one portion.
    public static let keyLimit = 1000
    public static let byteLimit = 256 << 10

    private let request: RangeRequest
    private let range: KeyRange
    private let revision: Int64
    private let limit: Int
    private let total: Int
    private var position: [UInt8]?
    private var visited = 0
    private var bodyLength = 0

    init(_ request: RangeRequest, _ range: KeyRange, revision: Int64, total: Int) {
        self.request = request
        self.range = range
        self.revision = revision
        self.total = total
        limit = request.limit > 0 ? min(Int(clamping: request.limit), total) : total
    }

    /// Measures the next portion; true when the length is known.
    public mutating func measure(_ view: ReadView) throws(StoreError) -> Bool {
        let keysOnly = request.keysOnly
        var length = 0
        let isDone = try visit(view, limit: RangePortions.keyLimit) { stored throws(StoreError) in
            let size = keysOnly ? try RangePortions.withoutValue(stored).count : stored.count
            length += 1 + varintLength(UInt64(size)) + size
            return true
        }
        bodyLength += length
        if isDone {
            position = nil
            visited = 0
        }
        return isDone
    }

    /// The response's header field.
    public func head(_ header: ResponseHeader) -> [UInt8] {
        var writer = ByteWriter(capacity: 64)
        writer.message(1) { header.encode(into: &$0) }
        return writer.array()
    }

    /// Length of the whole response, once it was measured.
    public func messageLength(head: [UInt8]) -> Int { head.count + bodyLength + tail.count }

    private var tail: [UInt8] {
        var writer = ByteWriter(capacity: 16)
        writer.field(3, total > limit)
        writer.field(4, Int64(total))
        return writer.array()
    }

    /// Appends the next portion; true when it was the last, the fields after the keys included.
    public mutating func send(_ view: ReadView, into writer: inout ByteWriter) throws(StoreError) -> Bool {
        let keysOnly = request.keysOnly
        let start = writer.count
        let isDone = try visit(view, limit: RangePortions.keyLimit) { stored throws(StoreError) in
            if keysOnly {
                writer.required(2, try RangePortions.withoutValue(stored))
            } else {
                writer.required(2, stored)
            }
            return writer.count - start < RangePortions.byteLimit
        }
        if isDone { writer.append(tail) }
        return isDone
    }

    /// Visits on from where the last portion ended; true when the range is at its end.
    private mutating func visit(
        _ view: ReadView, limit portion: Int, _ body: (UnsafeRawBufferPointer) throws(StoreError) -> Bool
    ) throws(StoreError) -> Bool {
        var reader = try view.reader()
        let index = reader.index
        var seen = 0
        var last: [UInt8]?
        var goesOn = true
        var failure: StoreError?
        let before = visited
        index.visit(range, after: position, at: revision) { key, place in
            if before + seen == limit { return false }
            do throws(StoreError) { goesOn = try body(try reader.value(at: place)) } catch {
                failure = error
                return false
            }
            seen += 1
            if seen == portion || !goesOn { last = [UInt8](key) }
            return last == nil
        }
        if let failure { throw failure }
        visited += seen
        position = last
        return last == nil || visited == limit
    }

    private static func withoutValue(_ stored: UnsafeRawBufferPointer) throws(StoreError) -> [UInt8] {
        do throws(DecodeError) {
            let row = try StoredKeyValue(stored)
            var writer = ByteWriter(capacity: row.key.count + 40)
            row.encodeWithoutValue(into: &writer)
            return writer.array()
        } catch {
            throw .corrupt("a stored key-value cannot be decoded: \(error)")
        }
    }
}

extension RangeQuery {
    /// Whether the answer should be sent in portions: many keys, in their own order.
    public func isLong(in reader: Reader, current: Int64) throws(StoreError) -> Bool {
        guard range.end != .single, !request.countOnly, isInKeyOrder else { return false }
        if request.limit > 0, request.limit <= Int64(RangePortions.keyLimit) { return false }
        let revision = try reader.resolve(revision: request.revision, current: current)
        return reader.index.count(range, at: revision) > RangePortions.keyLimit
    }

    public func portions(in reader: Reader, current: Int64) throws(StoreError) -> RangePortions {
        let revision = try reader.resolve(revision: request.revision, current: current)
        return RangePortions(request, range, revision: revision, total: reader.index.count(range, at: revision))
    }

    var isInKeyOrder: Bool { !needsAll }
}
