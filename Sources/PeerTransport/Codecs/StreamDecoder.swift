import Bytes
import Raft
import Records

/// Takes messages out of the bytes of one stream.
public struct StreamDecoder: Sendable {
    /// The longest message that is taken, as in etcd.
    public static let maximumMessageBytes = 512 << 20

    private let kind: StreamKind
    private let local: MemberID
    private let remote: MemberID
    private let limit: UInt64
    private var position = AppendPosition()

    /// - Parameters:
    ///   - local: the member that reads; short appends do not name it.
    ///   - remote: the member that writes.
    public init(_ kind: StreamKind, local: MemberID, remote: MemberID, limit: Int = StreamDecoder.maximumMessageBytes) {
        self.kind = kind
        self.local = local
        self.remote = remote
        self.limit = UInt64(limit)
    }

    /// Decodes every message that is complete and leaves link heartbeats out.
    ///
    /// - Returns: how many bytes were used; what is left is the beginning of the next message.
    public mutating func decode(_ bytes: UnsafeRawBufferPointer, into messages: inout [Message]) throws(StreamError) -> Int {
        var used = 0
        while let next = try decodeOne(UnsafeRawBufferPointer(rebasing: bytes[used...])) {
            used += next.length
            if let message = next.message { messages.append(message) }
        }
        return used
    }

    /// The first frame's length and message; nil while it is not complete.
    private mutating func decodeOne(_ bytes: UnsafeRawBufferPointer) throws(StreamError) -> (length: Int, message: Message?)? {
        guard kind == .append else { return try decodeWhole(bytes, at: 0) }
        guard let first = bytes.first else { return nil }
        switch AppendFrame(rawValue: first) {
        case .linkHeartbeat: return (1, nil)
        case .entries: return try decodeEntries(bytes)
        case .message:
            guard let whole = try decodeWhole(bytes, at: 1) else { return nil }
            if let message = whole.message { position.moved(to: message) }
            return whole
        case nil: throw .unknownFrame(first)
        }
    }

    private func decodeWhole(_ bytes: UnsafeRawBufferPointer, at start: Int) throws(StreamError) -> (
        length: Int, message: Message?
    )? {
        guard let body = try field(bytes, at: start) else { return nil }
        do {
            let message = try Message(decoding: body)
            let isLinkHeartbeat = message.kind == .heartbeat && message.from == 0 && message.to == 0
            return (start + 8 + body.count, isLinkHeartbeat ? nil : message)
        } catch {
            throw .malformed(error)
        }
    }

    private mutating func decodeEntries(_ bytes: UnsafeRawBufferPointer) throws(StreamError) -> (length: Int, message: Message?)?
    {
        guard let end = try endOfEntries(bytes) else { return nil }
        var message = Message(
            kind: .append, to: local, from: remote, term: position.term, logTerm: position.term, index: position.index)
        var offset = 9
        while offset < end, let body = try field(bytes, at: offset) {
            do {
                message.entries.append(try Entry(decoding: body))
            } catch {
                throw .malformed(error)
            }
            offset += 8 + body.count
        }
        message.commit = bigEndian(bytes, at: end) ?? 0
        position.index &+= UInt64(message.entries.count)
        return (end + 8, message)
    }

    /// Where the commit index begins; nil while the frame is not complete. Nothing is allocated for entries that are only announced.
    private func endOfEntries(_ bytes: UnsafeRawBufferPointer) throws(StreamError) -> Int? {
        guard let count = bigEndian(bytes, at: 1) else { return nil }
        var offset = 9
        var left = count
        while left > 0 {
            guard let body = try field(bytes, at: offset) else { return nil }
            offset += 8 + body.count
            guard offset <= limit else { throw .tooLong(UInt64(offset)) }
            left -= 1
        }
        return offset + 8 <= bytes.count ? offset : nil
    }

    /// The bytes behind a length; nil while they are not all there.
    private func field(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StreamError) -> UnsafeRawBufferPointer? {
        guard let length = bigEndian(bytes, at: offset) else { return nil }
        guard length <= limit else { throw .tooLong(length) }
        let start = offset + 8
        guard bytes.count - start >= Int(length) else { return nil }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(length)])
    }

    private func bigEndian(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> UInt64? {
        guard bytes.count - offset >= 8 else { return nil }
        return UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}
