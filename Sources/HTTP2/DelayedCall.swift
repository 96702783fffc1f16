import NIOCore

/// A call on an event loop after a delay, unless it is cancelled first. Made and cancelled on that loop.
///
/// NIO takes all tasks that are due from its queue before it runs the first: what a task cancels that is due in the same turn runs all
/// the same. Here it does not.
public final class DelayedCall {
    private var body: (() -> Void)?
    private var scheduled: Scheduled<Void>?

    public init(_ eventLoop: any EventLoop, _ delay: Duration, _ body: @escaping () -> Void) {
        self.body = body
        scheduled = eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(delay)) {
            let body = self.body
            self.body = nil
            body?()
        }
    }

    public func cancel() {
        body = nil
        scheduled?.cancel()
    }
}
