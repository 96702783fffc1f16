import HTTPTestKit
import NIOCore
import Testing

@testable import HTTP2

/// A router that keeps what it is asked, and answers as a test scripts it.
final class ScriptedRouter: HTTPRouter {
    var answer: (HTTPExchange) -> Void
    private(set) var exchanges: [HTTPExchange] = []
    init(_ answer: @escaping (HTTPExchange) -> Void) { self.answer = answer }

    func respond(to exchange: HTTPExchange) {
        exchanges.append(exchange)
        answer(exchange)
    }

    static func echoing() -> ScriptedRouter {
        ScriptedRouter { exchange in
            let request = exchange.request
            exchange.respond(
                status: 200, fields: [HTTPField("x-method", request.method), HTTPField("x-query", request.query)],
                body: Array(request.path.utf8) + request.body)
        }
    }
}

@Suite struct HTTP1Tests {
    private func connect(
        _ router: ScriptedRouter?, _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> TestConnection {
        var configuration = ServerConfiguration()
        change(&configuration)
        return try TestConnection(configuration) { loop in
            ServerApplication(http2: ScriptedSink(), http1: router)
        }
    }

    private func text(_ connection: TestConnection) -> String { String(decoding: connection.takeOutput(), as: UTF8.self) }
    private func send(_ connection: TestConnection, _ text: String) { connection.send(Array(text.utf8)) }

    @Test func answersAndKeepsTheConnection() throws {
        let connection = try connect(.echoing())
        for _ in 0..<3 {
            send(connection, "GET /version?a=b HTTP/1.1\r\nhost: x\r\n\r\n")
            let answer = text(connection)
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.contains("x-query: a=b\r\n"))
            #expect(answer.contains("content-length: 8\r\n"))
            #expect(answer.hasSuffix("\r\n\r\n/version"))
        }
        #expect(connection.isOpen)
        #expect(connection.count(.httpRequests) == 3)
    }

    @Test func aRequestMayArriveByteByByte() throws {
        let connection = try connect(.echoing())
        for byte in "POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc".utf8 { connection.send([byte]) }
        #expect(text(connection).hasSuffix("\r\n\r\n/pabc"))
    }

    @Test func pipelinedRequestsAreAnsweredInOrder() throws {
        let router = ScriptedRouter { _ in }
        let connection = try connect(router)
        send(connection, "GET /1 HTTP/1.1\r\nhost: x\r\n\r\nGET /2 HTTP/1.1\r\nhost: x\r\n\r\n")
        #expect(router.exchanges.map(\.request.path) == ["/1"])
        router.exchanges[0].respond(status: 200, text: "one")
        #expect(router.exchanges.map(\.request.path) == ["/1", "/2"])
        router.exchanges[1].respond(status: 200, text: "two")
        let answer = text(connection)
        #expect(answer.contains("\r\n\r\noneHTTP/1.1 200 OK"))
        #expect(answer.hasSuffix("two"))
    }

    @Test func laterAnswersArrive() throws {
        let router = ScriptedRouter { _ in }
        let connection = try connect(router)
        send(connection, "GET /1 HTTP/1.1\r\nhost: x\r\n\r\n")
        #expect(text(connection).isEmpty)
        connection.advance(by: .seconds(60))
        router.exchanges[0].respond(status: 503, text: "no")
        #expect(text(connection).hasPrefix("HTTP/1.1 503"))
        // Answered twice.
        router.exchanges[0].respond(status: 200, text: "yes")
        #expect(text(connection).isEmpty)
        #expect(connection.isOpen)
    }

    @Test func aHeadRequestGetsNoBody() throws {
        let connection = try connect(.echoing())
        send(connection, "HEAD /abc HTTP/1.1\r\nhost: x\r\n\r\n")
        let answer = text(connection)
        #expect(answer.contains("content-length: 4\r\n"))
        #expect(answer.hasSuffix("\r\n\r\n"))
    }

    @Test func connectionCloseCloses() throws {
        for request in ["GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
            let connection = try connect(.echoing())
            send(connection, request)
            #expect(text(connection).contains("connection: close\r\n"))
            connection.advance(by: .seconds(1))
            #expect(!connection.isOpen)
        }
    }

    @Test func aBodyInPiecesIsChunked() throws {
        let router = ScriptedRouter { exchange in
            exchange.begin(status: 200, fields: [HTTPField("content-type", "text/plain")])
            exchange.write(Array("one".utf8))
        }
        let connection = try connect(router)
        send(connection, "GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        #expect(text(connection).hasSuffix("\r\n\r\n3\r\none\r\n"))
        router.exchanges[0].write(Array("four".utf8))
        router.exchanges[0].end()
        #expect(text(connection) == "4\r\nfour\r\n0\r\n\r\n")
        #expect(connection.isOpen)
    }

    @Test func aClientThatGoesCancelsItsExchange() throws {
        let router = ScriptedRouter { $0.begin(status: 200) }
        let connection = try connect(router)
        send(connection, "GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        var cancelled = 0
        router.exchanges[0].onCancel = { cancelled += 1 }
        connection.lose()
        #expect(cancelled == 1)
        #expect(!router.exchanges[0].isOpen)
        router.exchanges[0].write([1])
        router.exchanges[0].end()
        #expect(connection.loop.openConnections == 0)
    }

    @Test func anAbortedExchangeClosesTheConnection() throws {
        let router = ScriptedRouter { exchange in
            exchange.begin(status: 200)
            exchange.abort()
        }
        let connection = try connect(router)
        send(connection, "GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        #expect(!connection.isOpen)
    }

    // MARK: Limits

    @Test(arguments: [
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 101\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n80\r\n" + String(repeating: "x", count: 128) + "\r\n",
    ])
    func aBodyPastTheLimitIsRefused(request: String) throws {
        let router = ScriptedRouter.echoing()
        let connection = try connect(router) { $0.http1.maximumBodyBytes = 100 }
        send(connection, request)
        #expect(text(connection).hasPrefix("HTTP/1.1 413"))
        #expect(router.exchanges.isEmpty)
        #expect(connection.count(.bodiesTooLarge) == 1)
        connection.advance(by: .seconds(1))
        #expect(!connection.isOpen)
    }

    @Test func aBodyOfTheLimitIsTaken() throws {
        let connection = try connect(.echoing()) { $0.http1.maximumBodyBytes = 100 }
        let body = String(repeating: "b", count: 100)
        send(connection, "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 100\r\n\r\n")
        #expect(text(connection).hasPrefix("HTTP/1.1 100 Continue\r\n"))
        send(connection, body)
        #expect(text(connection).hasSuffix("/" + body))
    }

    @Test func headersPastTheLimitAreRefused() throws {
        let connection = try connect(.echoing()) { $0.http1.maximumHeaderListBytes = 1_000 }
        send(connection, "GET / HTTP/1.1\r\nhost: x\r\n")
        for index in 0..<100 where connection.isOpen { send(connection, "x-\(index): \(String(repeating: "v", count: 50))\r\n") }
        #expect(text(connection).hasPrefix("HTTP/1.1 431"))
        connection.advance(by: .seconds(1))
        #expect(!connection.isOpen)
        #expect(connection.count(.malformedHTTP1) == 1)
    }

    @Test(arguments: ["NONSENSE\r\n\r\n", "GET / HTTP/1.1\r\nbad header\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"])
    func whatIsNotHTTPIsRefused(request: String) throws {
        let connection = try connect(.echoing())
        send(connection, request)
        #expect(text(connection).hasPrefix("HTTP/1.1 400"))
        connection.advance(by: .seconds(1))
        #expect(!connection.isOpen)
        #expect(connection.count(.malformedHTTP1) == 1)
    }

    @Test func aHeaderThatTakesTooLongEndsTheConnection() throws {
        let connection = try connect(.echoing()) { $0.headerTimeout = .seconds(10) }
        send(connection, "GET / HTTP/1.1\r\n")
        for _ in 0..<9 {
            connection.advance(by: .seconds(1))
            send(connection, "x: y\r\n")
        }
        #expect(connection.isOpen)
        connection.advance(by: .seconds(1))
        #expect(!connection.isOpen)
        #expect(connection.count(.headerTimeouts) == 1)
    }

    @Test func aSecondHeaderThatTakesTooLongDoesToo() throws {
        let connection = try connect(.echoing()) { $0.headerTimeout = .seconds(10) }
        send(connection, "GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        _ = text(connection)
        connection.advance(by: .seconds(60))
        send(connection, "GET / HT")
        #expect(connection.isOpen)
        connection.advance(by: .seconds(10))
        #expect(!connection.isOpen)
    }

    @Test func aBodyThatTakesTooLongIsRefused() throws {
        let connection = try connect(.echoing()) { $0.http1.bodyTimeout = .seconds(30) }
        send(connection, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
        connection.advance(by: .seconds(30))
        #expect(text(connection).hasPrefix("HTTP/1.1 408"))
        #expect(connection.count(.bodyTimeouts) == 1)
    }

    @Test func anIdleConnectionIsClosed() throws {
        let connection = try connect(.echoing()) { $0.http1.idleTimeout = .seconds(120) }
        send(connection, "GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        connection.advance(by: .seconds(119))
        #expect(connection.isOpen)
        connection.advance(by: .seconds(1))
        #expect(!connection.isOpen)
    }

    @Test func withoutARouterHTTP1IsClosed() throws {
        let connection = try connect(nil)
        send(connection, "GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        #expect(!connection.isOpen)
    }

    @Test func drainingFinishesTheExchange() throws {
        let router = ScriptedRouter { _ in }
        let connection = try connect(router)
        send(connection, "GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        var drained = false
        connection.loop.drain(deadline: .seconds(30)).assumeIsolated().whenSuccess { drained = true }
        #expect(connection.isOpen)
        router.exchanges[0].respond(status: 200, text: "done")
        #expect(text(connection).contains("connection: close\r\n"))
        connection.advance(by: .seconds(1))
        #expect(!connection.isOpen)
        #expect(drained)
    }
}
