import Host
import Raft

/// A segment's file name, `%016x-%016x.wal`: its number and the index of the first entry it may hold.
struct SegmentName: Equatable, Sendable, CustomStringConvertible {
    var sequence: UInt64
    var firstIndex: LogIndex

    var description: String { "\(paddedHexadecimal(sequence))-\(paddedHexadecimal(firstIndex)).wal" }

    init(sequence: UInt64, firstIndex: LogIndex) {
        self.sequence = sequence
        self.firstIndex = firstIndex
    }

    /// Nil for every other file that may lie in the directory.
    init?(_ text: String) {
        let utf8 = Array(text.utf8)
        guard utf8.count == 37, utf8[16] == UInt8(ascii: "-"), text.hasSuffix(".wal"),
            let sequence = hexadecimalValue(utf8[0..<16]), let index = hexadecimalValue(utf8[17..<33])
        else { return nil }
        self.init(sequence: sequence, firstIndex: index)
    }

    /// The segments in a directory in rising order; none when the directory is missing.
    static func list(_ disk: any Disk, _ directory: String) throws(WALError) -> [SegmentName] {
        guard try onDisk(nil, { () throws(DiskError) in try disk.exists(directory) }) else { return [] }
        let names = try onDisk { () throws(DiskError) in try disk.list(directory) }
        return names.compactMap { SegmentName($0) }.sorted { ($0.sequence, $0.firstIndex) < ($1.sequence, $1.firstIndex) }
    }
}

/// Sixteen lowercase hexadecimal digits.
func paddedHexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
}

/// The value of lowercase hexadecimal digits, at most sixteen.
func hexadecimalValue(_ digits: some Sequence<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    for digit in digits {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
        default: return nil
        }
    }
    return value
}
