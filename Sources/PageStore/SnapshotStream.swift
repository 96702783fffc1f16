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

    /// The next piece, or nil when all were handed out.
    public mutating func next() throws(PageFileError) -> [UInt8]? {
        let count = min(chunkSize, totalSize - position)
        guard count > 0 else { return nil }
        var failure: PageFileError?
        let source = transaction.source
        let chunk = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            do throws(PageFileError) {
                try source.copy(
                    at: position, into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
                initialized = count
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        defer { position += count }
        return position == 0 ? withMetas(chunk) : chunk
    }

    private func withMetas(_ chunk: [UInt8]) -> [UInt8] {
        var chunk = chunk
        let pageSize = transaction.source.pageSize
        chunk.withUnsafeMutableBytes { bytes in
            for slot in 0..<2 {
                var meta = transaction.meta
                if slot == 1 && meta.transaction > 0 { meta.transaction -= 1 }
                meta.encode(UnsafeMutableRawBufferPointer(rebasing: bytes[slot * pageSize..<(slot + 1) * pageSize]), slot: slot)
            }
        }
        return chunk
    }
}
