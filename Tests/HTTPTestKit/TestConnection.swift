import HTTP2
import NIOCore
import NIOEmbedded

/// One connection to a server in memory: virtual time, and every byte in view.
public final class TestConnection {
    public let channel: EmbeddedChannel
    public let loop: ServerLoop
    public let client: HTTP2TestClient
    /// All bytes the server wrote, when it is not HTTP/2 that the client speaks.
    public private(set) var rawOutput: [UInt8] = []

    public init(
        _ configuration: ServerConfiguration = ServerConfiguration(), client: HTTP2TestClient = HTTP2TestClient(),
        application: (ServerLoop) -> ServerApplication
    ) throws {
        self.client = client
        channel = EmbeddedChannel()
        loop = ServerLoop(eventLoop: channel.eventLoop, configuration: configuration, counters: CounterSet())
        try serve(application(loop))
    }

    /// A further connection of the same server, on the same event loop.
    public init(sharing other: TestConnection, _ application: ServerApplication) throws {
        client = HTTP2TestClient()
        channel = EmbeddedChannel(handlers: [], loop: other.channel.embeddedEventLoop)
        loop = other.loop
        try serve(application)
    }

    private func serve(_ application: ServerApplication) throws {
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/test")).wait()
        try loop.serve(channel, isEncrypted: false, application)
    }

    deinit {
        if channel.isActive { channel.close(promise: nil) }
        channel.embeddedEventLoop.run()
    }

    public var isOpen: Bool { channel.isActive }
    public func count(_ counter: ServerCounter) -> Int { loop.counters.read(counter) }

    /// Carries bytes both ways until neither side has any.
    public func exchange() {
        var quiet = false
        while !quiet {
            let toServer = client.output()
            if !toServer.isEmpty { send(toServer) }
            channel.embeddedEventLoop.run()
            let toClient = takeOutput()
            if !toClient.isEmpty { client.receive(toClient) }
            quiet = toServer.isEmpty && toClient.isEmpty
        }
    }

    /// One read of these bytes by the server.
    public func send(_ bytes: [UInt8]) {
        guard channel.isActive else { return }
        // An error in the pipeline closes the channel, which is what the test then sees.
        _ = try? channel.writeInbound(ByteBuffer(bytes: bytes))
    }

    /// What the server has written since the last time.
    public func takeOutput() -> [UInt8] {
        var bytes: [UInt8] = []
        while let buffer = try? channel.readOutbound(as: ByteBuffer.self) { bytes += Array(buffer.readableBytesView) }
        rawOutput += bytes
        return bytes
    }

    public func advance(by duration: Duration) {
        channel.embeddedEventLoop.advanceTime(by: TimeAmount(duration))
    }

    /// The client's side goes away without a word.
    public func lose() {
        channel.close(promise: nil)
        channel.embeddedEventLoop.run()
    }
}
