import Balancing
import HTTP2
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import ProxyTransport

/// What a client's socket has received.
private final class Received: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    private let bytes = Mutex("")
    var text: String { bytes.withLock { $0 } }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let more = String(buffer: unwrapInboundIn(data))
        bytes.withLock { $0 += more }
    }
}

/// HTTP/1.1 through the proxy, spoken byte by byte.
@Suite struct PlainTests {
    private func connect(to address: ConnectAddress, _ group: any EventLoopGroup) throws -> (any Channel, Received) {
        guard case .tcp(let host, let port) = address else { throw ProxyRig.Timeout(what: "an address") }
        let received = Received()
        let channel = try ClientBootstrap(group: group).channelInitializer { $0.pipeline.addHandler(received) }
            .connect(host: host, port: port).wait()
        return (channel, received)
    }

    /// Sends `text` and returns all that has come when `end` is at its end.
    private func ask(_ rig: ProxyRig, _ text: String, until end: String) throws -> String {
        let (channel, received) = try connect(to: rig.target.address, rig.group)
        try channel.writeAndFlush(ByteBuffer(string: text)).wait()
        try rig.waitUntil("an answer that ends in \(end)") { received.text.hasSuffix(end) }
        try channel.close().wait()
        return received.text
    }

    @Test func requestsReachAMemberWithTargetAndBody() throws {
        let rig = try ProxyRig([MemberScript(.answer)])
        let answer = try ask(
            rig, "POST /v3/kv/put?a=b HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody", until: "0 POST /v3/kv/put?a=b body")
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(answer.contains("x-member: 0\r\n"))
    }

    @Test func theProxysOwnPagesAreNotForwarded() throws {
        let rig = try ProxyRig([nil])
        let answer = try ask(rig, "GET /proxy/health HTTP/1.1\r\nhost: x\r\n\r\n", until: "own")
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    @Test func readsSurviveAMemberThatIsGone() throws {
        let rig = try ProxyRig([nil, MemberScript(.answer)])
        for _ in 0..<4 {
            let answer = try ask(rig, "GET /version HTTP/1.1\r\nhost: x\r\n\r\n", until: "1 GET /version? ")
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        }
    }

    /// One after the other they need no more than one; ports were used up otherwise.
    @Test func aConnectionToAMemberIsUsedAgain() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let seen = Counts()
        let rig = try ProxyRig([], extra: [member(group) { Counting(seen) }])
        for _ in 0..<5 {
            let answer = try ask(rig, "GET /v2/keys/a HTTP/1.1\r\nhost: x\r\n\r\n", until: "\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 204 No Content\r\n"))
        }
        #expect(seen.requests == 5)
        #expect(seen.connections == 1)
    }

    /// Whatever it asks for: a member that refuses connections has done nothing.
    @Test(arguments: ["GET /v2/keys/a", "PUT /v2/keys/a", "POST /v3/kv/put", "POST /v3/maintenance/status"])
    func whatReachedNobodyGoesToAnother(request: String) throws {
        let rig = try ProxyRig([nil, MemberScript(.answer)])
        for _ in 0..<4 {
            let answer = try ask(rig, request + " HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc", until: "? abc")
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        }
    }

    /// The member takes the request, and ends the connection.
    @Test(arguments: [
        ("GET /v2/keys/a", true), ("POST /v3/kv/range", true), ("PUT /v2/keys/a", false), ("POST /v3/kv/put", false),
        ("POST /v3/kv/txn", false), ("POST /v3/maintenance/defragment", false), ("POST /v3/maintenance/status", false),
    ])
    func onlyReadsAreRepeated(request: String, isRepeated: Bool) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let (bad, good) = (Counts(), Counts())
        let rig = try ProxyRig([], extra: [member(group) { Counting(bad, answers: false) }, member(group) { Counting(good) }])
        for _ in 0..<4 {
            let (channel, received) = try connect(to: rig.target.address, rig.group)
            let text = request + " HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
            try channel.writeAndFlush(ByteBuffer(string: text)).wait()
            try rig.waitUntil("an answer") { received.text.hasSuffix("\r\n\r\n") || received.text.hasSuffix("}\n") }
            try channel.close().wait()
            #expect(received.text.hasPrefix("HTTP/1.1 204 ") || (!isRepeated && received.text.hasPrefix("HTTP/1.1 503 ")))
        }
        // Both are chosen in turn.
        #expect(isRepeated ? good.requests == 4 : (bad.requests, good.requests) == (2, 2))
    }

    /// RFC 9110, section 7.6.1, and what etcd's old proxy added.
    @Test func fieldsOfOneConnectionGoNoFurther() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let seen = Counts()
        let rig = try ProxyRig([], extra: [member(group) { Counting(seen) }])
        let own = ["keep-alive: 5", "proxy-authorization: p", "te: gzip", "trailer: t", "x-mine: 1", "proxy-connection: x"]
        let others = ["authorization: token", "x-other: 2", "accept: */*"]
        let fields = (["connection: keep-alive, X-Mine", "x-forwarded-for: 10.0.0.9"] + own + others).joined(separator: "\r\n")
        _ = try ask(rig, "GET /v2/keys/a HTTP/1.1\r\nhost: x\r\n\(fields)\r\n\r\n", until: "\r\n\r\n")
        let lines = seen.text.split(separator: "\r\n").map { $0.lowercased() }
        for field in others { #expect(lines.contains(field)) }
        for field in own { #expect(!lines.contains { $0.hasPrefix(field.prefix { $0 != ":" } + ":") }, "\(field)") }
        #expect(lines.contains("x-forwarded-for: 10.0.0.9, 127.0.0.1"))
        #expect(!lines.contains("host: x"))
    }

    @Test func readOnlyRefusesWritesAsEtcdsOldProxyDid() throws {
        let rig = try ProxyRig([MemberScript(.answer)], isReadOnly: true)
        let old = try ask(rig, "PUT /v2/keys/a HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", until: "\r\n\r\n")
        #expect(old.hasPrefix("HTTP/1.1 501 Not Implemented\r\n"))
        let new = try ask(rig, "POST /v3/kv/put HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", until: "read-only\"}\n")
        #expect(new.hasPrefix("HTTP/1.1 403 Forbidden\r\n"))
        let read = try ask(rig, "GET /v2/keys/a HTTP/1.1\r\nhost: x\r\n\r\n", until: "0 GET /v2/keys/a? ")
        #expect(read.hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    // MARK: Upgrades

    private static let upgrade =
        "GET /v3/watch HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n\r\n"

    /// A member that the test plays with a handler of its own.
    private func member(
        _ group: any EventLoopGroup, _ make: @escaping @Sendable () -> any ChannelInboundHandler & Sendable
    ) throws -> Int {
        let channel = try ServerBootstrap(group: group).childChannelInitializer { $0.pipeline.addHandler(make()) }
            .bind(host: "127.0.0.1", port: 0).wait()
        return channel.localAddress?.port ?? 0
    }

    /// A client whose upgrade has been answered by a member that sends back what it gets, in capitals.
    private func upgraded(_ rig: ProxyRig) throws -> (any Channel, Received) {
        let (channel, received) = try connect(to: rig.target.address, rig.group)
        try channel.writeAndFlush(ByteBuffer(string: Self.upgrade)).wait()
        try rig.waitUntil("the head comes back") { received.text.contains("SEC-WEBSOCKET-KEY: K\r\n\r\n") }
        return (channel, received)
    }

    @Test func anUpgradeJoinsClientAndMemberByteByByte() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let rig = try ProxyRig([], extra: [member(group) { Shouting() }])
        let (channel, received) = try upgraded(rig)
        #expect(received.text.contains("CONNECTION: UPGRADE\r\n"))
        #expect(received.text.contains("UPGRADE: WEBSOCKET\r\n"))
        let long = String(repeating: "abcdefgh", count: 100_000)
        try channel.writeAndFlush(ByteBuffer(string: long + "end")).wait()
        try rig.waitUntil("all of it comes back") { received.text.hasSuffix("END") }
        let isWhole = received.text.hasSuffix(long.uppercased() + "END")
        #expect(isWhole)
        // The member's end is the client's.
        try channel.writeAndFlush(ByteBuffer(string: "\0")).wait()
        try rig.waitUntil("the end") { !channel.isActive }
    }

    /// One that refuses connections, one that swallows them, and a member.
    @Test func anUpgradeThatReachedNobodyGoesToAnother() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let silent = SilentEndpoint()
        let rig = try ProxyRig([nil], extra: [silent.port, member(group) { Shouting() }]) {
            $0.http2.connectTimeout = .milliseconds(100)
        }
        for _ in 0..<4 {
            let (channel, _) = try upgraded(rig)
            try channel.close().wait()
        }
    }

    @Test func anUpgradeThatWaitsForAnEndpointThatIsLeftGoesToAnother() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let silent = SilentEndpoint()
        let rig = try ProxyRig([], extra: [silent.port, member(group) { Shouting() }]) { $0.http2.connectTimeout = .seconds(60) }
        // Both are chosen in turn.
        let clients = try (0..<2).map { _ in try connect(to: rig.target.address, rig.group) }
        for (channel, _) in clients { try channel.writeAndFlush(ByteBuffer(string: Self.upgrade)).wait() }
        try rig.waitUntil("one is answered") { clients.contains { !$0.1.text.isEmpty } }
        try rig.leave(0, .unreachable)
        try rig.waitUntil("both are answered") { clients.allSatisfy { $0.1.text.contains("UPGRADE: WEBSOCKET\r\n") } }
    }

    @Test func anUpgradeThatNobodyTakesIsAnswered() throws {
        let silent = SilentEndpoint()
        let rig = try ProxyRig([], extra: [silent.port]) { $0.http2.connectTimeout = .seconds(60) }
        let (channel, received) = try connect(to: rig.target.address, rig.group)
        try channel.writeAndFlush(ByteBuffer(string: Self.upgrade)).wait()
        for _ in 0..<5 { try rig.loop.scheduleTask(in: .milliseconds(5)) {}.futureResult.wait() }
        #expect(received.text.isEmpty)
        try rig.drainProxy()
        try rig.waitUntil("an answer") { received.text.hasSuffix("quorate proxy: shutting down\n") }
        #expect(received.text.hasPrefix("HTTP/1.1 503 "))
    }

    /// What a client and a member say to each other is theirs: it can only be ended.
    @Test(arguments: [LeaveReason.hung, .failing, nil])
    func aTunnelEndsWithItsEndpointAndWithTheProxy(reason: LeaveReason?) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let rig = try ProxyRig([], extra: [member(group) { Shouting() }])
        let (channel, _) = try upgraded(rig)
        if let reason { try rig.leave(0, reason) } else { try rig.drainProxy() }
        try rig.waitUntil("the end") { !channel.isActive }
    }

    // MARK: Long polls

    /// Its client is told by the connection's end, asks again, and comes to a better member.
    @Test(arguments: ["/v2/keys/a?wait=true", "/v3/watch"], [LeaveReason.hung, .failing, nil])
    func aLongPollBreaksOffWithItsEndpointAndWithTheProxy(target: String, reason: LeaveReason?) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let rig = try ProxyRig([], extra: [member(group) { Promising() }])
        let (channel, received) = try connect(to: rig.target.address, rig.group)
        try channel.writeAndFlush(ByteBuffer(string: "GET \(target) HTTP/1.1\r\nhost: x\r\n\r\n")).wait()
        try rig.waitUntil("the head") { received.text.hasPrefix("HTTP/1.1 200 OK\r\n") }
        if let reason { try rig.leave(0, reason) } else { try rig.drainProxy() }
        try rig.waitUntil("the end") { !channel.isActive }
        // No last chunk: it is not whole.
        #expect(!received.text.hasSuffix("0\r\n\r\n"))
    }
}

/// What a member has seen, for the test's thread.
private final class Counts: Sendable {
    private let state = Mutex((connections: 0, text: ""))
    var connections: Int { state.withLock { $0.connections } }
    var text: String { state.withLock { $0.text } }
    /// Requests come whole here.
    var requests: Int { text.ranges(of: "HTTP/1.1\r\n").count }
    func connected() { state.withLock { $0.connections += 1 } }
    func received(_ text: String) { state.withLock { $0.text += text } }
}

/// Answers each request with nothing, or ends the connection.
private final class Counting: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let seen: Counts
    private let answers: Bool

    init(_ seen: Counts, answers: Bool = true) {
        self.seen = seen
        self.answers = answers
    }

    func channelActive(context: ChannelHandlerContext) { seen.connected() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let text = String(buffer: unwrapInboundIn(data))
        seen.received(text)
        guard text.hasSuffix("\r\n\r\n") || text.hasSuffix("abc") else { return }
        guard answers else { return context.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 204 No Content\r\n\r\n")), promise: nil)
    }
}

/// Answers with the head of a long poll, and nothing more.
private final class Promising: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: head)), promise: nil)
    }
}

private final class Shouting: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        if bytes.readableBytesView.last == 0 { return context.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: String(buffer: bytes).uppercased())), promise: nil)
    }
}
