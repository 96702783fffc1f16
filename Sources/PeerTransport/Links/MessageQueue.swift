import Raft

/// Messages that wait for a stream or a connection, at most so many and so many bytes of them. A message is taken whatever its
/// size when nothing else waits.
struct MessageQueue: Sendable {
    private let maximumCount: Int
    private let maximumBytes: Int
    private var messages: [Message] = []
    private var head = 0
    private(set) var bytes = 0

    init(maximumCount: Int, maximumBytes: Int = .max) {
        self.maximumCount = maximumCount
        self.maximumBytes = maximumBytes
    }

    var count: Int { messages.count - head }
    var isEmpty: Bool { count == 0 }

    /// False when there is no room.
    mutating func append(_ message: Message) -> Bool {
        let size = message.approximateSize
        guard isEmpty || (count < maximumCount && bytes + size <= maximumBytes) else { return false }
        messages.append(message)
        bytes += size
        return true
    }

    mutating func take() -> Message? {
        guard !isEmpty else { return nil }
        let message = messages[head]
        head += 1
        bytes -= message.approximateSize
        compact()
        return message
    }

    /// The oldest messages, of `limit` bytes together or a little more.
    mutating func take(upTo limit: Int) -> [Message] {
        var end = head
        var taken = 0
        while end < messages.count, taken < limit {
            taken += messages[end].approximateSize
            end += 1
        }
        if head == 0, end == messages.count {
            defer { (messages, bytes) = ([], 0) }
            return messages
        }
        let result = Array(messages[head..<end])
        head = end
        bytes -= taken
        compact()
        return result
    }

    private mutating func compact() {
        if head == messages.count {
            removeAll()
        } else if head > messages.count / 2 {
            messages.removeFirst(head)
            head = 0
        }
    }

    mutating func removeAll() {
        messages.removeAll(keepingCapacity: messages.count <= 64)
        head = 0
        bytes = 0
    }
}

extension Message {
    /// About what it takes on the wire.
    var approximateSize: Int { 64 + context.count + entries.reduce(0) { $0 + $1.data.count + 24 } }
}
