import Bytes

/// A point in the store's history: `main` counts transactions, `sub` the changes inside one.
public struct Revision: Comparable, Hashable, Sendable {
    public var main: Int64
    public var sub: Int64

    @inlinable
    public init(main: Int64, sub: Int64 = 0) {
        self.main = main
        self.sub = sub
    }

    @inlinable
    public static func < (a: Revision, b: Revision) -> Bool {
        a.main != b.main ? a.main < b.main : a.sub < b.sub
    }
}

extension Revision {
    /// Length of a revision as the page file's `key` bucket stores it: main, '_', sub, both big endian.
    public static let encodedLength = 17
    /// What follows the revision of a tombstone.
    public static let tombstoneMark = UInt8(ascii: "t")

    /// The 17 bytes of the `key` bucket, or 18 for a tombstone.
    @inlinable
    public func encode(tombstone: Bool, into writer: inout ByteWriter) {
        writer.appendBigEndian(main)
        writer.append(UInt8(ascii: "_"))
        writer.appendBigEndian(sub)
        if tombstone { writer.append(Revision.tombstoneMark) }
    }

    /// Reads a key of the `key` bucket; nil when the bytes have another shape.
    @inlinable
    public static func decode(_ bytes: UnsafeRawBufferPointer) -> (revision: Revision, tombstone: Bool)? {
        guard bytes.count == encodedLength || (bytes.count == encodedLength + 1 && bytes[17] == tombstoneMark),
            bytes[8] == UInt8(ascii: "_")
        else { return nil }
        let main = Int64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: Int64.self))
        let sub = Int64(bigEndian: bytes.loadUnaligned(fromByteOffset: 9, as: Int64.self))
        return (Revision(main: main, sub: sub), bytes.count > encodedLength)
    }
}
