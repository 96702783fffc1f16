import Glibc

/// Borrowed bytes of a key or of a separator between keys, ordered as etcd orders keys: byte by byte, a prefix first.
struct KeyBytes {
    let start: UnsafeRawPointer
    let count: Int

    @inline(__always)
    init(start: UnsafeRawPointer, count: Int) {
        self.start = start
        self.count = count
    }

    @inline(__always)
    init(_ bytes: UnsafeRawBufferPointer) {
        // An empty buffer may have no address; no byte of an empty key is ever read, so any address serves.
        start = bytes.baseAddress ?? KeyBytes.nowhere
        count = bytes.count
    }

    private static var nowhere: UnsafeRawPointer { UnsafeRawPointer(bitPattern: 16)! }

    var buffer: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    /// Less than, equal to or greater than zero as the bytes from `offset` on are less than, equal to or greater than `other`'s.
    /// The first `offset` bytes must exist and be equal in both.
    @inline(__always)
    func compare(_ other: KeyBytes, from offset: Int) -> Int {
        let order = memcmp(start + offset, other.start + offset, min(count, other.count) - offset)
        return order != 0 ? Int(order) : count - other.count
    }

    /// Whether the first `length` bytes are those of `other`; both have as many.
    @inline(__always)
    func hasPrefix(of other: KeyBytes, length: Int) -> Bool { memcmp(start, other.start, length) == 0 }

    /// How many leading bytes both have in common, `limit` at most.
    func commonPrefix(with other: KeyBytes, limit: Int = .max) -> Int {
        let end = min(count, other.count, limit)
        var length = 0
        while length + 8 <= end {
            let difference =
                (start + length).loadUnaligned(as: UInt64.self).littleEndian
                ^ (other.start + length).loadUnaligned(as: UInt64.self).littleEndian
            if difference != 0 { return length + difference.trailingZeroBitCount / 8 }
            length += 8
        }
        while length < end, (start + length).load(as: UInt8.self) == (other.start + length).load(as: UInt8.self) {
            length += 1
        }
        return length
    }

    /// The four bytes from `offset` on as a number that orders as they do; bytes past the end count as zero.
    @inline(__always)
    func head(at offset: Int) -> UInt32 {
        if offset + 4 <= count { return UInt32(bigEndian: (start + offset).loadUnaligned(as: UInt32.self)) }
        var head: UInt32 = 0
        for index in 0..<4 {
            let byte = offset + index < count ? (start + offset + index).load(as: UInt8.self) : 0
            head = head << 8 | UInt32(byte)
        }
        return head
    }
}
