import Bytes
import Host
import Raft

/// Linearizable reads that wait for a read index, and then for the state machine to reach it.
///
/// One index serves every read that arrived before it was asked for: reads that come while a question is under way wait for the
/// next. A question may get lost on its way to the leader, and nobody is told: it is asked again until the reads' time is up.
struct PendingReads {
    /// After this long without an answer the question is asked again (etcd's `readIndexRetryTime`).
    static let retryInterval = Instant.Span.milliseconds(500)

    private struct Waiter {
        let reply: ReplyAddress
        let deadline: Instant
    }

    /// In order of arrival, so of deadline, like the two below.
    private var next: [Waiter] = []
    private var asked: [Waiter] = []
    private var ready: [(index: LogIndex, waiters: [Waiter])] = []
    private var question: UInt64 = 0
    private var retryDue: Instant?
    private let memberID: MemberID
    private let salt: UInt64

    /// Questions of all members and of all starts differ: leaders of etcd 3.5 take equal ones for one, and an answer may arrive
    /// after a restart. `salt` tells the starts of one member apart.
    init(memberID: MemberID, salt: UInt64) {
        self.memberID = memberID
        self.salt = salt
    }

    var count: Int { next.count + asked.count + ready.reduce(0) { $0 + $1.waiters.count } }

    mutating func add(_ reply: ReplyAddress, deadline: Instant) { next.append(Waiter(reply: reply, deadline: deadline)) }

    /// The context of a question to ask now, if there is one.
    mutating func dueQuestion(_ now: Instant) -> [UInt8]? {
        if asked.isEmpty {
            guard !next.isEmpty else { return nil }
            swap(&asked, &next)
        } else {
            guard let retryDue, retryDue <= now else { return nil }
        }
        question += 1
        retryDue = now + PendingReads.retryInterval
        return context
    }

    /// Whoever was asked no longer leads: the next ``dueQuestion(_:)`` asks again.
    mutating func askAgain(_ now: Instant) { retryDue = now }

    mutating func confirmed(_ states: [ReadState]) {
        guard !asked.isEmpty else { return }
        for state in states where state.context == context && !asked.isEmpty {
            ready.append((state.index, asked))
            asked.removeAll()
        }
    }

    mutating func takeAnswerable(applied: LogIndex) -> [ReplyAddress] {
        guard !ready.isEmpty else { return [] }
        let answerable = ready.filter { $0.index <= applied }.flatMap(\.waiters)
        ready.removeAll { $0.index <= applied }
        return answerable.map(\.reply)
    }

    /// Takes out the reads whose time is up.
    mutating func expire(_ now: Instant, _ body: (ReplyAddress) -> Void) {
        func expired(_ waiters: inout [Waiter]) {
            let count = waiters.firstIndex { $0.deadline > now } ?? waiters.count
            guard count > 0 else { return }
            for waiter in waiters.prefix(count) { body(waiter.reply) }
            waiters.removeFirst(count)
        }
        for at in ready.indices { expired(&ready[at].waiters) }
        ready.removeAll { $0.waiters.isEmpty }
        expired(&asked)
        expired(&next)
    }

    /// The next deadline or retry.
    var nextWake: Instant? {
        var wakes = [ready.first?.waiters.first?.deadline, asked.first?.deadline, next.first?.deadline]
        if !asked.isEmpty { wakes.append(retryDue) }
        return wakes.compactMap(\.self).min()
    }

    private var context: [UInt8] {
        var writer = ByteWriter(capacity: 24)
        writer.appendBigEndian(memberID)
        writer.appendBigEndian(salt)
        writer.appendBigEndian(question)
        return writer.array()
    }
}
