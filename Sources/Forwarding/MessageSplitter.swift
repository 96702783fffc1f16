import Bytes

/// Cuts a stream of bytes into gRPC's length-prefixed messages (gRPC over HTTP/2, "Length-Prefixed-Message"). Messages that arrive
/// whole are lent where they lie; only what is cut apart by frames is copied.
public struct MessageSplitter: ~Copyable {
    public enum Problem: Error, Equatable, Sendable {
        /// Longer than the limit. The bytes kept so far begin with it.
        case tooLong
        /// A compressed message, or another flag that is not known.
        case flagged
    }

    public static let prefixSize = 5
    private var kept = ByteWriter(capacity: 16)
    private let limit: Int

    public init(limit: Int) { self.limit = limit }

    /// Bytes of a message that is not complete.
    public var keptBytes: Int { kept.count }

    /// Takes bytes and calls `body` with every message that is complete, prefix included.
    ///
    /// A problem leaves the bytes that were not lent in ``takeKept(_:)``.
    public mutating func take(
        _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(Problem) {
        if kept.count == 0 {
            let taken = try lend(bytes, body)
            kept.append(UnsafeRawBufferPointer(rebasing: bytes[taken...]))
            return
        }
        kept.append(bytes)
        let whole = kept.withBytes { $0 }
        // The buffer does not change while the messages are lent: `body` cannot reach it.
        let taken = try lend(whole, body)
        removeFirst(taken)
    }

    /// Bytes that were lent as whole messages. After a problem they have been lent, and the rest is in `kept`.
    private mutating func lend(
        _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(Problem) -> Int {
        var at = 0
        while bytes.count - at >= Self.prefixSize {
            let length = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: at + 1, as: UInt32.self)))
            let problem: Problem? = bytes[at] != 0 ? .flagged : length > limit ? .tooLong : nil
            if let problem {
                if kept.count == 0 {
                    kept.append(UnsafeRawBufferPointer(rebasing: bytes[at...]))
                } else {
                    removeFirst(at)
                }
                throw problem
            }
            guard bytes.count - at >= Self.prefixSize + length else { break }
            body(UnsafeRawBufferPointer(rebasing: bytes[at..<(at + Self.prefixSize + length)]))
            at += Self.prefixSize + length
        }
        return at
    }

    private mutating func removeFirst(_ count: Int) {
        guard count > 0 else { return }
        if count == kept.count { return kept.removeAll(keepingAtMost: 4_096) }
        let left = kept.count - count
        kept.withMutableBytes { all in all.baseAddress!.copyMemory(from: all.baseAddress! + count, byteCount: left) }
        kept.truncate(to: left)
    }

    /// Lends and forgets what is kept of a message that is not complete.
    public mutating func takeKept(_ body: (UnsafeRawBufferPointer) -> Void) {
        kept.withBytes { body($0) }
        kept.removeAll(keepingAtMost: 4_096)
    }
}

/// The prefix of a message of `length` bytes that is not compressed.
public func appendMessagePrefix(_ length: Int, to writer: inout ByteWriter) {
    writer.append(0)
    writer.appendBigEndian(UInt32(length))
}

/// Follows a stream of length-prefixed messages without keeping any of it: is it between two of them?
public struct MessageBoundary: Sendable {
    private var prefix: UInt64 = 0
    private var prefixBytes = 0
    private var messageBytesLeft = 0

    public init() {}

    public var isBetweenMessages: Bool { prefixBytes == 0 && messageBytesLeft == 0 }

    public mutating func pass(_ bytes: UnsafeRawBufferPointer) {
        var at = 0
        while at < bytes.count {
            if messageBytesLeft > 0 {
                let taken = min(messageBytesLeft, bytes.count - at)
                messageBytesLeft -= taken
                at += taken
            } else {
                prefix = prefix << 8 | UInt64(bytes[at])
                prefixBytes += 1
                at += 1
                if prefixBytes == MessageSplitter.prefixSize {
                    messageBytesLeft = Int(prefix & 0xffff_ffff)
                    (prefix, prefixBytes) = (0, 0)
                }
            }
        }
    }
}
