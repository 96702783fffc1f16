/// What was handed out to be written, and what of it is known to be durable.
///
/// Batches are numbered, and become durable in order. Confirming by number rather than by index and term keeps apart two writes
/// of the same entry with another one between them, of which the first is no proof of the second.
struct WriteQueue: Equatable, Sendable {
    private struct Batch: Equatable, Sendable {
        let number: UInt64
        /// The last entry of the log it completes; lowered when the log is truncated while the batch is on its way.
        var lastIndex: LogIndex
        let term: Term
        let vote: MemberID
    }

    private var inFlight: [Batch] = []
    /// The newest batch handed out.
    private(set) var newest: UInt64 = 0
    /// The last entry handed out.
    private(set) var handedOut: LogIndex
    /// The last entry that is durable.
    private(set) var durableIndex: LogIndex
    private(set) var durableTerm: Term
    private(set) var durableVote: MemberID
    /// The last one handed out.
    private(set) var hardState: HardState

    init(lastIndex: LogIndex, hardState: HardState) {
        handedOut = lastIndex
        durableIndex = lastIndex
        durableTerm = hardState.term
        durableVote = hardState.vote
        self.hardState = hardState
    }

    var isIdle: Bool { inFlight.isEmpty }

    /// Records what is handed out now. Returns whether it must become durable.
    mutating func handOut(lastIndex: LogIndex, hasSnapshot: Bool, _ newState: HardState) -> Bool {
        let mustSync =
            lastIndex != handedOut || hasSnapshot || newState.term != hardState.term || newState.vote != hardState.vote
        handedOut = lastIndex
        hardState = newState
        if mustSync {
            newest += 1
            inFlight.append(Batch(number: newest, lastIndex: lastIndex, term: newState.term, vote: newState.vote))
        }
        return mustSync
    }

    mutating func confirm(through number: UInt64) {
        precondition(number <= newest, "a batch is durable that was never handed out")
        while let batch = inFlight.first, batch.number <= number {
            durableIndex = max(durableIndex, batch.lastIndex)
            durableTerm = batch.term
            durableVote = batch.vote
            inFlight.removeFirst()
        }
    }

    /// Entries after `index` are void. Those on their way will be overwritten by a later batch.
    mutating func truncate(after index: LogIndex) {
        handedOut = min(handedOut, index)
        durableIndex = min(durableIndex, index)
        for position in inFlight.indices { inFlight[position].lastIndex = min(inFlight[position].lastIndex, index) }
    }

    /// A snapshot replaced the log: nothing of it is on the disk before its own batch is.
    mutating func restart() {
        truncate(after: 0)
    }
}
