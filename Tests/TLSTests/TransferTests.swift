import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization
import Testing

@testable import TLS

/// Answers each read at the end of the burst, as servers do.
private final class BurstEcho: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private var answers: [ByteBuffer] = []

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { answers.append(unwrapInboundIn(data)) }

    func channelReadComplete(context: ChannelHandlerContext) {
        for answer in answers { context.write(wrapOutboundOut(answer), promise: nil) }
        answers = []
        context.flush()
    }
}

@Suite struct TransferTests {
    let certificates: TestCertificates

    init() throws {
        certificates = try TestCertificates()
        try certificates.issue("server")
        try certificates.issue("alice")
    }

    private func established() throws -> TestPair {
        let pair = try TestPair(
            TLSServerContext(certificates.serverSettings()), TLSClientContext(certificates.clientSettings()))
        pair.exchange()
        try #require(pair.server.recorder.established != nil)
        return pair
    }

    @Test(arguments: [1, 100, 16_383, 16_384, 16_385, 100_000, 3 << 20])
    func anyAmountArrivesWhole(_ count: Int) throws {
        let pair = try established()
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        pair.client.channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        pair.exchange(piece: 50_000)
        #expect(pair.server.recorder.received == bytes)
        // One buffer for each read, however many records it held.
        #expect(pair.server.recorder.buffers <= count / 50_000 + 2)
    }

    @Test func manySmallWritesShareARecordAndAFlush() throws {
        let pair = try established()
        let before = pair.server.flushes.flushes
        let written = Mutex(0)
        for _ in 0..<1_000 {
            let promise = pair.server.channel.eventLoop.makePromise(of: Void.self)
            promise.futureResult.whenSuccess { written.withLock { $0 += 1 } }
            pair.server.channel.write(ByteBuffer(string: "0123456789"), promise: promise)
        }
        #expect(pair.server.output().isEmpty)
        pair.server.channel.flush()
        let output = pair.server.output()
        #expect(output.count < 10_000 + 64)
        #expect(pair.server.flushes.flushes == before + 1)
        #expect(written.withLock { $0 } == 1_000)
        pair.client.receive(output)
        #expect(pair.client.recorder.received.count == 10_000)
    }

    @Test func aBurstOfReadsCausesOneFlush() throws {
        let echo = try TestPair(
            TLSServerContext(certificates.serverSettings()), TLSClientContext(certificates.clientSettings()))
        try echo.server.channel.pipeline.syncOperations.addHandler(BurstEcho(), position: .before(echo.server.recorder))
        echo.exchange()
        let before = echo.server.flushes.flushes
        var requests: [[UInt8]] = []
        for number in 0..<8 {
            echo.client.send("request \(number);")
            requests.append(echo.client.output())
        }
        for request in requests { echo.server.channel.pipeline.fireChannelRead(ByteBuffer(bytes: request)) }
        echo.server.channel.pipeline.fireChannelReadComplete()
        #expect(echo.server.flushes.flushes == before + 1)
        echo.exchange()
        #expect(echo.client.text == (0..<8).map { "request \($0);" }.joined())
    }

    @Test func writesAfterTheEndFail() throws {
        let pair = try established()
        pair.server.channel.close(mode: .output, promise: nil)
        let promise = pair.server.channel.eventLoop.makePromise(of: Void.self)
        pair.server.channel.writeAndFlush(ByteBuffer(string: "late"), promise: promise)
        #expect(throws: ChannelError.self) { try promise.futureResult.wait() }
        pair.exchange()
        #expect(pair.client.recorder.errors.isEmpty && !pair.client.channel.isActive)
    }

    // MARK: Real sockets

    /// Writes until told to stop, without flushing, and notes how much that was.
    private final class Filler: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        let accepted = Mutex(0)

        func channelActive(context: ChannelHandlerContext) {
            let chunk = ByteBuffer(repeating: 1, count: 8 << 10)
            var total = 0
            while context.channel.isWritable, total < 64 << 20 {
                context.write(wrapOutboundOut(chunk), promise: nil)
                total += chunk.readableBytes
            }
            accepted.withLock { $0 = total }
            context.flush()
            context.close(mode: .output, promise: nil)
        }
    }

    /// Counts what arrives; its promise is the number of bytes at the connection's end.
    private final class Counter: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let total = Mutex(0)
        let ended: EventLoopPromise<Int>
        init(_ ended: EventLoopPromise<Int>) { self.ended = ended }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let count = unwrapInboundIn(data).readableBytes
            total.withLock { $0 += count }
        }
        func channelInactive(context: ChannelHandlerContext) { ended.succeed(total.withLock { $0 }) }
    }

    private func listen(
        _ group: any EventLoopGroup, _ context: TLSServerContext, _ rules: TLSListenerRules = TLSListenerRules(),
        _ application: @escaping @Sendable () -> any ChannelHandler & Sendable
    ) throws -> any Channel {
        try ServerBootstrap(group: group)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 64 << 10, high: 256 << 10))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([context.makeHandler(rules), application()])
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
    }

    private func connect(
        _ group: any EventLoopGroup, _ context: TLSClientContext, to server: any Channel,
        _ application: any ChannelHandler & Sendable
    ) throws -> any Channel {
        try ClientBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([context.makeHandler(host: "127.0.0.1"), application])
                }
            }
            .connect(to: server.localAddress!).wait()
    }

    /// Unflushed writes count against the high-water mark: a writer learns in time that it has to stop.
    @Test func aWriterIsToldToStop() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let filler = Filler()
        let server = try listen(group, TLSServerContext(certificates.serverSettings())) { filler }
        let counter = Counter(group.next().makePromise(of: Int.self))
        _ = try connect(group, TLSClientContext(certificates.clientSettings()), to: server, counter)
        let received = try counter.ended.futureResult.wait()
        let accepted = filler.accepted.withLock { $0 }
        #expect(accepted > 200 << 10 && accepted < 320 << 10)
        #expect(received == accepted)
    }

    private struct FakeResolver: NameResolver {
        let known: [String: String]
        func names(of address: IPAddressBytes) -> [String] { known.filter { $0.value == address.description }.map { $0.key } }
        func addresses(of name: String) -> [IPAddressBytes] { known[name].flatMap { IPAddressBytes($0) }.map { [$0] } ?? [] }
    }

    /// Says hello when the handshake is done.
    private final class Greeter: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        func channelActive(context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "hello")), promise: nil)
            context.close(mode: .output, promise: nil)
        }
    }

    /// The client's address, by the names in its certificate, resolved away from the event loop.
    @Test(arguments: [("here.example", true), ("elsewhere.example", false), ("*.example", true), ("unknown", false)])
    func namesOfAClientMustBelongToItsAddress(_ name: String, _ isServed: Bool) throws {
        try certificates.issue("named") { ($0.dnsNames, $0.ipAddresses) = ([name], []) }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let log = LogCollector()
        var settings = certificates.serverSettings()
        settings.trustedAuthorityFile = certificates.path("ca.pem")
        settings.log = log.log
        let resolver = FakeResolver(known: ["here.example": "127.0.0.1", "elsewhere.example": "192.0.2.1"])
        let context = try TLSServerContext(settings, addresses: AddressCheck(resolver))
        let server = try listen(group, context, TLSListenerRules(checksClientAddress: true)) { Greeter() }
        let counter = Counter(group.next().makePromise(of: Int.self))
        _ = try connect(group, TLSClientContext(certificates.clientSettings("named")), to: server, counter)
        #expect(try counter.ended.futureResult.wait() == (isServed ? 5 : 0))
        let expected: [TLSError] =
            isServed ? [] : [.handshake("tls: \"127.0.0.1\" does not match any of DNSNames [\"\(name)\"]")]
        #expect(log.rejections.map { $0.error } == expected)
    }
}
