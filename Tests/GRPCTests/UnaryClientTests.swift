import HTTP2
import NIOCore
import NIOPosix
import Testing

@testable import GRPC

/// Over real loopback sockets: what an embedded channel cannot show is that connecting works and fails as it should.
@Suite struct UnaryClientTests {
    private func withServer(
        _ makeService: @escaping @Sendable () -> ScriptedService, _ body: (GRPCTarget, any EventLoop) throws -> Void
    ) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let server = try HTTPServer.make(group: group, configuration: ServerConfiguration()) { loop in
            ServerApplication(http2: GRPCDispatcher(router: makeService(), http: nil, loop: loop), http1: nil)
        }.wait()
        let endpoint = try server.listen(on: .tcp(host: "127.0.0.1", port: 0)).wait()
        let target = GRPCTarget(
            address: .tcp(host: "127.0.0.1", port: endpoint.port ?? 0), isSecure: false,
            authority: "127.0.0.1:\(endpoint.port ?? 0)")
        try body(target, group.next())
        try endpoint.close().wait()
    }

    private func call(
        _ target: GRPCTarget, on loop: any EventLoop, _ path: String = "/test.Echo/Call", timeout: Duration = .seconds(5)
    ) throws -> GRPCUnaryReply {
        try loop.flatSubmit {
            let client = GRPCUnaryClient(output: LoopOutput(eventLoop: loop))
            let reply = client.call(target, path, [1, 2, 3], timeout: timeout)
            return reply.assumeIsolated().map { reply in
                client.close(target)
                return reply
            }.nonisolated()
        }.wait()
    }

    @Test func aMessageComesBack() throws {
        try withServer({ ScriptedService.unary() }) { target, loop in
            let reply = try call(target, on: loop)
            #expect(reply == .message([1, 2, 3]))
        }
    }

    @Test func aRefusalKeepsItsText() throws {
        let refusing: @Sendable () -> ScriptedService = {
            let service = ScriptedService()
            service.opened = { $0.finish(GRPCStatus(.failedPrecondition, "no \u{e4} %41")) }
            return service
        }
        try withServer(refusing) { target, loop in
            let reply = try call(target, on: loop)
            #expect(reply == .status(GRPCStatus(.failedPrecondition, "no \u{e4} %41")))
            guard case .status(let status) = try call(target, on: loop, "/test.None/Call") else {
                Issue.record("an unknown service is refused")
                return
            }
            #expect(status.code == .unimplemented)
        }
    }

    @Test func aServerThatDoesNotAnswerTimesOut() throws {
        try withServer({ ScriptedService() }) { target, loop in
            let reply = try call(target, on: loop, timeout: .milliseconds(100))
            // Either side may be first to notice that the time is up.
            let isTimeout =
                switch reply {
                case .failed(.timedOut, _): true
                case .status(let status): status.code == .deadlineExceeded
                default: false
                }
            #expect(isTimeout)
        }
    }

    @Test func aPortThatNobodyListensOnFailsAtOnce() throws {
        var closed: GRPCTarget?
        try withServer({ ScriptedService() }) { target, _ in closed = target }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        guard case .failed(.connectFailed, _) = try call(try #require(closed), on: group.next()) else {
            Issue.record("the connect should fail")
            return
        }
    }

    @Test(arguments: [
        (Duration.milliseconds(1), "1m"), (.seconds(5), "5000m"), (.microseconds(1_500), "2m"), (.seconds(100_000), "100000S"),
        (.seconds(1_000_000_000), "99999999S"),
    ])
    func timeoutsAreToldInEightDigits(timeout: Duration, text: String) throws {
        #expect(GRPCTimeout.text(timeout) == text)
    }
}
