/// Read index requests a leader has not answered yet (Raft thesis, 6.4).
///
/// A request is answered when a quorum has answered a round of heartbeats that left after it came: so nobody else led when it
/// came, and the commit index of that moment covers everything any client was told.
struct ReadQueue: Equatable, Sendable {
    struct Request: Equatable, Sendable {
        /// Who asked; this member or a follower.
        let origin: MemberID
        let context: [UInt8]
        /// The commit index when the request came.
        var index: LogIndex
        /// The first round that may confirm it.
        var round: UInt64
    }

    /// Came before this leader committed an entry of its own term, so before it knows what is committed.
    private var postponed: [Request] = []
    private(set) var unconfirmed: [Request] = []
    /// The newest round of heartbeats that left. Never starts over, so that an answer cannot be mistaken for a later round's.
    private(set) var round: UInt64 = 0

    var count: Int { postponed.count + unconfirmed.count }

    /// A request waits for a round that has not left.
    var needsRound: Bool { (unconfirmed.last?.round ?? 0) > round }

    mutating func postpone(origin: MemberID, context: [UInt8]) {
        postponed.append(Request(origin: origin, context: context, index: 0, round: 0))
    }

    mutating func add(origin: MemberID, context: [UInt8], index: LogIndex) {
        unconfirmed.append(Request(origin: origin, context: context, index: index, round: round + 1))
    }

    /// The leader knows what is committed now.
    mutating func release(index: LogIndex) {
        for request in postponed { add(origin: request.origin, context: request.context, index: index) }
        postponed.removeAll()
    }

    mutating func startRound() { round += 1 }

    /// Takes out the requests that the given round confirms.
    mutating func confirm(through confirmedRound: UInt64) -> [Request] {
        let count = unconfirmed.firstIndex { $0.round > confirmedRound } ?? unconfirmed.count
        let confirmed = Array(unconfirmed.prefix(count))
        unconfirmed.removeFirst(count)
        return confirmed
    }

    /// The leader is none any more. Returns the contexts of its own requests.
    mutating func abandon(self member: MemberID) -> [[UInt8]] {
        let own = (unconfirmed + postponed).filter { $0.origin == member }.map(\.context)
        postponed.removeAll()
        unconfirmed.removeAll()
        return own
    }

    /// The bytes heartbeats of a round carry; followers hand them back unread.
    static func context(of round: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: round >> ($0 * 8)) } }

    /// Nil for bytes that are no round.
    static func round(of context: [UInt8]) -> UInt64? {
        guard context.count == 8 else { return nil }
        return context.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
