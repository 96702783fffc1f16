import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Polling

@Suite struct PollingEventLoopTests {
    @Test func timersEndInTheirOrderAndNotWhenTheyWereTakenBack() throws {
        let group = PollingEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let loop = group.next()
        let ended = Mutex<[Int]>([])
        let last = try loop.submit {
            let start = loop.now
            loop.scheduleTask(deadline: start + .milliseconds(2)) { ended.withLock { $0.append(2) } }
            loop.scheduleTask(deadline: start + .milliseconds(1)) { ended.withLock { $0.append(1) } }
            loop.scheduleTask(deadline: start + .milliseconds(2)) { ended.withLock { $0.append(3) } }
            loop.scheduleTask(deadline: start + .milliseconds(1)) { ended.withLock { $0.append(9) } }.cancel()
            return loop.scheduleTask(deadline: start + .milliseconds(3)) { ended.withLock { $0.append(4) } }
        }.wait()
        try last.futureResult.wait()
        #expect(ended.withLock { $0 } == [1, 2, 3, 4])
    }

    @Test func tasksOfOtherThreadsRunInTheirOrder() throws {
        let group = PollingEventLoopGroup(numberOfThreads: 2)
        defer { try? group.syncShutdownGracefully() }
        let seen = Mutex<[Int]>([])
        for number in 0..<10_000 { group.loops[1].execute { seen.withLock { $0.append(number) } } }
        try group.loops[1].submit {}.wait()
        #expect(seen.withLock { $0 } == Array(0..<10_000))
        #expect(try group.loops[1].submit { group.loops[1].inEventLoop && !group.loops[0].inEventLoop }.wait())
    }

    @Test func whoWaitsForATimerHearsOfTheEnd() throws {
        let group = PollingEventLoopGroup(numberOfThreads: 1)
        let timer = group.next().scheduleTask(in: .hours(1)) {}
        let heard = Mutex<EventLoopError?>(nil)
        timer.futureResult.whenFailure { error in heard.withLock { $0 = error as? EventLoopError } }
        try group.syncShutdownGracefully()
        #expect(heard.withLock { $0 } == .shutdown)
        // Twice is no failure.
        try group.syncShutdownGracefully()
    }

    /// More than are accepted at once, and the news of them is told once.
    @Test func allWhoArriveTogetherAreAccepted() throws {
        let group = PollingEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let loop = group.loops[0]
        let descriptor = try Sockets.listen(at: SocketAddress(ipAddress: "127.0.0.1", port: 0), backlog: 500, replacesFile: false)
        let port = try #require(Sockets.localAddress(descriptor)?.port)
        let accepted = Atomic(0)
        let done = loop.makePromise(of: Void.self)
        // The loop stands still until all are there.
        let dialled = Mutex<[Int32]>([])
        try loop.submit {
            for _ in 0..<200 {
                let client = try Sockets.startConnecting(to: SocketAddress(ipAddress: "127.0.0.1", port: port))
                dialled.withLock { $0.append(client) }
            }
            _ = Listener(loop, descriptor) { connection, _ in
                close(connection)
                if accepted.add(1, ordering: .relaxed).newValue == 200 { done.succeed() }
            }
        }.wait()
        let limit = loop.scheduleTask(in: .seconds(20)) { done.fail(ChannelError.connectTimeout(.seconds(20))) }
        try done.futureResult.wait()
        limit.cancel()
        for client in dialled.withLock({ $0 }) { close(client) }
    }

    /// The first swallows what is sent to it: waiting for the whole limit, or for its share of it, would take much longer.
    @Test func anAddressThatSaysNothingHoldsUpTheOthersForAMoment() throws {
        let group = PollingEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let loop = group.loops[0]
        let silent = try SilentAddress()
        let listening = try Sockets.listen(at: SocketAddress(ipAddress: "127.0.0.1", port: 0), backlog: 5, replacesFile: false)
        defer { close(listening) }
        let good = try #require(Sockets.localAddress(listening))
        let (done, limit) = (loop.makePromise(of: Bool.self), Duration.seconds(100))
        let began = ContinuousClock.now
        loop.execute {
            Dial(loop, limit: limit) { result in
                if case .success(let descriptor) = result { loop.close(descriptor) }
                done.succeed((try? result.get()) != nil)
            }.start([silent.address, good])
        }
        #expect(try done.futureResult.wait())
        #expect(began.duration(to: .now) < .seconds(20))
        let end = loop.makePromise(of: String.self)
        loop.execute {
            Dial(loop, limit: .milliseconds(30)) { end.succeed("\($0)") }.start([silent.address, silent.address])
        }
        #expect(try end.futureResult.wait().hasSuffix("timedOut)"))
    }

    @Test func aDialTellsWhetherItReachedSomebody() throws {
        let group = PollingEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let listening = try Sockets.listen(at: SocketAddress(ipAddress: "127.0.0.1", port: 0), backlog: 5, replacesFile: false)
        let port = try #require(Sockets.localAddress(listening)?.port)
        // A name, which may stand for an address of each family: one of them answers.
        #expect(try dial(group.loops[0], "localhost", port) == nil)
        close(listening)
        guard case .failed(let error) = try dial(group.loops[0], "127.0.0.1", port) else {
            Issue.record("nobody listens there")
            return
        }
        #expect(error.code == ECONNREFUSED)
        guard case .noAddress = try dial(group.loops[0], "no-such-host.invalid", port) else {
            Issue.record("there is no such host")
            return
        }
    }

    /// How the dial failed, or nil.
    private func dial(_ loop: PollingEventLoop, _ host: String, _ port: Int) throws -> Dial.Failure? {
        let promise = loop.makePromise(of: Dial.Failure?.self)
        try loop.submit {
            let dial = Dial(loop, limit: .seconds(20)) { result in
                switch result {
                case .success(let descriptor):
                    loop.close(descriptor)
                    promise.succeed(nil)
                case .failure(let failure): promise.succeed(failure)
                }
            }
            dial.connect(to: host, port: port, lookUp: .singleton)
        }.wait()
        return try promise.futureResult.wait()
    }
}

/// Somebody listens there whose queue is full: the kernel swallows who else would connect.
private final class SilentAddress: Sendable {
    let address: SocketAddress
    private let descriptors: [Int32]

    init() throws {
        let listening = try Sockets.listen(at: SocketAddress(ipAddress: "127.0.0.1", port: 0), backlog: 0, replacesFile: false)
        let found = try #require(Sockets.localAddress(listening))
        address = found
        descriptors = [listening] + (try (0..<3).map { _ in try Sockets.startConnecting(to: found) })
        // The first is in the queue.
        var entry = pollfd(fd: descriptors[1], events: Int16(POLLOUT), revents: 0)
        #expect(poll(&entry, 1, 10_000) == 1)
    }

    deinit { for descriptor in descriptors { close(descriptor) } }
}
