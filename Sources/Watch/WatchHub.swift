import Bytes
import EtcdAPI
import MVCC

/// The watchers of one event loop.
///
/// Watchers that have seen everything share one position and are told of each new slice of history as it appears. A watcher
/// behind it (a start in the past, or a peer that does not read) has a position of its own and reads history in slices until it
/// catches up. Nothing is queued for a peer that does not take it: history itself is the queue, so memory stays bounded, and
/// the member's writes never wait for a watcher.
public final class WatchHub {
    public struct Settings: Sendable {
        /// Changes scanned in one slice; a slice ends with a whole transaction.
        public var sliceChanges = 128
        /// Bytes of events collected in one slice.
        public var sliceBytes = 128 << 10
        /// Responses larger than this are split for watchers that asked for fragments.
        public var fragmentBytes = 1_572_864 + 512 * 1024
        public init() {}
    }

    let settings: Settings
    var header: ResponseHeader
    var synced = WatcherIndex()
    /// In order of creation, so that slices are deterministic.
    var unsynced: [Watcher] = []
    var streams: [WatchStream] = []
    /// The newest revision that synced watchers have been told of.
    var position: Int64
    /// nil while nobody watches: whoever held on to an old state would keep its pages from being used again.
    private var heldView: ReadView?
    public private(set) var newestRevision: Int64
    private var generation: UInt64
    var events = EventTable()
    var touched: [Watcher] = []
    var response = ByteWriter(capacity: 4096)
    public internal(set) var eventsSent = 0
    /// How many watchers were sent events in the last ``step()``.
    public internal(set) var watchersReached = 0

    /// `header` names the answering member; its revision is filled in per response.
    public init(view: ReadView, header: ResponseHeader, settings: Settings = Settings()) {
        heldView = view
        newestRevision = view.currentRevision
        generation = view.generation
        self.header = header
        self.settings = settings
        position = view.currentRevision
    }

    var view: ReadView {
        guard let heldView else { preconditionFailure("whoever watches sees a state") }
        return heldView
    }

    public var watcherCount: Int { synced.count + unsynced.count }
    public var slowWatcherCount: Int { unsynced.count }
    public var streamCount: Int { streams.count }
    public var isEmpty: Bool { streams.isEmpty }

    public func open(_ output: any WatchOutput) -> WatchStream {
        let stream = WatchStream(output: output)
        streams.append(stream)
        return stream
    }

    public func close(_ stream: WatchStream) {
        for watcher in stream.orderedWatchers { forget(watcher) }
        streams.removeAll { $0 === stream }
        if streams.isEmpty { rest() }
    }

    /// Lets go of the state while nobody watches. Follow with ``advance(to:term:)`` before the next stream is opened.
    public func rest() {
        precondition(streams.isEmpty, "somebody watches")
        heldView = nil
    }

    /// Makes newer history visible; follow with ``step()``.
    public func advance(to view: ReadView, term: UInt64) {
        // States may be told twice, and out of order when one was fetched and another is on its way.
        guard heldView == nil || view.currentRevision >= newestRevision else { return }
        let hasHole = view.generation != generation && position + 1 < view.compactRevision
        heldView = view
        newestRevision = view.currentRevision
        generation = view.generation
        header.raftTerm = term
        if hasHole { leaveSynced() }
        // Nobody is told of what happened while nobody watched.
        if synced.count == 0 { position = view.currentRevision }
    }

    /// Events that synced watchers have not been told of are gone: they are treated like any watcher that needs compacted history.
    private func leaveSynced() {
        for watcher in streams.flatMap(\.orderedWatchers) where watcher.state == .synced {
            synced.remove(watcher)
            watcher.state = .unsynced
            watcher.next = max(watcher.next, position + 1)
            unsynced.append(watcher)
        }
    }

    /// Delivers at most one slice to the synced watchers and one to those behind; true when there is more to do now.
    public func step() throws(StoreError) -> Bool {
        try stepSynced()
        try stepBehind()
        return hasNews || hasReadyBehind
    }

    /// Synced watchers have not been told of everything.
    public var hasNews: Bool { !isEmpty && position < newestRevision }

    /// A slice for the synced watchers.
    public func stepSynced() throws(StoreError) {
        watchersReached = 0
        if hasNews { try deliverToSynced() }
        promoteCaughtUp()
        answerProgressRequests()
    }

    /// Some watcher reads history now, and its peer takes more.
    public var hasReadyBehind: Bool { unsynced.contains { isReady($0) } }

    /// A slice for those behind; a piece of work of its own, which may wait while others have something more urgent to do.
    public func stepBehind() throws(StoreError) {
        guard !unsynced.isEmpty else { return }
        try deliverToUnsynced()
        answerProgressRequests()
    }

    /// A watcher behind can go on: it lacks what the synced ones have been told of, and its peer takes more.
    func isReady(_ watcher: Watcher) -> Bool { watcher.next <= position && watcher.stream.output.isWritable }

    func forget(_ watcher: Watcher) {
        watcher.stream.watchers[watcher.id] = nil
        switch watcher.state {
        case .synced: synced.remove(watcher)
        case .unsynced: unsynced.removeAll { $0 === watcher }
        }
    }
}
