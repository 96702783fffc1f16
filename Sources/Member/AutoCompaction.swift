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
    /// Periodic mode compacts once per retention, and at least every hour.
    private static let longestCompactionInterval = Instant.Span.seconds(3600)

    private let mode: Mode
    /// What the newest revision was, back to the moment whose revision is the next to compact at.
    private var samples: [(at: Instant, revision: Int64)] = []
    private var compactedAt: Instant?
    private(set) var nextWake: Instant?

    init(_ mode: Mode, now: Instant) {
        self.mode = mode
        switch mode {
        case .off: nextWake = nil
        case .periodic(let retention): nextWake = now + AutoCompaction.sampleInterval(retention)
        case .revisions: nextWake = now + AutoCompaction.revisionInterval
        }
    }

    private static func compactionInterval(_ retention: Instant.Span) -> Instant.Span {
        min(retention, longestCompactionInterval)
    }

    /// A tenth of the time between compactions.
    private static func sampleInterval(_ retention: Instant.Span) -> Instant.Span {
        Instant.Span(nanoseconds: max(compactionInterval(retention).nanoseconds / 10, 1_000_000))
    }

    /// The revision to compact at now, if any. Every member asks, so that who leads next knows the past; only who leads is told.
    ///
    /// - Parameters:
    ///   - revision: the newest.
    ///   - compacted: where history begins.
    mutating func due(now: Instant, revision: Int64, compacted: Int64, leads: Bool) -> Int64? {
        guard let wake = nextWake, now >= wake else { return nil }
        switch mode {
        case .off: return nil
        case .revisions(let retention):
            nextWake = now + AutoCompaction.revisionInterval
            return leads && revision - retention > max(compacted, 0) ? revision - retention : nil
        case .periodic(let retention):
            nextWake = now + AutoCompaction.sampleInterval(retention)
            samples.append((now, revision))
            guard let oldest = samples.last(where: { now - $0.at >= retention }) else { return nil }
            samples.removeAll { $0.at < oldest.at }
            if let compactedAt, now - compactedAt < AutoCompaction.compactionInterval(retention) { return nil }
            guard leads, oldest.revision > max(compacted, 0) else { return nil }
            compactedAt = now
            return oldest.revision
        }
    }
}
