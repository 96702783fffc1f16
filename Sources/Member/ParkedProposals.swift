/// Proposals that raft cannot take right now, because no leader is known or leadership is being handed over. They never entered
/// any log, so they may be proposed as soon as somebody leads; those whose time is up meanwhile are forgotten.
struct ParkedProposals {
    /// Bytes and count at most; what comes on top is refused as too much.
    static let largestSize = 64 << 20
    static let largestCount = 20_000

    struct Proposal {
        let id: UInt64
        let payload: [UInt8]
    }

    private(set) var proposals: [Proposal] = []
    private var size = 0

    var isEmpty: Bool { proposals.isEmpty }
    var isFull: Bool { size >= ParkedProposals.largestSize || proposals.count >= ParkedProposals.largestCount }

    mutating func add(_ proposal: Proposal) {
        proposals.append(proposal)
        size += proposal.payload.count
    }

    /// Empties the table; keeps those that somebody still waits for.
    mutating func take(where isAwaited: (UInt64) -> Bool) -> [Proposal] {
        let taken = proposals.filter { isAwaited($0.id) }
        proposals = []
        size = 0
        return taken
    }
}
