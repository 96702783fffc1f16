import Bytes
import EtcdAPI
import GRPC
import MVCC
import Member
import NIOCore
import Watch

/// `etcdserverpb.Watch`: the gRPC side of one event loop's ``WatchHub``.
public final class WatchService {
    private let member: LoopMember
    let hub: WatchHub
    private let eventLoop: any EventLoop
    private let counts: LoopCounts
    /// Open calls by the order in which they came.
    private var calls: [UInt64: GRPCStream] = [:]
    private var nextCall: UInt64 = 0
    private var isScheduled = false
    /// When the next slice may be delivered, in nanoseconds of the event loop's clock.
    private var restsUntil = NIODeadline.uptimeNanoseconds(0)
    /// The same for those behind.
    private var isReadingScheduled = false
    private var readsHistoryFrom = NIODeadline.uptimeNanoseconds(0)
    /// What the loop had handled, and the store's newest revision, after the last of their slices.
    private var activityBefore: UInt64 = 0
    private var busyUntil = NIODeadline.uptimeNanoseconds(0)
    /// Told when the first stream opens and the last closes: without one, nobody needs to hear of published states.
    public var onWatchingChanged: (Bool) -> Void = { _ in }

    public init(member: LoopMember, eventLoop: any EventLoop, counts: LoopCounts, settings: WatchHub.Settings) {
        self.counts = counts
        self.member = member
        self.eventLoop = eventLoop
        let published = member.published
        hub = WatchHub(view: published.view, header: published.status.header, settings: settings)
        hub.rest()
    }

    /// For metrics; after whatever may have changed it.
    private func count() {
        counts.note(
            watchers: hub.watcherCount, slow: hub.slowWatcherCount, streams: hub.streamCount, events: hub.eventsSent)
    }

    func handler(_ stream: GRPCStream) -> any GRPCStreamHandler {
        if hub.isEmpty {
            onWatchingChanged(true)
            // States published while nobody watched were not told.
            let published = member.port.published
            hub.advance(to: published.view, term: published.status.term)
        }
        return WatchHandler(self, stream)
    }

    /// A number for ``closed(_:_:)``.
    func opened(_ call: GRPCStream) -> UInt64 {
        nextCall += 1
        calls[nextCall] = call
        return nextCall
    }

    func closed(_ stream: WatchStream, _ number: UInt64) {
        calls[number] = nil
        hub.close(stream)
        count()
        if hub.isEmpty { onWatchingChanged(false) }
    }

    /// A newer state was published; true while there are watchers that should hear of the next one.
    public func advance(to published: Published) {
        if let refusal = published.status.refusalOfClients {
            for (_, call) in calls.sorted(by: { $0.key < $1.key }) { call.finish(refusal) }
            return
        }
        hub.advance(to: published.view, term: published.status.term)
        if !hub.isEmpty { goOn() }
    }

    /// What this member stores is known to be wrong: watchers that are there go on without news, since nothing is written any more.
    var isKnownCorrupt: Bool { member.port.published.status.isKnownCorrupt }

    public func progressTick() { hub.progressTick() }

    /// Delivers what is due.
    func goOn() {
        do {
            try tellNews()
            try readHistory()
        } catch {
            member.port.fail("\(error)")
        }
    }

    /// A slice for watchers that hear of changes as they happen; then the loop's other work has its turn before the next.
    private func tellNews() throws {
        guard !isScheduled else { return }
        let now = NIODeadline.now()
        if now >= restsUntil {
            try hub.stepSynced()
            count()
            restsUntil = now + rest()
            guard hub.hasNews else { return }
        }
        isScheduled = true
        schedule(at: restsUntil) { [self] in
            isScheduled = false
            goOn()
        }
    }

    /// A slice for many watchers costs the kernel a write for each of their connections. Under a stream of changes the next one
    /// waits about as long as this one took, so that it carries more changes to a write; a lone change is delivered at once.
    private func rest() -> TimeAmount { min(.microseconds(Int64(hub.watchersReached) * 4), .milliseconds(1)) }

    /// A slice for watchers that are behind. While the loop serves others, or the member takes writes, such slices leave them most of
    /// the time, whatever a slice costs on this machine: the watcher is late anyway, and what it is sent keeps its client, which may
    /// be next to the member, busy as well.
    private func readHistory() throws {
        guard !isReadingScheduled, hub.hasReadyBehind else { return }
        let began = NIODeadline.now()
        if began >= readsHistoryFrom {
            try hub.stepBehind()
            count()
            let activity = member.handled &+ UInt64(hub.newestRevision)
            let ended = NIODeadline.now()
            let rest = min((ended - began) * WatchService.restsPerSlice, WatchService.longestRest)
            if activity != activityBefore { busyUntil = ended + WatchService.longestSilence }
            activityBefore = activity
            readsHistoryFrom = ended < busyUntil ? ended + rest : ended
        }
        guard hub.hasReadyBehind else { return }
        isReadingScheduled = true
        schedule(at: readsHistoryFrom) { [self] in
            isReadingScheduled = false
            goOn()
        }
    }

    /// On two cores, with the data in memory, less than this showed in the p99 of writers.
    private static let restsPerSlice = 15
    private static let longestRest = TimeAmount.milliseconds(5)
    /// So long after a request another one is likely to come.
    private static let longestSilence = TimeAmount.milliseconds(50)

    private func schedule(at deadline: NIODeadline, _ body: @escaping () -> Void) {
        if deadline <= .now() {
            eventLoop.assumeIsolated().execute(body)
        } else {
            eventLoop.assumeIsolated().scheduleTask(deadline: deadline, body)
        }
    }
}

/// One watch stream.
private final class WatchHandler: GRPCStreamHandler, WatchOutput {
    private unowned let service: WatchService
    private let call: GRPCStream
    private let number: UInt64
    private var stream: WatchStream?

    init(_ service: WatchService, _ call: GRPCStream) {
        self.service = service
        self.call = call
        number = service.opened(call)
        stream = service.hub.open(self)
    }

    var isWritable: Bool { call.isWritable }
    func send(_ encoded: UnsafeRawBufferPointer) { call.sendEncoded(encoded) }

    func received(_ message: UnsafeRawBufferPointer, on call: GRPCStream) {
        guard let stream else { return }
        if service.isKnownCorrupt { return call.refuse(.corrupt) }
        do { service.hub.handle(try WatchRequest(decoding: message), on: stream) } catch {
            return call.refuseMalformed(error)
        }
        service.goOn()
    }

    func halfClosed(_ call: GRPCStream) {
        // The client needs no more watchers; those it has go on until it cancels, as with etcd.
    }

    func drained(_ call: GRPCStream) { service.goOn() }

    func closed(_ call: GRPCStream) {
        guard let stream else { return }
        service.closed(stream, number)
        self.stream = nil
    }
}
