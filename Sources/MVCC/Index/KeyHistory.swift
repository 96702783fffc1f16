/// One older revision of a key, 32 bytes, never changed while a snapshot can reach it.
///
/// A key's older revisions form a list from newest to oldest. Besides its successor each record knows one further down, so
/// that a search takes O(log n) steps: "jump pointers" after Myers, "An applicative random-access stack" (1983). The main
/// revision at the jump's end lies in the record itself, so a search never touches a record older than its answer, and
/// what is older may be freed without a change to what readers see.
struct KeyHistoryRecord {
    var main: Int64
    /// Main revision of the record `jump` names; 0 when there is none.
    var jumpMain: Int64
    /// The sub revision, with ``LeafFields/tombstoneBit``.
    var subAndTombstone: UInt32
    /// The next older record; 0: none. In a free record: the next free one.
    var next: UInt32
    var jump: UInt32
    /// Position in the list, 1 for the oldest: it decides how far the jump goes.
    var depth: UInt32

    var revision: Revision { Revision(main: main, sub: Int64(subAndTombstone & ~LeafFields.tombstoneBit)) }
    var isTombstone: Bool { subAndTombstone & LeafFields.tombstoneBit != 0 }

    /// How many records below position `depth` its jump reaches: the smallest term of `depth` written as a sum of terms
    /// 2^k - 1, each as large as possible. Every prefix of a search then costs O(log n).
    static func jumpLength(at depth: UInt32) -> UInt32 {
        var rest = depth
        while true {
            let width = UInt32.bitWidth - 1 - (rest + 1).leadingZeroBitCount
            let term = (UInt32(1) << UInt32(width)) - 1
            if term == rest { return term }
            rest -= term
        }
    }
}

/// How readers find records: chunk addresses in a table that never moves.
///
/// A reader uses only entries and records that were there when its snapshot was taken; the writer fills others meanwhile.
struct KeyHistoryTable {
    static let chunkBits = 15
    static let recordsPerChunk = 1 << chunkBits
    static let maximumChunks = 1 << (UInt32.bitWidth - chunkBits)
    static let chunkBytes = recordsPerChunk * MemoryLayout<KeyHistoryRecord>.stride

    let chunks: UnsafeMutablePointer<UnsafeMutablePointer<KeyHistoryRecord>?>

    @inline(__always)
    func record(_ index: UInt32) -> UnsafeMutablePointer<KeyHistoryRecord> {
        chunks[Int(index >> KeyHistoryTable.chunkBits)].unsafelyUnwrapped
            + Int(index & UInt32(KeyHistoryTable.recordsPerChunk - 1))
    }

    /// The newest record at or below main revision `limit` in the list that starts at `first`; 0: none.
    @inline(__always)
    func newest(atOrBelow limit: Int64, from first: UInt32) -> UInt32 {
        var index = first
        while index != 0 {
            let record = record(index)
            if record.pointee.main <= limit { return index }
            index = record.pointee.jumpMain > limit ? record.pointee.jump : record.pointee.next
        }
        return 0
    }
}
