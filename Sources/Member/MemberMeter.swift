import Host

/// Measures what a member does, for metrics only: nothing of it comes back into a decision, and without a meter no clock is read.
/// Called on the member thread.
public protocol MemberMeter: AnyObject, Sendable {
    func now() -> Instant
    /// One entry was applied. `request`: the number of its field in InternalRaftRequest, 0 for a bare v2 request.
    /// Returns the time, which the next entry's application begins at.
    func applied(request: Int, succeeded: Bool, since: Instant) -> Instant
    func granted(leaseTTL: Int64)
    /// One step of a compaction, which removed so many revisions.
    func compacted(revisions: Int, since: Instant, isFinished: Bool)
    func savedSnapshot(since: Instant)
}
