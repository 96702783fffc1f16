/// A growable output buffer for encoders: owns its memory, never shared, never copied by accident.
///
/// Encoders append; the finished bytes are either borrowed with ``withBytes(_:)`` or copied out with ``array()``.
/// Offsets handed to ``patch`` functions come from ``count`` taken earlier.
public struct ByteWriter: ~Copyable {
    @usableFromInline var storage: UnsafeMutableRawPointer
    @usableFromInline var capacity: Int
    @usableFromInline var length: Int
    /// Bytes written so far.
    @inlinable @inline(__always) public var count: Int { length }

    public init(capacity: Int = 256) {
        self.capacity = max(capacity, 16)
        storage = .allocate(byteCount: self.capacity, alignment: 16)
        length = 0
    }

    deinit { storage.deallocate() }

    /// Forgets what was written and keeps the memory, unless it grew past `limit` bytes.
    public mutating func removeAll(keepingAtMost limit: Int = .max) {
        length = 0
        if capacity > limit {
            storage.deallocate()
            capacity = max(limit, 16)
            storage = .allocate(byteCount: capacity, alignment: 16)
        }
    }

    /// Makes room for `extra` more bytes.
    @inlinable @inline(__always)
    public mutating func reserve(_ extra: Int) {
        if count + extra > capacity { grow(extra) }
    }

    @usableFromInline @inline(never)
    mutating func grow(_ extra: Int) {
        let wanted = max(capacity * 2, count + extra)
        let moved = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
        moved.copyMemory(from: storage, byteCount: count)
        storage.deallocate()
        storage = moved
        capacity = wanted
    }

    @inlinable @inline(__always)
    public mutating func append(_ byte: UInt8) {
        reserve(1)
        storage.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        advance(1)
    }

    @inlinable
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        (storage + count).copyMemory(from: base, byteCount: bytes.count)
        advance(bytes.count)
    }

    @inlinable
    public mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    @inlinable
    public mutating func append(_ text: StaticString) {
        append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    public mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    @inlinable
    public mutating func append(repeating byte: UInt8, count extra: Int) {
        guard extra > 0 else { return }
        reserve(extra)
        (storage + count).initializeMemory(as: UInt8.self, repeating: byte, count: extra)
        advance(extra)
    }

    @inlinable @inline(__always)
    public mutating func appendLittleEndian<T: FixedWidthInteger>(_ value: T) {
        reserve(MemoryLayout<T>.size)
        storage.storeBytes(of: value.littleEndian, toByteOffset: count, as: T.self)
        advance(MemoryLayout<T>.size)
    }

    @inlinable @inline(__always)
    public mutating func appendBigEndian<T: FixedWidthInteger>(_ value: T) {
        reserve(MemoryLayout<T>.size)
        storage.storeBytes(of: value.bigEndian, toByteOffset: count, as: T.self)
        advance(MemoryLayout<T>.size)
    }

    /// Overwrites bytes written earlier, such as a length that was not known yet.
    @inlinable
    public mutating func patchLittleEndian<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count, "patch outside what was written")
        storage.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
    }

    @inlinable
    public mutating func patchBigEndian<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count, "patch outside what was written")
        storage.storeBytes(of: value.bigEndian, toByteOffset: offset, as: T.self)
    }

    /// Appends up to `capacity` bytes that `body` writes itself; it returns how many.
    @inlinable
    public mutating func appendUninitialized(
        _ capacity: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int
    ) {
        reserve(capacity)
        let written = body(UnsafeMutableRawBufferPointer(start: storage + count, count: capacity))
        precondition(written >= 0 && written <= capacity, "wrote past the room that was asked for")
        advance(written)
    }

    /// Drops everything past `newCount` bytes, to take back a message begun and given up.
    public mutating func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count, "truncate can only shorten")
        length = newCount
    }

    @inlinable @inline(__always)
    mutating func advance(_ by: Int) { length += by }

    /// Lends what was written; the pointer is valid only inside `body`.
    @inlinable
    public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try body(UnsafeRawBufferPointer(start: storage, count: count))
    }

    /// Lends what was written for changes in place.
    @inlinable
    public mutating func withMutableBytes<R, E: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        try body(UnsafeMutableRawBufferPointer(start: storage, count: count))
    }

    /// A copy of what was written.
    @inlinable
    public func array() -> [UInt8] {
        [UInt8](UnsafeRawBufferPointer(start: storage, count: count))
    }
}
