import NIOCore
import NIOPosix
import Testing

@testable import HTTP2

@Suite struct DelayedCallTests {
    /// An idle connection's end and the request that took the connection were due together: it was closed under the request.
    @Test func whatIsCancelledInTheTurnInWhichItIsDueDoesNotRun() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        let calls = try await eventLoop.submit {
            var calls: [String] = []
            var second: DelayedCall?
            _ = DelayedCall(eventLoop, .nanoseconds(1)) {
                calls.append("first")
                second?.cancel()
            }
            second = DelayedCall(eventLoop, .nanoseconds(2)) { calls.append("second") }
            let third = eventLoop.makePromise(of: [String].self)
            _ = DelayedCall(eventLoop, .nanoseconds(3)) { third.succeed(calls) }
            // So that all of them are due when the loop looks.
            let end = NIODeadline.now() + .microseconds(10)
            while NIODeadline.now() < end {}
            return third.futureResult
        }.flatMap { $0 }.get()
        #expect(calls == ["first"])
        try await group.shutdownGracefully()
    }
}
