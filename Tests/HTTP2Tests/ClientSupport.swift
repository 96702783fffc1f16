import HTTPTestKit
import NIOCore
import NIOEmbedded

@testable import HTTP2

/// A receiver that records what it is told.
final class RecordingReceiver: HTTP2ResponseReceiver {
    var headers: [String] = []
    var trailers: [String] = []
    var body: [UInt8] = []
    var ended = 0
    var drains = 0
    var closed: [ClientStreamEnd] = []
    var credits = true
    var began: (HTTP2ClientStream) -> Void = { _ in }
    var whenClosed: () -> Void = {}

    func responseBegan(_ stream: HTTP2ClientStream) {
        headers = Self.texts(stream.responseHead)
        began(stream)
    }

    func responseBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2ClientStream) {
        body += Array(bytes)
        if credits { stream.credit(bytes.count) }
    }

    func responseEnded(_ stream: HTTP2ClientStream) {
        ended += 1
        trailers = Self.texts(stream.trailers)
    }

    func outputDrained(_ stream: HTTP2ClientStream) { drains += 1 }

    func streamClosed(_ stream: HTTP2ClientStream, _ end: ClientStreamEnd) {
        closed.append(end)
        whenClosed()
    }

    private static func texts(_ block: HeaderBlock) -> [String] {
        var texts: [String] = []
        block.forEach { texts.append(String(decoding: $0, as: UTF8.self) + ": " + String(decoding: $1, as: UTF8.self)) }
        return texts
    }
}

final class RecordingDelegate: HTTP2ClientConnectionDelegate {
    var ready = 0
    var draining = 0
    var ends: [ClientConnectionEnd] = []
    func connectionIsReady(_ connection: HTTP2ClientConnection) { ready += 1 }
    func connectionIsDraining(_ connection: HTTP2ClientConnection) { draining += 1 }
    func connectionClosed(_ connection: HTTP2ClientConnection, _ end: ClientConnectionEnd) { ends.append(end) }
}

/// A client connection in memory, to one of this project's servers or to frames that a test writes by hand.
final class ClientLink {
    let server: TestConnection?
    let channel: EmbeddedChannel
    let connection: HTTP2ClientConnection
    let delegate = RecordingDelegate()
    /// All that the client wrote.
    private(set) var written: [UInt8] = []

    init(_ sink: ScriptedSink?, _ change: (inout HTTP2ClientConfiguration, inout ServerConfiguration) -> Void = { _, _ in })
        throws
    {
        var (configuration, serverConfiguration) = (HTTP2ClientConfiguration(), ServerConfiguration())
        change(&configuration, &serverConfiguration)
        server = try sink.map { sink in
            try TestConnection(serverConfiguration) { _ in ServerApplication(http2: sink, http1: nil) }
        }
        let loop = server?.channel.embeddedEventLoop ?? EmbeddedEventLoop()
        channel = EmbeddedChannel(handlers: [], loop: loop)
        connection = HTTP2ClientConnection(
            to: .unix(path: "/test"), output: LoopOutput(eventLoop: loop), pool: HTTP2ClientStreamPool(),
            configuration: configuration,
            delegate: delegate)
        try channel.pipeline.syncOperations.addHandler(connection)
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/test")).wait()
    }

    deinit {
        if channel.isActive { channel.close(promise: nil) }
        channel.embeddedEventLoop.run()
    }

    func get(_ receiver: RecordingReceiver, ends: Bool = true) -> HTTP2ClientStream? {
        let stream = connection.open(receiver) { head in
            head.append(":method", "GET")
            head.append(":scheme", "http")
            head.append(":path", "/a")
            head.append(":authority", "here")
        }
        if ends { stream?.end() }
        return stream
    }

    /// What the client has written since the last time.
    func takeOutput() -> [UInt8] {
        channel.embeddedEventLoop.run()
        var bytes: [UInt8] = []
        while let buffer = try? channel.readOutbound(as: ByteBuffer.self) { bytes += Array(buffer.readableBytesView) }
        written += bytes
        return bytes
    }

    /// One read of these bytes by the client.
    func send(_ bytes: [UInt8]) {
        if channel.isActive { _ = try? channel.writeInbound(ByteBuffer(bytes: bytes)) }
    }

    /// Carries bytes both ways until neither side has any.
    func exchange() {
        guard let server else { return }
        var quiet = false
        while !quiet {
            let toServer = takeOutput()
            if !toServer.isEmpty { server.send(toServer) }
            let toClient = server.takeOutput()
            if !toClient.isEmpty { send(toClient) }
            quiet = toServer.isEmpty && toClient.isEmpty
        }
    }

    func lose() {
        channel.close(promise: nil)
        channel.embeddedEventLoop.run()
    }
}
