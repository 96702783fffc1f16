import CNGHTTP2
import Glibc

/// The header fields of a request or a response, pseudo-fields included, in one flat buffer that is used again for the next one.
///
/// What the accessors lend is valid until the stream closes: nothing is appended after the header block is complete.
public final class HeaderBlock {
    private struct Entry {
        var start: Int32
        var nameLength: Int32
        var valueLength: Int32
    }

    static let overheadPerField = 32
    private static let bytesKept = 2_048
    private static let entriesKept = 64

    // Memory of its own instead of arrays: a request appends a dozen fields, and each append to an array in a class costs more than
    // the copy. Only this class sees the pointers; `used` and `entryCount` never pass the capacities.
    private var bytes: UnsafeMutableRawPointer
    private var capacity: Int
    private var used = 0
    private var entries: UnsafeMutablePointer<Entry>
    private var entryCapacity: Int
    private var entryCount = 0
    /// Size as RFC 9113, section 6.5.2 counts it.
    private(set) var listSize = 0

    public init() {
        capacity = 512
        bytes = .allocate(byteCount: capacity, alignment: 1)
        entryCapacity = 16
        entries = .allocate(capacity: entryCapacity)
    }

    deinit {
        bytes.deallocate()
        entries.deallocate()
    }

    public func removeAll() {
        used = 0
        entryCount = 0
        listSize = 0
        if capacity > Self.bytesKept { resizeBytes(to: Self.bytesKept) }
        if entryCapacity > Self.entriesKept { resizeEntries(to: Self.entriesKept) }
    }

    /// False when the field would take the list past `limit`; it is not kept then.
    func append(name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, limit: Int) -> Bool {
        let length = name.count + value.count
        listSize += length + Self.overheadPerField
        guard listSize <= limit else { return false }
        if used + length > capacity { resizeBytes(to: max(capacity * 2, used + length)) }
        if entryCount == entryCapacity { resizeEntries(to: entryCapacity * 2) }
        (entries + entryCount).initialize(
            to: Entry(start: Int32(used), nameLength: Int32(name.count), valueLength: Int32(value.count)))
        entryCount += 1
        copy(name)
        copy(value)
        return true
    }

    private func copy(_ field: UnsafeRawBufferPointer) {
        guard let start = field.baseAddress else { return }
        (bytes + used).copyMemory(from: start, byteCount: field.count)
        used += field.count
    }

    private func resizeBytes(to newCapacity: Int) {
        let moved = UnsafeMutableRawPointer.allocate(byteCount: newCapacity, alignment: 1)
        moved.copyMemory(from: bytes, byteCount: used)
        bytes.deallocate()
        (bytes, capacity) = (moved, newCapacity)
    }

    private func resizeEntries(to newCapacity: Int) {
        let moved = UnsafeMutablePointer<Entry>.allocate(capacity: newCapacity)
        moved.moveInitialize(from: entries, count: entryCount)
        entries.deallocate()
        (entries, entryCapacity) = (moved, newCapacity)
    }

    public var count: Int { entryCount }

    private func name(_ entry: Entry) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: bytes + Int(entry.start), count: Int(entry.nameLength))
    }

    private func value(_ entry: Entry) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: bytes + Int(entry.start) + Int(entry.nameLength), count: Int(entry.valueLength))
    }

    /// The first value of `name`, which is in lower case.
    public func first(_ name: StaticString) -> UnsafeRawBufferPointer? {
        for index in 0..<entryCount where self.name(entries[index]).matches(name) { return value(entries[index]) }
        return nil
    }

    public func firstString(_ name: StaticString) -> String? { first(name).map { String(decoding: $0, as: UTF8.self) } }

    /// Appends a field that is known beforehand.
    public func append(_ name: StaticString, _ value: UnsafeRawBufferPointer) {
        append(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), value)
    }

    public func append(_ name: StaticString, _ value: String) {
        var value = value
        value.withUTF8 { append(name, UnsafeRawBufferPointer($0)) }
    }

    public func append(_ field: HTTPField) {
        var (name, value) = (field.name, field.value)
        name.withUTF8 { name in value.withUTF8 { append(UnsafeRawBufferPointer(name), UnsafeRawBufferPointer($0)) } }
    }

    /// Appends a field. `name` is in lower case.
    public func append(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        _ = append(name: name, value: value, limit: .max)
    }

    /// Takes over all fields of another block in place of its own.
    func copy(from other: HeaderBlock) {
        if other.used > capacity { resizeBytes(to: other.used) }
        if other.entryCount > entryCapacity { resizeEntries(to: other.entryCount) }
        bytes.copyMemory(from: other.bytes, byteCount: other.used)
        entries.update(from: other.entries, count: other.entryCount)
        (used, entryCount, listSize) = (other.used, other.entryCount, other.listSize)
    }

    /// Whether these are exactly the fields, in this order, with these values.
    public func equals(_ fields: [(name: StaticString, value: StaticString)]) -> Bool {
        guard fields.count == entryCount else { return false }
        for index in 0..<entryCount {
            guard name(entries[index]).matches(fields[index].name), value(entries[index]).matches(fields[index].value) else {
                return false
            }
        }
        return true
    }

    /// Lends the fields in libnghttp2's form. The library copies what it needs during the call.
    func withLibraryFields<R>(_ body: (UnsafePointer<nghttp2_nv>, Int) -> R) -> R {
        withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: max(entryCount, 1)) { fields in
            for index in 0..<entryCount {
                let entry = entries[index]
                let name = (bytes + Int(entry.start)).assumingMemoryBound(to: UInt8.self)
                fields.initializeElement(
                    at: index,
                    to: nghttp2_nv(
                        name: name, value: name + Int(entry.nameLength), namelen: Int(entry.nameLength),
                        valuelen: Int(entry.valueLength), flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)))
            }
            return body(UnsafePointer(fields.baseAddress!), entryCount)
        }
    }

    /// Every field in the order it came, pseudo-fields first.
    public func forEach(_ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Void) {
        for index in 0..<entryCount { body(name(entries[index]), value(entries[index])) }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether the bytes are those of `text`.
    @inlinable
    public func matches(_ text: StaticString) -> Bool {
        count == text.utf8CodeUnitCount && (count == 0 || memcmp(baseAddress!, text.utf8Start, count) == 0)
    }
}
