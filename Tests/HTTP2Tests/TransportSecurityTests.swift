import HTTPTestKit
import NIOCore
import NIOPosix
import Testing

@testable import HTTP2

/// Stands in for TLS: turns every bit over, and says who the client is when the first bytes come.
private final class FlippingHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var told = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if !told {
            told = true
            context.fireUserInboundEventTriggered(PeerIdentityEvent(identity: "CN=tester"))
        }
        context.fireChannelRead(wrapInboundOut(ByteBuffer(bytes: flipped(Array(unwrapInboundIn(data).readableBytesView)))))
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = flipped(Array(unwrapOutboundIn(data).readableBytesView))
        context.write(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: promise)
    }
}

private func flipped(_ bytes: [UInt8]) -> [UInt8] { bytes.map { ~$0 } }

/// Answers with who the client is.
private final class IdentityRouter: HTTPRouter {
    func respond(to exchange: HTTPExchange) {
        let identity = exchange.connection.identity as? String ?? "nobody"
        exchange.respond(status: 200, text: "\(identity) \(exchange.connection.isEncrypted)")
    }
}

@Suite struct TransportSecurityTests {
    @Test func aHandlerInFrontSeesAllBytesAndNamesTheClient() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let server = try HTTPServer.make(group: group, configuration: ServerConfiguration()) { loop in
            let router = IdentityRouter()
            return ServerApplication(http2: HTTPOverHTTP2(router: router, loop: loop), http1: router)
        }.wait()
        var options = ListenOptions()
        options.transportSecurity = { channel in try channel.pipeline.syncOperations.addHandler(FlippingHandler()) }
        let endpoint = try server.listen(on: .tcp(host: "127.0.0.1", port: 0), options).wait()
        let port = try #require(endpoint.port)

        let http2 = try SocketClient(tcpPort: port)
        let id = http2.client.request("GET", "/")
        while http2.client.responses[id]?.closeCode == nil {
            http2.write(flipped(http2.client.output()))
            let arrived = http2.read()
            try #require(!arrived.isEmpty)
            http2.client.receive(flipped(arrived))
        }
        #expect(http2.client.responses[id]?.body == Array("CN=tester true".utf8))

        let http1 = try SocketClient(tcpPort: port)
        http1.write(flipped(Array("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".utf8)))
        var answer: [UInt8] = []
        while case let more = http1.read(), !more.isEmpty { answer += flipped(more) }
        #expect(String(decoding: answer, as: UTF8.self).hasSuffix("\r\n\r\nCN=tester true"))
    }

    /// A listener without one is plain, on the same server.
    @Test func withoutAHandlerNobodyIsNamed() throws {
        let router = IdentityRouter()
        let connection = try TestConnection { loop in
            ServerApplication(http2: HTTPOverHTTP2(router: router, loop: loop), http1: router)
        }
        let id = connection.client.request("GET", "/")
        connection.exchange()
        #expect(connection.client.responses[id]?.body == Array("nobody false".utf8))
    }
}
