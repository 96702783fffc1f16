import Host

/// Decides when to compact and at which revision, as etcd's `auto-compaction-mode` does.
public struct AutoCompaction: Sendable {
    public enum Mode: Equatable, Sendable {
        case off
        /// Keep this much time of history.
        case periodic(Instant.Span)
        /// Keep this many revisions.
        case revisions(Int64)
    }

    /// Revision mode looks every five minutes.
    private static let revisionInterval = Instant.Span.seconds(5 * 60)

    private let mode: Mode
    private var samples: [(at: Instant, revision: Int64)] = []
    private var lastCompacted: Int64 = 0
    private(set) var nextWake: Instant?

    init(_ mode: Mode, now: Instant) {
        self.mode = mode
        switch mode {
        case .off: nextWake = nil
        case .periodic(let retention): nextWake = now + AutoCompaction.sampleInterval(retention)
        case .revisions: nextWake = now + AutoCompaction.revisionInterval
        }
    }

    /// Periodic mode compacts once per retention, at most hourly, and samples ten times in that.
    private static func compactionInterval(_ retention: Instant.Span) -> Instant.Span { min(retention, .seconds(3600)) }
    private static func sampleInterval(_ retention: Instant.Span) -> Instant.Span {
        Instant.Span(nanoseconds: max(compactionInterval(retention).nanoseconds / 10, 1_000_000))
    }

    /// The revision to compact at now, if any. Only the leader asks.
    mutating func due(now: Instant, revision: Int64) -> Int64? {
        guard let wake = nextWake, now >= wake else { return nil }
        switch mode {
        case .off: return nil
        case .revisions(let retention):
            nextWake = now + AutoCompaction.revisionInterval
            return take(revision - retention)
        case .periodic(let retention):
            nextWake = now + AutoCompaction.sampleInterval(retention)
            samples.append((now, revision))
            guard let oldest = samples.last(where: { now - $0.at >= retention }) else { return nil }
            samples.removeAll { $0.at < oldest.at }
            return take(oldest.revision)
        }
    }

    private mutating func take(_ revision: Int64) -> Int64? {
        guard revision > 0, revision > lastCompacted else { return nil }
        lastCompacted = revision
        return revision
    }
}
