import Host

/// How a leader talks to one follower.
public enum ReplicationState: UInt8, Equatable, Sendable {
    /// Where the logs meet is not known: one append at a time.
    case probe
    /// Appends are sent ahead of their answers, as many as the window allows.
    case replicate
    /// A snapshot is on its way; no appends.
    case snapshot
}

/// What a leader knows of one member's log, itself included.
///
/// Invariant: `match` < `next`. Entries between them are on their way.
struct Progress: Equatable, Sendable {
    /// The highest index known to be durable there, and equal to the leader's.
    private(set) var match: LogIndex = 0
    /// The next entry to send.
    private(set) var next: LogIndex
    private(set) var state = ReplicationState.probe
    /// While in state snapshot: the index of the snapshot on its way.
    private(set) var pendingSnapshot: LogIndex = 0
    /// Heard of since the last quorum check.
    var isRecentlyActive = false
    /// When this leader last heard of it.
    var heardAt: Instant?
    /// While probing: an answer or a heartbeat response must come before the next append.
    var isProbePaused = false
    /// An append is due even without entries, to learn where the follower stands.
    var owesAppend = false
    /// A snapshot was asked of the owner and did not come yet.
    var isSnapshotRequested = false
    /// The highest commit index sent.
    var sentCommit: LogIndex = 0
    /// The newest round of read index heartbeats it answered.
    var acknowledgedReadRound: UInt64 = 0
    var window: InflightWindow

    init(next: LogIndex, windowLimit: Int) {
        self.next = max(1, next)
        window = InflightWindow(limit: windowLimit)
    }

    /// Appends may be sent now.
    var isPaused: Bool {
        switch state {
        case .probe: isProbePaused
        case .replicate: window.isFull
        case .snapshot: true
        }
    }

    /// An empty append would tell the follower of a commit index it can use and was not told yet.
    func canUseCommit(_ commit: LogIndex) -> Bool { commit > sentCommit && sentCommit < next - 1 }

    mutating func becomeProbe() {
        enter(.probe)
        next = match + 1
        sentCommit = min(sentCommit, next - 1)
    }

    mutating func becomeReplicate() {
        enter(.replicate)
        next = match + 1
    }

    mutating func becomeSnapshot(at index: LogIndex) {
        enter(.snapshot)
        pendingSnapshot = index
        next = max(match, index) + 1
        sentCommit = index
    }

    /// The snapshot arrived or failed. Either way the follower speaks first: its append response, or a heartbeat response.
    mutating func endSnapshot(succeeded: Bool) {
        let resume = succeeded ? max(match, pendingSnapshot) + 1 : match + 1
        enter(.probe)
        next = resume
        sentCommit = min(sentCommit, next - 1)
        isProbePaused = true
        isSnapshotRequested = !succeeded
    }

    private mutating func enter(_ newState: ReplicationState) {
        state = newState
        pendingSnapshot = 0
        isProbePaused = false
        owesAppend = false
        isSnapshotRequested = false
        window.removeAll()
    }

    /// An append left, its last entry at `last`; `next - 1` when it had none.
    mutating func sentAppend(through last: LogIndex, commit: LogIndex) {
        owesAppend = false
        sentCommit = max(sentCommit, min(commit, last))
        switch state {
        case .probe:
            isProbePaused = true
        case .replicate where last >= next:
            next = last + 1
            window.add(last)
        case .replicate, .snapshot:
            break
        }
    }

    /// Everything up to `index` is durable there. False when that is old news.
    mutating func acknowledge(_ index: LogIndex) -> Bool {
        guard index > match || (index == match && state == .probe) else { return false }
        match = index
        next = max(next, index + 1)
        window.release(through: index)
        return true
    }

    /// The follower refused an append after `rejected` and guesses that the logs meet at `hint`. False when that is old news.
    mutating func reject(_ rejected: LogIndex, hint: LogIndex) -> Bool {
        switch state {
        case .snapshot:
            return false
        case .replicate:
            guard rejected > match else { return false }
            becomeProbe()
            return true
        case .probe:
            guard rejected == next - 1 else { return false }
            let lowered = max(match + 1, min(rejected, hint == .max ? hint : hint + 1))
            // Refusing what it acknowledged before, a follower lost data; wait for its heartbeat response, do not spin.
            isProbePaused = lowered == next
            next = lowered
            sentCommit = min(sentCommit, next - 1)
            return true
        }
    }
}
