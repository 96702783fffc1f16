import HTTP2
import NIOCore
import NIOPosix
import Testing

@testable import PeerTransport

@Suite(.serialized) struct HTTPClientTests {
    private func server(_ body: (TestMember) throws -> Void) throws {
        let member = try TestMember(1)
        defer { member.stop() }
        try body(member)
    }

    @Test func requestsAreAnsweredOnAKeptConnection() throws {
        try server { (member) throws in
            for number in 0..<5 {
                let fields = [HTTPField("X-Test", "\(number)")]
                let answer = try member.client.request(PeerRequest("GET", url: member.url + "/members", fields: fields)).wait()
                #expect(answer.status == 200)
                #expect(String(decoding: answer.body, as: UTF8.self) == "[] \(number)")
            }
            let body = [UInt8](repeating: 3, count: 1 << 20)
            #expect(try member.client.request(PeerRequest("POST", url: member.url + "/echo", body: body)).wait().body == body)
        }
    }

    @Test func failuresHaveNames() throws {
        try server { (member) throws in
            func failure(_ request: PeerRequest) -> PeerRequestError? {
                do {
                    _ = try member.client.request(request).wait()
                    return nil
                } catch {
                    return error as? PeerRequestError
                }
            }
            #expect(failure(PeerRequest("GET", url: "nonsense")) == .badURL("nonsense"))
            #expect(failure(PeerRequest("GET", url: member.url + "/never", timeout: .milliseconds(50))) == .timeout)
            var long = PeerRequest("POST", url: member.url + "/echo", body: [UInt8](repeating: 1, count: 5_000))
            long.maximumBodyBytes = 4_999
            #expect(failure(long) == .tooLarge)
            guard case .connect = failure(PeerRequest("GET", url: "http://127.0.0.1:1/")) else {
                return #expect(Bool(false), "nobody listens on port 1")
            }
            guard case .connect(let reason) = failure(PeerRequest("GET", url: "https://127.0.0.1:\(member.port)/")) else {
                return #expect(Bool(false))
            }
            #expect(reason.contains("TLS"))
        }
    }

    @Test func connectionsComeFromTheAddressThatWasChosen() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let seen = group.next().makePromise(of: String?.self)
        let listener = try ServerBootstrap(group: group).childChannelInitializer { channel in
            seen.succeed(channel.remoteAddress?.ipAddress)
            return channel.close()
        }.bind(host: "127.0.0.1", port: 0).wait()
        let client = PeerHTTPClient(eventLoop: group.next(), localAddress: try SocketAddress(ipAddress: "127.0.0.2", port: 0))
        let url = "http://127.0.0.1:\(listener.localAddress!.port!)/"
        client.request(PeerRequest("GET", url: url, timeout: .seconds(5))).whenComplete { _ in seen.succeed(nil) }
        #expect(try seen.futureResult.wait() == "127.0.0.2")
        client.close()
        try listener.close().wait()
    }
}
