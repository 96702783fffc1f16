import EtcdAPI
import MVCC

/// What a watch stream writes to: one `WatchResponse` at a time.
public protocol WatchOutput: AnyObject {
    /// Appends an encoded `WatchResponse`. Called only while the stream is open.
    func send(_ encoded: UnsafeRawBufferPointer)
    /// Whether the peer takes more; when false the stream's watchers wait, and nothing is queued for them.
    var isWritable: Bool { get }
}

/// One watcher: a range of keys, what to leave out, and the next revision it has not been told of.
final class Watcher {
    enum State { case synced, unsynced }

    let id: Int64
    let range: KeyRange
    let wantsPuts: Bool
    let wantsDeletes: Bool
    let wantsPrevious: Bool
    let wantsProgress: Bool
    let fragments: Bool
    unowned let stream: WatchStream
    var state = State.unsynced
    /// The oldest revision it may still have to be told of; beyond the store's newest for a start in the future.
    var next: Int64
    /// Nothing was sent since the last progress tick, so the next one is worth sending.
    var idleSinceTick = false
    /// Events found for it in the slice being scanned, as places in the hub's event table.
    var pending: [Int] = []

    init(id: Int64, request: WatchCreateRequest, range: KeyRange, next: Int64, stream: WatchStream) {
        self.id = id
        self.range = range
        self.next = next
        self.stream = stream
        wantsPuts = !request.filters.contains(.noput)
        wantsDeletes = !request.filters.contains(.nodelete)
        wantsPrevious = request.prevKv
        wantsProgress = request.progressNotify
        fragments = request.fragment
    }

    func wants(deletion: Bool) -> Bool { deletion ? wantsDeletes : wantsPuts }
}

/// The watchers that share one gRPC stream, and with it one order of answers.
public final class WatchStream {
    let output: any WatchOutput
    /// By id. Its order never reaches an answer: see ``orderedWatchers``.
    var watchers: [Int64: Watcher] = [:]
    var nextID: Int64 = 0
    /// A progress request that waits until every watcher of the stream has caught up.
    var progressRequested = false

    init(output: any WatchOutput) { self.output = output }

    /// In ascending order of id.
    var orderedWatchers: [Watcher] { watchers.values.sorted { $0.id < $1.id } }
}
