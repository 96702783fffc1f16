#if canImport(CHardware)
    internal import CHardware
#endif

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), chained as Go's `crc32.Update` chains it: the state passed in and
/// handed out is the finished checksum of what came before.
public enum CRC32C {
    /// Eight tables of 256, so that eight bytes are folded a step ("slicing-by-8", Kounavis and Berry 2005).
    @usableFromInline
    static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            var value = UInt32(index)
            for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ 0x82f6_3b78 : value >> 1 }
            tables[index] = value
        }
        for index in 0..<256 {
            for table in 1..<8 {
                let previous = tables[(table - 1) * 256 + index]
                tables[table * 256 + index] = (previous >> 8) ^ tables[Int(previous & 0xff)]
            }
        }
        return tables
    }()

    /// Whether the processor computes it by itself, four to five times as fast as the tables.
    #if canImport(CHardware)
        static let isHardware = chardware_has_crc32c() != 0
    #else
        static let isHardware = false
    #endif

    /// The checksum of everything checksummed to `previous`, followed by `bytes`.
    public static func update(_ previous: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        #if canImport(CHardware)
            if isHardware { return ~chardware_crc32c(~previous, bytes.baseAddress, bytes.count) }
        #endif
        return updateByTables(previous, bytes)
    }

    /// The same by tables alone, for processors without the instruction.
    static func updateByTables(_ previous: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        guard let base = bytes.baseAddress else { return previous }
        var crc = ~previous
        var at = 0
        let count = bytes.count
        tables.withUnsafeBufferPointer { table in
            while at + 8 <= count {
                let word = UInt64(littleEndian: (base + at).loadUnaligned(as: UInt64.self)) ^ UInt64(crc)
                crc =
                    table[7 * 256 + Int(word & 0xff)] ^ table[6 * 256 + Int(word >> 8 & 0xff)]
                    ^ table[5 * 256 + Int(word >> 16 & 0xff)] ^ table[4 * 256 + Int(word >> 24 & 0xff)]
                    ^ table[3 * 256 + Int(word >> 32 & 0xff)] ^ table[2 * 256 + Int(word >> 40 & 0xff)]
                    ^ table[256 + Int(word >> 48 & 0xff)] ^ table[Int(word >> 56)]
                at += 8
            }
            while at < count {
                crc = (crc >> 8) ^ table[Int((crc ^ UInt32((base + at).load(as: UInt8.self))) & 0xff)]
                at += 1
            }
        }
        return ~crc
    }

    public static func update(_ previous: UInt32, _ bytes: [UInt8]) -> UInt32 {
        bytes.withUnsafeBytes { update(previous, $0) }
    }
}

/// FNV-1a, 64 bits: what bbolt's meta pages are checked with.
public enum FNV1a {
    public static func hash64(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }
}
