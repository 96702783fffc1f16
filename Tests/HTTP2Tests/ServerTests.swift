import Glibc
import HTTPTestKit
import NIOCore
import NIOPosix
import Testing

@testable import HTTP2

/// A blocking socket with an HTTP/2 client on it.
final class SocketClient {
    let client = HTTP2TestClient()
    private let descriptor: CInt

    init(tcpPort: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(tcpPort).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(result == 0)
        limitWaiting()
    }

    init(unixPath: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: unixPath.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
        limitWaiting()
    }

    deinit { close(descriptor) }

    /// A test that waits for what never comes fails instead of hanging.
    private func limitWaiting() {
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    func write(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = send(descriptor, Array(bytes[sent...]), bytes.count - sent, Int32(MSG_NOSIGNAL))
            if count <= 0 { return }
            sent += count
        }
    }

    /// What arrives next; empty at the end of the connection.
    func read() -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? Array(buffer.prefix(count)) : []
    }

    /// Sends and receives until `done`; false if the connection ended before.
    func run(until done: () -> Bool) -> Bool {
        while !done() {
            write(client.output())
            if done() { return true }
            let arrived = read()
            if arrived.isEmpty { return false }
            client.receive(arrived)
        }
        write(client.output())
        return true
    }
}

/// Answers everything with the body "ok".
private final class OKRouter: HTTPRouter {
    func respond(to exchange: HTTPExchange) { exchange.respond(status: 200, text: "ok") }
}

@Suite struct ServerTests {
    private func makeServer(
        threads: Int = 1, gate: ConnectionGate = ConnectionGate(), _ change: (inout ServerConfiguration) -> Void = { _ in }
    ) throws -> (MultiThreadedEventLoopGroup, HTTPServer) {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: threads)
        var configuration = ServerConfiguration()
        change(&configuration)
        let server = try HTTPServer.make(group: group, configuration: configuration, gate: gate) { loop in
            let router = OKRouter()
            return ServerApplication(http2: HTTPOverHTTP2(router: router, loop: loop), http1: router)
        }.wait()
        return (group, server)
    }

    @Test func servesBothProtocolsOnOnePort() throws {
        let (group, server) = try makeServer()
        defer { try? group.syncShutdownGracefully() }
        let endpoint = try server.listen(on: .tcp(host: "127.0.0.1", port: 0)).wait()
        let port = try #require(endpoint.port)
        let http2 = try SocketClient(tcpPort: port)
        let id = http2.client.request("GET", "/")
        #expect(http2.run { http2.client.responses[id]?.closeCode != nil })
        #expect(http2.client.responses[id]?.body == Array("ok".utf8))
        let http1 = try SocketClient(tcpPort: port)
        http1.write(Array("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".utf8))
        var answer: [UInt8] = []
        while case let more = http1.read(), !more.isEmpty { answer += more }
        #expect(String(decoding: answer, as: UTF8.self).hasSuffix("\r\n\r\nok"))
        #expect(server.read(.connectionsAccepted) == 2)
    }

    @Test func servesUnixSockets() throws {
        let (group, server) = try makeServer()
        defer { try? group.syncShutdownGracefully() }
        let path = "/tmp/http-server-test-\(getpid()).sock"
        defer { unlink(path) }
        _ = try server.listen(on: .unix(path: path, replaceExisting: true)).wait()
        let client = try SocketClient(unixPath: path)
        let id = client.client.request("GET", "/")
        #expect(client.run { client.client.responses[id]?.closeCode != nil })
        #expect(client.client.responses[id]?.status == "200")
    }

    @Test func servesASocketThatListensAlready() throws {
        let (group, server) = try makeServer()
        defer { try? group.syncShutdownGracefully() }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(bound == 0)
        try #require(listen(descriptor, 16) == 0)
        let endpoint = try server.listen(on: .descriptor(descriptor)).wait()
        let client = try SocketClient(tcpPort: try #require(endpoint.port))
        let id = client.client.request("GET", "/")
        #expect(client.run { client.client.responses[id]?.closeCode != nil })
    }

    @Test func connectionsPastTheLimitAreClosed() throws {
        let gate = ConnectionGate(limit: 2)
        let (group, server) = try makeServer(threads: 2, gate: gate)
        defer { try? group.syncShutdownGracefully() }
        let endpoint = try server.listen(on: .tcp(host: "127.0.0.1", port: 0)).wait()
        let port = try #require(endpoint.port)
        var clients: [SocketClient] = []
        for _ in 0..<2 {
            let client = try SocketClient(tcpPort: port)
            let id = client.client.request("GET", "/")
            #expect(client.run { client.client.responses[id]?.closeCode != nil })
            clients.append(client)
        }
        let third = try SocketClient(tcpPort: port)
        #expect(third.read().isEmpty)
        #expect(server.read(.connectionsRefused) == 1)
        #expect(gate.openConnections == 2)
        // A place is free as soon as a connection has ended; how soon the server notices is its business, so ask until then.
        clients.removeLast()
        var served = false
        while !served {
            let next = try SocketClient(tcpPort: port)
            let id = next.client.request("GET", "/")
            served = next.run { next.client.responses[id]?.closeCode != nil }
        }
        #expect(server.read(.connectionsOpen) <= 2)
    }

    @Test func manyConnectionsOnSeveralLoops() throws {
        let (group, server) = try makeServer(threads: 2)
        defer { try? group.syncShutdownGracefully() }
        let endpoint = try server.listen(on: .tcp(host: "127.0.0.1", port: 0)).wait()
        let clients = try (0..<20).map { _ in try SocketClient(tcpPort: try #require(endpoint.port)) }
        let ids = clients.map { client in (0..<25).map { _ in client.client.request("GET", "/") } }
        for (client, ids) in zip(clients, ids) {
            #expect(client.run { ids.allSatisfy { client.client.responses[$0]?.closeCode == 0 } })
        }
        #expect(server.read(.httpRequests) == 500)
        #expect(server.read(.streamsOpen) == 0)
    }

    @Test func drainingSaysGoodbyeAndEnds() throws {
        let (group, server) = try makeServer(threads: 2) { $0.lingerTimeout = .milliseconds(20) }
        defer { try? group.syncShutdownGracefully() }
        let endpoint = try server.listen(on: .tcp(host: "127.0.0.1", port: 0)).wait()
        let silent = try SocketClient(tcpPort: try #require(endpoint.port))
        let client = try SocketClient(tcpPort: try #require(endpoint.port))
        let id = client.client.request("GET", "/")
        #expect(client.run { client.client.responses[id]?.closeCode != nil })
        try endpoint.close().wait()
        let drained = server.drain(deadline: .seconds(5))
        #expect(!client.run { false })
        #expect(client.client.goAways.last?.code == 0)
        #expect(silent.read().isEmpty)
        try drained.wait()
        #expect(server.read(.connectionsOpen) == 0)
    }

    @Test func anAcceptorSpreadsConnectionsAndLeavesSecludedLoopsAlone() throws {
        let (group, server) = try makeServer(threads: 2)
        defer { try? group.syncShutdownGracefully() }
        let acceptor = Acceptor(for: group)
        let endpoint = try server.listen(on: .tcp(host: "127.0.0.1", port: 0), through: acceptor)
        let port = try #require(endpoint.port)
        func served() throws -> SocketClient {
            let client = try SocketClient(tcpPort: port)
            let id = client.client.request("GET", "/")
            #expect(client.run { client.client.responses[id]?.closeCode != nil })
            return client
        }
        var clients = try [served()]
        #expect(acceptor.occupancy.connections(on: 0) == 1)
        #expect(acceptor.occupancy.seclude(0))
        for _ in 0..<3 { clients.append(try served()) }
        #expect(acceptor.occupancy.connections(on: 1) == 3)
        acceptor.occupancy.open(0)
        clients.append(try served())
        #expect(acceptor.occupancy.connections(on: 0) == 2)
        #expect(server.read(.connectionsAccepted) == 5)
        clients.removeAll()
        try endpoint.close().wait()
        try server.drain(deadline: .seconds(5)).wait()
        // What the end of a connection sets off is done: the last one's is told in the turn that sets it off, whose end the first round awaits.
        for _ in 0..<3 { for eventLoop in group.makeIterator() { try eventLoop.submit {}.wait() } }
        #expect(acceptor.occupancy.connections(on: 0) == 0 && acceptor.occupancy.connections(on: 1) == 0)
    }

    @Test func anAcceptorServesUnixSocketsAndClosesWhoIsTooMany() throws {
        let (group, server) = try makeServer(gate: ConnectionGate(limit: 1))
        defer { try? group.syncShutdownGracefully() }
        let acceptor = Acceptor(for: group)
        let path = "/tmp/http-acceptor-test-\(getpid()).sock"
        defer { unlink(path) }
        _ = try server.listen(on: .unix(path: path, replaceExisting: true), through: acceptor)
        let client = try SocketClient(unixPath: path)
        let id = client.client.request("GET", "/")
        #expect(client.run { client.client.responses[id]?.closeCode != nil })
        #expect(client.client.responses[id]?.status == "200")
        #expect(try SocketClient(unixPath: path).read().isEmpty)
        #expect(server.read(.connectionsRefused) == 1)
    }
}
