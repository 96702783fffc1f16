/// Memory for the keys and values of one write transaction: handed out piece by piece, given back all at once.
struct Arena: ~Copyable {
    private var chunks: [UnsafeMutableRawPointer] = []
    private var position = UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped
    private var remaining = 0
    private static let chunkSize = 256 << 10
    /// Bytes taken from the system.
    private(set) var bytes = 0

    init() {}

    deinit {
        for chunk in chunks { chunk.deallocate() }
    }

    @inline(__always)
    mutating func allocate(_ count: Int) -> UnsafeMutableRawPointer {
        if count > remaining { return allocateChunk(count) }
        let piece = position
        position += count
        remaining -= count
        return piece
    }

    @inline(never)
    private mutating func allocateChunk(_ count: Int) -> UnsafeMutableRawPointer {
        let size = max(count, Arena.chunkSize)
        let chunk = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        chunks.append(chunk)
        bytes += size
        // A large piece of its own leaves the current chunk to be used up.
        if size - count >= remaining {
            position = chunk + count
            remaining = size - count
        }
        return chunk
    }
}
