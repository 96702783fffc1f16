import Testing

@testable import Bytes

@Suite struct ChecksumTests {
    @Test func knownAnswers() {
        // The check value of CRC-32C, and RFC 3720's 32 bytes of zeros and of ones.
        #expect(CRC32C.update(0, Array("123456789".utf8)) == 0xe306_9283)
        #expect(CRC32C.update(0, [UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(CRC32C.update(0, [UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
        #expect(CRC32C.update(0x1234, []) == 0x1234)
    }

    @Test func instructionAndTablesAgree() {
        let bytes = (0..<200).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) }
        bytes.withUnsafeBytes { all in
            for start in 0..<16 {
                for count in 0...(200 - start) {
                    let part = UnsafeRawBufferPointer(rebasing: all[start..<start + count])
                    #expect(CRC32C.update(7, part) == CRC32C.updateByTables(7, part))
                }
            }
        }
    }

    @Test func chains() {
        let bytes = (0..<100).map { UInt8($0) }
        let whole = CRC32C.update(0, bytes)
        for cut in 0...100 {
            #expect(CRC32C.update(CRC32C.update(0, Array(bytes[..<cut])), Array(bytes[cut...])) == whole)
        }
    }
}
