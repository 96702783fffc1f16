/// Measures commits, for metrics only: no clock is read without one.
public struct CommitMeter: Sendable {
    /// Nanoseconds of a clock that goes forward.
    let now: @Sendable () -> UInt64
    let report: @Sendable (CommitTimes) -> Void

    public init(now: @escaping @Sendable () -> UInt64, report: @escaping @Sendable (CommitTimes) -> Void) {
        self.now = now
        self.report = report
    }
}

/// How long the parts of one commit took, in nanoseconds: bbolt's parts.
public struct CommitTimes: Sendable {
    /// Nodes that became too small were merged.
    public var rebalance: UInt64 = 0
    /// Changed nodes became pages in memory.
    public var spill: UInt64 = 0
    /// Pages and meta page were written and synced.
    public var write: UInt64 = 0
    public var total: UInt64 { rebalance + spill + write }
}
