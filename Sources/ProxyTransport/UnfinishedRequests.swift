import HTTP2
import NIOCore

/// Unary calls whose requests are not complete, and the time they have for that: as long as bodies over HTTP/1 have. One timer for all of
/// them, which runs only when a burst of reads left one behind. Confined to one event loop.
final class UnfinishedRequests {
    /// Calls that came soon after one another are looked at together.
    private static let betweenLooks: UInt64 = 1_000_000_000

    private let loop: ServerLoop
    private let limit: UInt64
    private var calls: [UnaryCall] = []
    private var timer: DelayedCall?

    init(_ loop: ServerLoop) {
        self.loop = loop
        let limit = loop.configuration.http1.bodyTimeout / .nanoseconds(1)
        self.limit = UInt64(max(0, limit))
    }

    var count: Int { calls.count }

    func add(_ call: UnaryCall) {
        call.sendingSince = call.client?.receivedAt ?? loop.now
        call.unfinishedIndex = calls.count
        calls.append(call)
    }

    func remove(_ call: UnaryCall) {
        guard let index = call.unfinishedIndex else { return }
        call.unfinishedIndex = nil
        let last = calls.removeLast()
        guard last !== call else { return }
        calls[index] = last
        last.unfinishedIndex = index
    }

    /// After a burst: most requests that began in it have ended in it too.
    func readCompleted() {
        if timer == nil, !calls.isEmpty { wait(until: loop.now + limit) }
    }

    private func wait(until time: UInt64) {
        let now = loop.now
        timer = DelayedCall(loop.eventLoop, .nanoseconds(Int64(clamping: time - min(now, time)))) { [weak self] in self?.look() }
    }

    private func look() {
        timer = nil
        let now = loop.now
        for call in calls where call.sendingSince + limit <= now {
            if call.sendingTookTooLong() {
                loop.counters.add(.bodyTimeouts)
                remove(call)
            } else {
                call.sendingSince = now
            }
        }
        guard let oldest = calls.map(\.sendingSince).min() else { return }
        wait(until: max(oldest + limit, now + Self.betweenLooks))
    }
}
