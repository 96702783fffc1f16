/// The file as one transaction sees it, piece by piece: what bbolt's `Tx.WriteTo` writes.
///
/// Two meta pages that lead to the transaction's state, the second with a transaction number one less, then all pages up to the
/// high water mark, free ones with whatever they hold. Keeps the transaction alive.
public struct SnapshotStream: ~Copyable {
    private let transaction: ReadTransaction
    private let chunkSize: Int
    private var position = 0

    /// Bytes in all.
    public var totalSize: Int { transaction.size }
    /// Bytes handed out so far.
    public var bytesRead: Int { position }

    /// - Parameter chunkSize: bytes of each piece but the last, from 64 KiB to 1 MiB; rounded to whole pages.
    public init(_ transaction: ReadTransaction, chunkSize: Int = 256 << 10) {
        self.transaction = transaction
        let pageSize = transaction.source.pageSize
        self.chunkSize = max(min(max(chunkSize, 64 << 10), 1 << 20) / pageSize, 2) * pageSize
    }

    /// Bytes of the next piece, 0 when all were handed out.
    public var nextCount: Int { min(chunkSize, totalSize - position) }

    /// The next piece, or nil when all were handed out.
    public mutating func next() throws(PageFileError) -> [UInt8]? {
        let count = nextCount
        guard count > 0 else { return nil }
        var result: Result<Void, PageFileError> = .success(())
        let chunk = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            let target = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count])
            do throws(PageFileError) {
                try read(into: target)
                initialized = count
            } catch {
                result = .failure(error)
            }
        }
        try result.get()
        return chunk
    }

    /// Copies the next piece into `target`, which is ``nextCount`` bytes long.
    public mutating func read(into target: UnsafeMutableRawBufferPointer) throws(PageFileError) {
        precondition(target.count == nextCount, "a piece is taken whole")
        try transaction.source.copy(at: position, into: target)
        if position == 0 { writeMetas(into: target) }
        position += target.count
    }

    private func writeMetas(into bytes: UnsafeMutableRawBufferPointer) {
        let pageSize = transaction.source.pageSize
        for slot in 0..<2 {
            var meta = transaction.meta
            if slot == 1 && meta.transaction > 0 { meta.transaction -= 1 }
            meta.encode(UnsafeMutableRawBufferPointer(rebasing: bytes[slot * pageSize..<(slot + 1) * pageSize]), slot: slot)
        }
    }
}
