import NIOCore

/// A call on an event loop after a delay, unless it is cancelled first. Made and cancelled on that loop.
public final class DelayedCall {
    private let scheduled: Scheduled<Void>

    public init(_ eventLoop: any EventLoop, _ delay: Duration, _ body: @escaping () -> Void) {
        scheduled = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(delay), body)
    }

    public func cancel() { scheduled.cancel() }
}
