/// The content of a file in memory. Copies share chunks until one of them is written; holes cost nothing.
struct FileImage: Sendable {
    private static let chunkSize = 16_384
    /// nil where nothing was written: zeros.
    private var chunks: [[UInt8]?] = []
    private(set) var size = 0

    init() {}

    init(_ bytes: [UInt8]) { bytes.withUnsafeBytes { write($0, at: 0) } }

    var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
            filled = read(at: 0, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    /// Bytes read; fewer than asked only at the end of the file.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = max(0, min(buffer.count, size - offset))
        var done = 0
        while done < count {
            let (index, start) = (offset + done).quotientAndRemainder(dividingBy: Self.chunkSize)
            let length = min(Self.chunkSize - start, count - done)
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + length])
            if let chunk = chunks[index] {
                chunk.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<start + length])) }
            } else {
                target.initializeMemory(as: UInt8.self, repeating: 0)
            }
            done += length
        }
        return count
    }

    /// Writes all bytes; the file grows when they reach past its end.
    mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        guard !bytes.isEmpty else { return }
        if offset + bytes.count > size { setSize(offset + bytes.count) }
        var done = 0
        while done < bytes.count {
            let (index, start) = (offset + done).quotientAndRemainder(dividingBy: Self.chunkSize)
            let length = min(Self.chunkSize - start, bytes.count - done)
            if chunks[index] == nil { chunks[index] = [UInt8](repeating: 0, count: Self.chunkSize) }
            chunks[index]!.withUnsafeMutableBytes { chunk in
                UnsafeMutableRawBufferPointer(rebasing: chunk[start..<start + length])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[done..<done + length]))
            }
            done += length
        }
    }

    /// Cuts the file, or grows it with zeros.
    mutating func setSize(_ newSize: Int) {
        let count = (newSize + Self.chunkSize - 1) / Self.chunkSize
        if newSize < size {
            chunks.removeLast(chunks.count - count)
            // What is cut off must read as zeros when the file grows again.
            let rest = newSize % Self.chunkSize
            if rest > 0, chunks[count - 1] != nil {
                chunks[count - 1]!.replaceSubrange(rest..., with: repeatElement(0, count: Self.chunkSize - rest))
            }
        } else if count > chunks.count {
            chunks.append(contentsOf: repeatElement(nil, count: count - chunks.count))
        }
        size = newSize
    }
}
