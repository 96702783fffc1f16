import Host
import MVCC
import Raft

/// Compares the members' data while they serve. Only a leader does: from time to time it asks everybody for the hash at a revision that
/// a compaction has left a hash of, which costs nobody anything, and where it is told to, for one at its newest revision.
///
/// Source: `CompactHashCheck` and `PeriodicCheck` in `server/etcdserver/corrupt.go`. etcd accuses the whole cluster where no majority
/// holds the same; this only reports it.
public struct CorruptionWatch: Sendable {
    public struct Settings: Sendable {
        /// Between two looks at what compactions left; nil for none (`--compact-hash-check-time`).
        public var compactionInterval: Instant.Span?
        /// Between two comparisons of everything; nil for none (`--corrupt-check-time`).
        public var scanInterval: Instant.Span?
        /// Raise the alarm against members that are not Quorate too.
        public var alarmsAgainstEtcd = false

        public init() {}
    }

    /// What a leader knows when it asks.
    struct Known {
        let member: MemberID
        let others: Int
        let revision: Int64
        /// Hashes of finished compactions.
        let storedHashes: [KeyValueHash]
    }

    enum Finding: Equatable {
        /// Every member holds the same.
        case same(revision: Int64, compactRevision: Int64)
        case skipped(revision: Int64, [MemberID])
        case different(DataDifference)
    }

    private enum Round {
        /// Compactions are looked at from the newest to the oldest, until every member could be compared at one of them.
        case compaction(KeyValueHash, older: ArraySlice<KeyValueHash>)
        case scan
    }

    /// Answers that have not come by then are not waited for any longer.
    private static let patience = Instant.Span.seconds(3600)

    private let settings: Settings
    private var rounds: UInt64 = 0
    private var pending: (round: Round, deadline: Instant)?
    /// What to ask about next, before anything that is due.
    private var queued: ArraySlice<KeyValueHash> = []
    private var compactionDue: Instant?
    private var scanDue: Instant?
    /// Everybody held the same at this revision.
    private var checkedRevision: Int64 = 0
    /// What the newest comparison found.
    private(set) var differences: [DataDifference] = []

    init(_ settings: Settings) { self.settings = settings }

    /// To be called while this member does not lead.
    mutating func rest() {
        pending = nil
        queued = []
        compactionDue = nil
        scanDue = nil
        differences = []
    }

    /// When to call ``question(now:_:)`` next, if no answer comes before.
    var nextWake: Instant? { pending?.deadline ?? [compactionDue, scanDue].compactMap(\.self).min() }

    /// What to ask now. To be called after whatever happened while this member leads.
    mutating func question(now: Instant, _ known: Known) -> HashQuestion? {
        if compactionDue == nil { compactionDue = settings.compactionInterval.map { now + $0 } }
        if scanDue == nil { scanDue = settings.scanInterval.map { now + $0 } }
        if let pending {
            guard pending.deadline <= now else { return nil }
            self.pending = nil
        }
        guard known.others > 0 else {
            queued = []
            if let due = compactionDue, due <= now { compactionDue = nil }
            if let due = scanDue, due <= now { scanDue = nil }
            return nil
        }
        if queued.isEmpty, let due = compactionDue, due <= now {
            compactionDue = settings.compactionInterval.map { now + $0 }
            let checked = checkedRevision
            queued =
                known.storedHashes.filter { $0.revision > checked && !$0.coversObsolete }
                .sorted { $0.revision > $1.revision }[...]
        }
        if let next = queued.popFirst() { return ask(next.revision, .compaction(next, older: queued), now) }
        guard let due = scanDue, due <= now else { return nil }
        scanDue = settings.scanInterval.map { now + $0 }
        return ask(known.revision, .scan, now)
    }

    private mutating func ask(_ revision: Int64, _ round: Round, _ now: Instant) -> HashQuestion {
        rounds += 1
        queued = []
        pending = (round, now + CorruptionWatch.patience)
        if case .scan = round { return HashQuestion(round: rounds, revision: revision, wantsOwn: true) }
        return HashQuestion(round: rounds, revision: revision, wantsOwn: false)
    }

    /// What the answers say; those to a question of an earlier term of leadership say nothing.
    mutating func heard(_ answers: HashAnswers, _ known: Known) -> [Finding] {
        guard let pending, answers.round == rounds else { return [] }
        self.pending = nil
        let own: KeyValueHash
        var older: ArraySlice<KeyValueHash> = []
        switch pending.round {
        case .compaction(let hash, let rest):
            own = hash
            older = rest
        case .scan:
            guard let hash = answers.own, !hash.coversObsolete else { return [] }
            own = hash
        }
        let comparison = HashComparison(
            own: own, member: known.member, others: answers.others, alarmsAgainstEtcd: settings.alarmsAgainstEtcd)
        switch comparison.outcome {
        case .same:
            checkedRevision = max(checkedRevision, own.revision)
            differences = []
            return [.same(revision: own.revision, compactRevision: own.compactRevision)]
        case .incomplete(let skipped):
            queued = older
            return [.skipped(revision: own.revision, skipped)]
        case .different(let found):
            differences = found
            return found.map(Finding.different)
        }
    }
}
