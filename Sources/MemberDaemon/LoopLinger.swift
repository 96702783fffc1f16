import LinuxHost
import Member
import NIOCore

/// Keeps an event loop awake for some microseconds after a lone request, where the next one is likely to come: a loop that has a task
/// looks for input without sleeping. Confined to the loop.
final class LoopLinger {
    private let eventLoop: any EventLoop
    private var lingering = Lingering()
    private var until = NIODeadline.uptimeNanoseconds(0)
    private var isAwake = false

    init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    /// A burst has been dealt with.
    func served(requests: Int) {
        if isAwake { lingering.wasRewarded() }
        guard lingering.done(requests: requests, losses: { ThreadUsage.coreLosses }) else {
            until = .uptimeNanoseconds(0)
            return
        }
        until = .now() + .nanoseconds(Lingering.longest)
        guard !isAwake else { return }
        isAwake = true
        lookOut()
    }

    private func lookOut() {
        guard NIODeadline.now() < until else {
            isAwake = false
            if until > .uptimeNanoseconds(0) { lingering.wasDisappointed() }
            return
        }
        eventLoop.assumeIsolated().execute { self.lookOut() }
    }
}
