import HTTPTestKit
import NIOCore
import Testing

@testable import HTTP2

@Suite struct HTTPOverHTTP2Tests {
    private func connect(
        _ router: ScriptedRouter, client: HTTP2TestClient = HTTP2TestClient(),
        _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> TestConnection {
        var configuration = ServerConfiguration()
        change(&configuration)
        return try TestConnection(configuration, client: client) { loop in
            ServerApplication(http2: HTTPOverHTTP2(router: router, loop: loop), http1: router)
        }
    }

    @Test func answersTheSameRouter() throws {
        let router = ScriptedRouter.echoing()
        let connection = try connect(router)
        let get = connection.client.request("GET", "/version?a=b", [("x-note", "n")])
        let post = connection.client.request("POST", "/p", body: [1, 2])
        let head = connection.client.request("HEAD", "/h")
        connection.exchange()
        let response = try #require(connection.client.responses[get])
        #expect(response.status == "200")
        #expect(response.header("x-query") == "a=b")
        #expect(response.header("content-length") == "8")
        #expect(response.body == Array("/version".utf8))
        #expect(connection.client.responses[post]?.body == Array("/p".utf8) + [1, 2])
        #expect(connection.client.responses[head]?.header("content-length") == "2")
        #expect(connection.client.responses[head]?.body == [])
        #expect(connection.client.responses[head]?.ended == true)
        let request = try #require(router.exchanges.first?.request)
        #expect(request.version == .http2)
        #expect(request.first("host") == "localhost")
        #expect(request.first("x-note") == "n")
    }

    @Test func laterAndStreamedAnswersArrive() throws {
        let router = ScriptedRouter { _ in }
        let connection = try connect(router)
        let id = connection.client.request("GET", "/")
        connection.exchange()
        router.exchanges[0].begin(status: 200)
        router.exchanges[0].write([1])
        connection.exchange()
        #expect(connection.client.responses[id]?.body == [1])
        router.exchanges[0].write([2])
        router.exchanges[0].end()
        router.exchanges[0].end()
        connection.exchange()
        #expect(connection.client.responses[id]?.body == [1, 2])
        #expect(connection.client.responses[id]?.closeCode == 0)
    }

    @Test func aBodyPastTheLimitIsRefused() throws {
        let router = ScriptedRouter.echoing()
        let connection = try connect(router) { $0.http1.maximumBodyBytes = 100 }
        let large = connection.client.request("POST", "/", body: [UInt8](repeating: 1, count: 101))
        let fits = connection.client.request("POST", "/", body: [UInt8](repeating: 1, count: 100))
        let announced = connection.client.request("POST", "/", [("content-length", "101")], body: [], ends: false)
        connection.exchange()
        #expect(connection.client.responses[large]?.status == "413")
        #expect(connection.client.responses[announced]?.status == "413")
        #expect(connection.client.responses[fits]?.status == "200")
        #expect(router.exchanges.count == 1)
    }

    @Test func bodiesOfOneConnectionAreLimitedTogether() throws {
        let connection = try connect(.echoing()) { $0.http2.connectionInputLimit = 1_000 }
        let ids = (0..<3).map { _ in connection.client.request("POST", "/", body: [UInt8](repeating: 1, count: 450), ends: false)
        }
        connection.exchange()
        #expect(ids.map { connection.client.responses[$0]?.status } == [nil, nil, "503"])
        #expect(connection.count(.connectionInputLimits) == 1)
        // What the refused one kept is free again.
        connection.client.send([1, 2], on: ids[0], ends: true)
        connection.exchange()
        let next = connection.client.request("POST", "/", body: [UInt8](repeating: 1, count: 450))
        connection.exchange()
        #expect(connection.client.responses[ids[0]]?.status == "200")
        #expect(connection.client.responses[next]?.status == "200")
    }

    @Test func aBodyThatTakesTooLongIsRefused() throws {
        let connection = try connect(.echoing()) { $0.http1.bodyTimeout = .seconds(30) }
        let id = connection.client.request("POST", "/", body: [1], ends: false)
        connection.exchange()
        connection.advance(by: .seconds(30))
        connection.exchange()
        #expect(connection.client.responses[id]?.status == "408")
        #expect(connection.isOpen)
    }

    @Test func aResetCancelsTheExchange() throws {
        let router = ScriptedRouter { _ in }
        let connection = try connect(router)
        let id = connection.client.request("GET", "/")
        connection.exchange()
        var cancelled = 0
        router.exchanges[0].onCancel = { cancelled += 1 }
        connection.client.reset(id)
        connection.exchange()
        #expect(cancelled == 1)
        router.exchanges[0].respond(status: 200)
        connection.exchange()
        connection.lose()
        #expect(cancelled == 1)
    }

    @Test func aStreamedAnswerWaitsForTheClient() throws {
        let router = ScriptedRouter { $0.begin(status: 200) }
        let connection = try connect(router, client: HTTP2TestClient(window: 1_000, readsFreely: false)) {
            $0.http2.streamOutputHigh = 5_000
            $0.http2.streamOutputLow = 2_000
        }
        let id = connection.client.request("GET", "/")
        connection.exchange()
        let exchange = router.exchanges[0]
        var told = 0
        exchange.onWritable = { told += 1 }
        exchange.write([UInt8](repeating: 1, count: 5_000))
        #expect(!exchange.isWritable)
        connection.exchange()
        #expect(told == 0)
        for _ in 0..<2 {
            connection.client.consume(1_000, on: id)
            connection.exchange()
        }
        #expect(told == 1)
        #expect(exchange.isWritable)
    }
}
