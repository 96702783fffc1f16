import NIOCore
import NIOEmbedded
import Synchronization
import TLS

/// What comes out of a handler at the application's end.
final class Recorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    var received: [UInt8] = []
    var buffers = 0
    var events: [String] = []
    var established: TLSEstablished?
    var errors: [TLSError] = []

    func channelActive(context: ChannelHandlerContext) { events.append("active") }
    func channelInactive(context: ChannelHandlerContext) { events.append("inactive") }
    func channelReadComplete(context: ChannelHandlerContext) { events.append("complete") }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if events.last != "read" { events.append("read") }
        buffers += 1
        received += Array(unwrapInboundIn(data).readableBytesView)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? TLSEstablished {
            established = event
            events.append("established")
        } else if let event = event as? TestIdentity {
            events.append("identity \(event.commonName)")
        } else if case .some(.inputClosed) = event as? ChannelEvent {
            events.append("input closed")
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? TLSError { errors.append(error) }
    }
}

/// Stands for the event that a server room defines.
struct TestIdentity: Sendable { let commonName: String }

/// Counts flushes that reach the socket.
final class FlushCounter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    var flushes = 0
    func flush(context: ChannelHandlerContext) {
        flushes += 1
        context.flush()
    }
}

/// One end of a connection in memory.
final class TestEnd {
    let channel: EmbeddedChannel
    let recorder = Recorder()
    let flushes = FlushCounter()

    init(_ handler: TLSHandler, remote: SocketAddress) throws {
        channel = EmbeddedChannel()
        let sync = channel.pipeline.syncOperations
        try sync.addHandler(flushes)
        try sync.addHandler(handler)
        try sync.addHandler(recorder)
        channel.connect(to: remote, promise: nil)
    }

    deinit {
        if channel.isActive { channel.close(promise: nil) }
        channel.embeddedEventLoop.run()
    }

    func output() -> [UInt8] {
        var bytes: [UInt8] = []
        while let buffer = try? channel.readOutbound(as: ByteBuffer.self) { bytes += Array(buffer.readableBytesView) }
        return bytes
    }

    func send(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }

    /// One read of these bytes.
    func receive(_ bytes: [UInt8]) {
        guard channel.isActive else { return }
        channel.pipeline.fireChannelRead(ByteBuffer(bytes: bytes))
        channel.pipeline.fireChannelReadComplete()
    }

    var text: String { String(decoding: recorder.received, as: UTF8.self) }
}

/// A client and a server, and all bytes between them.
final class TestPair {
    let client: TestEnd
    let server: TestEnd

    static let clientAddress = "127.0.0.1"

    init(_ server: TLSServerContext, _ client: TLSClientContext, host: String = "localhost", from: String = clientAddress) throws
    {
        self.server = try TestEnd(server.makeHandler(), remote: SocketAddress(ipAddress: from, port: 40_100))
        self.client = try TestEnd(client.makeHandler(host: host), remote: SocketAddress(ipAddress: "127.0.0.1", port: 2_379))
    }

    /// Carries bytes both ways, `piece` at a time, until neither side has any.
    func exchange(piece: Int = .max) {
        var quiet = false
        while !quiet {
            let toServer = client.output()
            let toClient = server.output()
            quiet = toServer.isEmpty && toClient.isEmpty
            for part in Self.pieces(toServer, piece) { server.receive(part) }
            for part in Self.pieces(toClient, piece) { client.receive(part) }
        }
    }

    private static func pieces(_ bytes: [UInt8], _ size: Int) -> [[UInt8]] {
        guard bytes.count > size else { return bytes.isEmpty ? [] : [bytes] }
        return stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
    }
}

/// Log records, from any thread.
final class LogCollector: Sendable {
    private let records = Mutex<[TLSLogRecord]>([])
    var all: [TLSLogRecord] { records.withLock { $0 } }
    var log: @Sendable (TLSLogRecord) -> Void {
        { [self] record in records.withLock { $0.append(record) } }
    }
    var rejections: [TLSRejection] {
        all.compactMap { if case .rejected(let rejection) = $0 { rejection } else { nil } }
    }
}
