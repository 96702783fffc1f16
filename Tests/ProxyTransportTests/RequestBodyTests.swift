import Balancing
import EtcdAPI
import GRPC
import HTTP2
import HTTPTestKit
import NIOCore
import Telemetry
import Testing

@testable import ProxyTransport

/// Requests of unary calls that come in pieces, slowly, or not to an end.
@Suite struct RequestBodyTests {
    private static let range = "/etcdserverpb.KV/Range"
    private static let put = "/etcdserverpb.KV/Put"

    /// A request too long to be held is on its way while no member takes one: what comes in between is part of it too.
    @Test func aLongRequestThatHasToWaitForAMemberArrivesWhole() throws {
        var members = ServerConfiguration()
        members.http2.maximumConcurrentStreams = 1
        let script = MemberScript(.hang)
        let rig = try ProxyRig([script], members: members) {
            $0.heldRequestBytes = 50_000
            $0.http2.maximumWaitingStreams = 1
        }
        // One hangs at the member, one waits behind it, and nobody else can.
        let first = rig.start(Self.range, [1], timeout: .milliseconds(600))
        try rig.waitUntil("the member is busy") { script.requests == 1 }
        let second = rig.start(Self.range, [2], timeout: .milliseconds(600))
        let message = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        let long = rig.start(Self.put, message, timeout: .seconds(8))
        script.become(.answer)
        _ = try (first.wait(), second.wait())
        let reply = try long.wait()
        #expect(reply == .message([0]))
        let isWhole = script.lastBody == framed(message)
        #expect(isWhole, "\(script.lastBody.count) bytes arrived")
        #expect(script.requests <= 3)
    }

    /// However long a request is: while no member has taken it, it can go to another.
    @Test(arguments: [range, put, "/unknown.Service/Method"], [60_000, 300_000, 4_000_000])
    func aLongRequestThatNobodyTookGoesToAnother(path: String, size: Int) throws {
        let script = MemberScript(.answer)
        let rig = try ProxyRig([nil, script]) { $0.heldRequestBytes = 50_000 }
        let message = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        // Both are chosen in turn.
        for _ in 0..<3 {
            let reply = try rig.call(path, message, timeout: .seconds(30))
            #expect(reply == .message([1]))
            let isWhole = script.lastBody == framed(message)
            #expect(isWhole, "\(script.lastBody.count) bytes arrived")
        }
        #expect(script.requests == 3)
    }

    /// While a connection does not stand its client keeps most of a long request to itself; nothing of it is lost when it goes elsewhere.
    @Test(arguments: [put, "/unknown.Service/Method"])
    func aLongRequestWaitsForItsConnectionAtTheClient(path: String) throws {
        let silent = SilentEndpoint()
        let script = MemberScript(.answer)
        let rig = try ProxyRig([script], extra: [silent.port]) {
            $0.heldRequestBytes = 50_000
            $0.http2.connectTimeout = .seconds(60)
        }
        let message = [UInt8](repeating: 1, count: 8 << 20)
        let calls = try (0..<2).map { _ in try rig.open(path, message) }
        let size = framed(message).count
        try rig.waitUntil("one of them is at the member") { script.bytes == size }
        let left = { try calls.map { try rig.queuedBytes(of: $0) }.max() ?? 0 }
        try rig.waitUntil("the other's window is used up") { try left() <= size - 900_000 }
        let before = try left()
        for _ in 0..<20 { try rig.loop.scheduleTask(in: .milliseconds(5)) {}.futureResult.wait() }
        let after = try left()
        #expect(after == before && after >= size - (3 << 20) / 2)
        try rig.leave(1, .unreachable)
        try rig.waitUntil("the other is at the member too") { script.bytes == 2 * size }
        #expect(script.resets.isEmpty)
    }

    /// A write whose connection does not stand yet when its endpoint is left is in no doubt.
    @Test func aWriteThatWaitsForAConnectionGoesToAnotherMember() throws {
        let silent = SilentEndpoint()
        let script = MemberScript(.answer)
        let rig = try ProxyRig([script], extra: [silent.port]) { $0.http2.connectTimeout = .seconds(60) }
        let replies = (0..<2).map { _ in rig.start(Self.put, [1], timeout: .seconds(10)) }
        try rig.waitUntil("the other one has its request") { script.requests == 1 }
        try rig.leave(1, .unreachable)
        for reply in replies {
            let reply = try reply.wait()
            #expect(reply == .message([0]))
        }
        #expect(script.requests == 2)
    }

    // MARK: In virtual time, without members

    private static func makeProxy(
        _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> (proxy: TestConnection, application: L7Application) {
        var configuration = ServerConfiguration()
        change(&configuration)
        var made: L7Application?
        let proxy = try TestConnection(configuration) { loop in
            let balancer = LoopBalancer(
                eventLoop: loop.eventLoop, settings: BalancingSettings(), budget: RetryBudget(share: 0.2, perSecond: 10),
                isReadOnly: false, seed: 1, metrics: ProxyMetrics(MetricsRegistry(), version: "test"), listener: NoListener())
            let application = L7Application(
                loop: loop, balancer: balancer, pages: NoPages(), settings: ForwardingSettings(), security: nil)
            made = application
            return application.serverApplication
        }
        return (proxy, made!)
    }

    @Test func aRequestThatNeverEndsIsAnsweredWhenItsTimeIsUp() throws {
        let (proxy, application) = try Self.makeProxy()
        defer { application.close() }
        let stalled = proxy.client.call(Self.put, [[1, 2, 3]], ends: false)
        proxy.exchange()
        proxy.advance(by: .seconds(20))
        let later = proxy.client.call(Self.put, [[1, 2, 3]], ends: false)
        proxy.exchange()
        // Bytes now and then do not help.
        proxy.client.send([1], on: stalled)
        proxy.exchange()
        proxy.advance(by: .milliseconds(9_999))
        proxy.exchange()
        #expect(proxy.client.responses[stalled]?.ended != true)
        proxy.advance(by: .milliseconds(1))
        proxy.exchange()
        #expect(proxy.client.responses[stalled]?.grpcStatus == GRPCCode.deadlineExceeded.rawValue)
        #expect(proxy.client.responses[stalled]?.closeCode != nil)
        #expect(proxy.client.responses[later]?.ended != true)
        #expect(proxy.count(.bodyTimeouts) == 1)
        proxy.advance(by: .seconds(20))
        proxy.exchange()
        #expect(proxy.client.responses[later]?.grpcStatus == GRPCCode.deadlineExceeded.rawValue)
        #expect(proxy.count(.bodyTimeouts) == 2)
        #expect(proxy.isOpen)
    }

    @Test func aRequestThatEndsInTimeIsNotTimed() throws {
        let (proxy, application) = try Self.makeProxy()
        defer { application.close() }
        let slow = proxy.client.call(Self.put, [[1, 2, 3]], ends: false)
        let given = proxy.client.call(Self.put, [[1, 2, 3]], ends: false)
        proxy.exchange()
        proxy.advance(by: .seconds(29))
        proxy.client.send([], on: slow, ends: true)
        proxy.client.reset(given)
        proxy.exchange()
        // There are no members.
        #expect(proxy.client.responses[slow]?.grpcStatus == GRPCCode.unavailable.rawValue)
        proxy.advance(by: .seconds(60))
        proxy.exchange()
        #expect(proxy.count(.bodyTimeouts) == 0)
    }

    /// What follows an answer is not taken for a request.
    @Test func aRequestThatWasRefusedForItsLengthIsNotSent() throws {
        var front = ServerConfiguration()
        front.http2.connectionInputLimit = 100
        let script = MemberScript(.answer)
        let rig = try ProxyRig([script], front: front)
        guard case .status(let status) = try rig.call(Self.put, [UInt8](repeating: 1, count: 200)) else {
            Issue.record("the request should be refused")
            return
        }
        #expect(status.code == .resourceExhausted)
        let short = try rig.call(Self.put, [1])
        #expect(short == .message([0]))
        #expect(script.requests == 1)
    }

    // MARK: Streams

    /// Streams have no end of their own; they outlive requests that began later and ran out of time.
    @Test(arguments: [
        "/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive", "/etcdserverpb.Maintenance/Snapshot",
        "/v3electionpb.Election/Observe", "/unknown.Service/Method",
    ])
    func streamsAreNotTimed(path: String) throws {
        var front = ServerConfiguration()
        front.http1.bodyTimeout = .milliseconds(100)
        let rig = try ProxyRig([MemberScript(.hang)], front: front)
        let stream = try rig.open(path, [1, 2])
        for _ in 0..<2 {
            let stalled = try rig.open(Self.put, [1, 2])
            try rig.waitUntil("the request is answered") { stalled.isOver }
            #expect(stalled.status == GRPCCode.deadlineExceeded.rawValue)
        }
        #expect(!stream.isOver)
    }

    /// While a member does not take a long request, that is not the client's fault.
    @Test func aLongRequestMayWaitForItsMember() throws {
        var front = ServerConfiguration()
        // Long enough for a busy machine to send what the member does not take.
        front.http1.bodyTimeout = .seconds(2)
        let rig = try ProxyRig([MemberScript(.answer, takesBodies: false)], front: front) { $0.heldRequestBytes = 50_000 }
        let reply = try rig.call(Self.put, [UInt8](repeating: 1, count: 8 << 20), timeout: .seconds(5))
        guard case .failed(.timedOut, _) = reply else {
            Issue.record("\(reply)")
            return
        }
    }
}
