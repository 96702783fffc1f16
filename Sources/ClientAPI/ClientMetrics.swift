import NIOCore
import Synchronization
import Telemetry

/// What one event loop counts. Only the loop writes, so no locked instruction is needed; a scrape adds the loops up.
public final class LoopCounts: Sendable {
    private let rangeCount = Atomic<Int>(0)
    private let transactionCount = Atomic<Int>(0)
    private let watcherCount = Atomic<Int>(0)
    private let slowWatcherCount = Atomic<Int>(0)
    private let watchStreamCount = Atomic<Int>(0)
    private let eventCount = Atomic<Int>(0)

    public init() {}

    public var ranges: Int { rangeCount.load(ordering: .relaxed) }
    /// Transactions that only read, of more than one range.
    public var transactions: Int { transactionCount.load(ordering: .relaxed) }
    public var watchers: Int { watcherCount.load(ordering: .relaxed) }
    public var slowWatchers: Int { slowWatcherCount.load(ordering: .relaxed) }
    public var watchStreams: Int { watchStreamCount.load(ordering: .relaxed) }
    /// Events sent since the start.
    public var events: Int { eventCount.load(ordering: .relaxed) }

    func countRange() { rangeCount.store(ranges + 1, ordering: .relaxed) }

    func countTransaction(ofRanges number: Int) {
        rangeCount.store(ranges + number, ordering: .relaxed)
        if number > 1 { transactionCount.store(transactions + 1, ordering: .relaxed) }
    }

    func note(watchers: Int, slow: Int, streams: Int, events: Int) {
        watcherCount.store(watchers, ordering: .relaxed)
        slowWatcherCount.store(slow, ordering: .relaxed)
        watchStreamCount.store(streams, ordering: .relaxed)
        eventCount.store(events, ordering: .relaxed)
    }
}

/// Where the services of one loop count.
public struct ClientMetrics: Sendable {
    let counts: LoopCounts
    let hashDuration: Histogram
    let hashByRevisionDuration: Histogram
    let snapshotDuration: Histogram
    let defragmentationDuration: Histogram
    let defragmentationsInFlight: Gauge

    public init(_ metrics: MemberMetrics, _ counts: LoopCounts) {
        self.counts = counts
        hashDuration = metrics.mvcc.hashDuration
        hashByRevisionDuration = metrics.mvcc.hashByRevisionDuration
        snapshotDuration = metrics.disk.backendSnapshot
        defragmentationDuration = metrics.disk.backendDefragmentation
        defragmentationsInFlight = metrics.disk.defragmentationInFlight
    }
}

extension Histogram {
    /// Observes the time since `began`.
    func observe(since began: NIODeadline) { observe(Double((NIODeadline.now() - began).nanoseconds) * 1e-9) }
}
