import Bytes

/// The frame in front of every gRPC message: a flag and the length (gRPC over HTTP/2, "Length-Prefixed-Message").
struct MessagePrefix: Equatable {
    static let size = 5

    var flag: UInt8
    var length: Int

    /// nil if there are fewer than five bytes.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.size else { return nil }
        flag = bytes[0]
        length = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
    }
}

/// Request bytes that cannot be handed on yet: the beginning of a message, or messages that wait.
struct MessageBuffer: ~Copyable {
    private var bytes = ByteWriter(capacity: 16)
    /// Bytes of waiting messages that are still charged to the client's window.
    var uncredited = 0
    /// The client has ended the request, but messages wait.
    var halfCloseWaits = false

    /// Memory kept when the stream is used again.
    private static let bytesKept = 1_024

    var count: Int { bytes.count }

    /// Lent until the buffer changes.
    var contents: UnsafeRawBufferPointer { bytes.withBytes { $0 } }

    mutating func append(_ more: UnsafeRawBufferPointer) { bytes.append(more) }

    mutating func removeFirst(_ count: Int) {
        if count == bytes.count { return bytes.removeAll(keepingAtMost: Self.bytesKept) }
        let left = bytes.count - count
        bytes.withMutableBytes { all in
            let start = all.baseAddress!
            start.copyMemory(from: start + count, byteCount: left)
        }
        bytes.truncate(to: left)
    }

    mutating func removeAll() {
        bytes.removeAll(keepingAtMost: Self.bytesKept)
        uncredited = 0
        halfCloseWaits = false
    }
}
