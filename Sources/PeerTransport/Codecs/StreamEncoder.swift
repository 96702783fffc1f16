import Bytes
import Raft
import Records

/// Writes messages in the form of one kind of stream. One per stream: the short form of appends refers to what went before.
public struct StreamEncoder: Sendable {
    private let kind: StreamKind
    /// Where the last append written in full, and the short ones since, left the reader.
    private var position = AppendPosition()

    public init(_ kind: StreamKind) { self.kind = kind }

    /// A length of eight bytes, big-endian, and the message; on append streams after a byte that tells the frame.
    public mutating func encode(_ message: Message, to writer: inout ByteWriter) {
        guard kind == .append else { return encodeWhole(message, to: &writer) }
        if position.continues(in: message) { return encodeEntries(of: message, to: &writer) }
        writer.append(AppendFrame.message.rawValue)
        encodeWhole(message, to: &writer)
        position.moved(to: message)
    }

    /// What keeps an idle stream alive: a frame of its own, or a heartbeat without sender.
    public func encodeLinkHeartbeat(to writer: inout ByteWriter) {
        switch kind {
        case .append: writer.append(AppendFrame.linkHeartbeat.rawValue)
        case .message: encodeWhole(Message(kind: .heartbeat), to: &writer)
        }
    }

    private func encodeWhole(_ message: Message, to writer: inout ByteWriter) {
        let start = writer.count
        writer.appendBigEndian(UInt64(0))
        message.encode(to: &writer)
        writer.patchBigEndian(UInt64(writer.count - start - 8), at: start)
    }

    /// The entries' number, each with its length, and the commit index: the rest is known to the reader.
    private mutating func encodeEntries(of message: Message, to writer: inout ByteWriter) {
        writer.append(AppendFrame.entries.rawValue)
        writer.appendBigEndian(UInt64(message.entries.count))
        for entry in message.entries {
            writer.appendBigEndian(UInt64(entry.encodedLength))
            entry.encode(to: &writer)
        }
        writer.appendBigEndian(message.commit)
        position.index &+= UInt64(message.entries.count)
    }
}

/// The first byte of each frame on an append stream.
enum AppendFrame: UInt8 {
    case linkHeartbeat = 0
    /// Entries that follow those sent before, of the leader's own term.
    case entries = 1
    /// A whole message.
    case message = 2
}

/// The last entry that a whole append and the short ones after it have carried, and the leader's term.
struct AppendPosition: Equatable, Sendable {
    var term: Term = 0
    var index: LogIndex = 0

    /// Whether the reader can tell all of the append but its entries and commit index.
    func continues(in message: Message) -> Bool {
        index == message.index && term == message.logTerm && message.logTerm == message.term
    }

    mutating func moved(to message: Message) {
        term = message.term
        index = message.entries.last?.index ?? message.index
    }
}
