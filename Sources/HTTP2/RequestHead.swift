import Glibc

/// A request's header fields, pseudo-fields included, in one flat buffer that is used again for the next request.
///
/// What the accessors lend is valid until the stream closes: nothing is appended after the header block is complete.
public final class RequestHead {
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

    init() {
        capacity = 512
        bytes = .allocate(byteCount: capacity, alignment: 1)
        entryCapacity = 16
        entries = .allocate(capacity: entryCapacity)
    }

    deinit {
        bytes.deallocate()
        entries.deallocate()
    }

    func removeAll() {
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
