import Bytes
import Raft

/// Linearizable reads that wait for a read index, and then for the state machine to reach it.
///
/// One index serves every read that arrived before it was asked for: reads that come while a question is under way wait for the next.
struct PendingReads {
    private var next: [ReplyAddress] = []
    private var asked: [ReplyAddress] = []
    private var question: UInt64 = 0
    private var ready: [(index: LogIndex, replies: [ReplyAddress])] = []

    mutating func add(_ reply: ReplyAddress) { next.append(reply) }

    /// The context of a question to ask now, if there is one.
    mutating func nextQuestion() -> [UInt8]? {
        guard asked.isEmpty, !next.isEmpty else { return nil }
        swap(&asked, &next)
        question += 1
        return PendingReads.context(question)
    }

    mutating func confirmed(_ states: [ReadState]) {
        for state in states where state.context == PendingReads.context(question) && !asked.isEmpty {
            ready.append((state.index, asked))
            asked.removeAll()
        }
    }

    mutating func takeAnswerable(applied: LogIndex) -> [ReplyAddress] {
        let answerable = ready.filter { $0.index <= applied }.flatMap(\.replies)
        ready.removeAll { $0.index <= applied }
        return answerable
    }

    /// The question will not be answered; whoever waited for it is told.
    mutating func abandon() -> [ReplyAddress] {
        defer { asked.removeAll() }
        return asked
    }

    var isWaiting: Bool { !asked.isEmpty || !next.isEmpty || !ready.isEmpty }

    private static func context(_ question: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: 16)
        writer.appendBigEndian(question)
        return writer.array()
    }
}
