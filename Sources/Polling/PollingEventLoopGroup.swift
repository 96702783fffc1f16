import Dispatch
import NIOCore
import Synchronization

/// Several polling loops, each on a thread of its own.
public final class PollingEventLoopGroup: EventLoopGroup {
    public let loops: [PollingEventLoop]
    private let turn = Atomic<Int>(0)

    public init(numberOfThreads count: Int) {
        precondition(count > 0, "a group of event loops without any")
        loops = (0..<count).map { PollingEventLoop(name: "relay-\($0)") }
    }

    public func next() -> any EventLoop { loops[turn.add(1, ordering: .relaxed).newValue % loops.count] }

    public func makeIterator() -> EventLoopIterator { EventLoopIterator(loops) }

    public func shutdownGracefully(queue: DispatchQueue, _ callback: @Sendable @escaping ((any Error)?) -> Void) {
        let left = DispatchGroup()
        for loop in loops {
            left.enter()
            loop.shutdownGracefully(queue: queue) { _ in left.leave() }
        }
        left.notify(queue: queue) { callback(nil) }
    }
}
