import NIOCore
import NIOEmbedded
import Testing

@testable import TLS

/// What arrives is broken, cut off, too much or too late.
@Suite struct HostileBytesTests {
    let certificates: TestCertificates
    let log = LogCollector()

    init() throws {
        certificates = try TestCertificates()
        try certificates.issue("server")
    }

    private func server(_ change: (inout TLSServerSettings) -> Void = { _ in }) throws -> TLSServerContext {
        var settings = certificates.serverSettings()
        settings.log = log.log
        change(&settings)
        return try TLSServerContext(settings)
    }

    private func pair(_ change: (inout TLSServerSettings) -> Void = { _ in }) throws -> TestPair {
        try TestPair(server(change), TLSClientContext(certificates.clientSettings()))
    }

    private func established(_ change: (inout TLSServerSettings) -> Void = { _ in }) throws -> TestPair {
        let pair = try pair(change)
        pair.exchange()
        try #require(pair.server.recorder.established != nil)
        return pair
    }

    @Test func plaintextIsToldSoAndRefused() throws {
        let http = try pair()
        http.server.receive(Array("GET /health HTTP/1.1\r\n\r\n".utf8))
        let answer = String(decoding: http.server.output(), as: UTF8.self)
        #expect(answer == "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
        let garbage = try pair()
        garbage.server.receive([0, 1, 2, 3])
        #expect(garbage.server.output().isEmpty)
        let expected = TLSError.handshake("tls: first record does not look like a TLS handshake")
        #expect(log.rejections.map { $0.error } == [expected, expected])
        // The other side is given a moment to read the answer.
        for end in [http.server, garbage.server] {
            #expect(end.recorder.received.isEmpty)
            end.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            #expect(!end.channel.isActive)
        }
    }

    @Test func plaintextPassesWhereItIsAllowed() throws {
        let context = try server()
        let end = try TestEnd(
            context.makeHandler(TLSListenerRules(allowsPlaintext: true)), remote: SocketAddress(ipAddress: "127.0.0.1", port: 1))
        end.receive(Array("GET / ".utf8))
        end.receive(Array("HTTP/1.1".utf8))
        end.send("200")
        #expect(end.text == "GET / HTTP/1.1")
        #expect(end.recorder.events.first == "active")
        #expect(end.output() == Array("200".utf8))
        let encrypted = try TestPair(context, TLSClientContext(certificates.clientSettings()))
        encrypted.exchange()
        #expect(encrypted.server.recorder.established != nil)
    }

    /// Whatever byte of the client's first flight is another one, the server neither crashes nor believes it.
    @Test func noFlippedByteOfAHandshakeIsBelieved() throws {
        let context = try server()
        let client = try TLSClientContext(certificates.clientSettings())
        let length = try TestPair(context, client).client.output().count
        for position in stride(from: 0, to: length, by: 3) {
            let pair = try TestPair(context, client)
            var hello = pair.client.output()
            try #require(hello.count == length)
            hello[position] ^= 0x40
            pair.server.receive(hello)
            pair.exchange()
            #expect(pair.server.recorder.established == nil, "byte \(position)")
        }
    }

    /// A connection that ends after any part of the handshake is one line in the log and leaves nothing behind.
    @Test func aConnectionMayEndInTheMiddleOfAHandshake() throws {
        let context = try server { $0.maximumHandshakes = 1 }
        let client = try TLSClientContext(certificates.clientSettings())
        for position in [0, 1, 5, 100] {
            let pair = try TestPair(context, client)
            pair.server.receive(Array(pair.client.output().prefix(position)))
            pair.server.channel.close(promise: nil)
            pair.server.channel.pipeline.fireChannelInactive()
            #expect(pair.server.recorder.established == nil)
        }
        #expect(log.rejections.isEmpty, "this side closed them")
        for position in [0, 1, 5, 100] {
            let pair = try TestPair(context, client)
            pair.server.receive(Array(pair.client.output().prefix(position)))
            pair.server.channel.pipeline.fireChannelInactive()
        }
        #expect(log.rejections.map { $0.error } == Array(repeating: .closedInHandshake, count: 4))
        // The only place for a handshake is free again.
        let last = try TestPair(context, client)
        last.exchange()
        #expect(last.server.recorder.established != nil)
    }

    @Test func handshakesEndInTime() throws {
        let pair = try pair()
        pair.server.receive(Array(pair.client.output().prefix(100)))
        pair.server.channel.embeddedEventLoop.advanceTime(by: .seconds(9))
        #expect(log.rejections.isEmpty && pair.server.channel.isActive)
        pair.server.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(log.rejections.map { $0.error } == [.handshakeTimedOut])
        pair.server.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(!pair.server.channel.isActive)
        // A dialer whose server says nothing.
        pair.client.channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(pair.client.recorder.errors == [.handshakeTimedOut])
        // And no timer ends a connection that got through.
        let good = try established()
        good.server.channel.embeddedEventLoop.advanceTime(by: .seconds(100))
        #expect(good.server.channel.isActive)
    }

    @Test func handshakesAreBoundedInNumber() throws {
        let context = try server { $0.maximumHandshakes = 2 }
        let client = try TLSClientContext(certificates.clientSettings())
        let pairs = try (0..<3).map { _ in try TestPair(context, client) }
        for pair in pairs { pair.server.receive(Array(pair.client.output().prefix(10))) }
        #expect(log.rejections.map { $0.error } == [.tooManyHandshakes])
        pairs[0].server.channel.close(promise: nil)
        let next = try TestPair(context, client)
        next.exchange()
        #expect(next.server.recorder.established != nil)
    }

    @Test func brokenRecordsEndTheConnection() throws {
        for (damage, words) in [
            ({ (bytes: inout [UInt8]) in bytes[bytes.count - 1] ^= 1 }, "bad record mac"),
            ({ bytes in bytes = [23, 3, 3, 0xFF, 0xFF] + bytes }, "packet length too long"),
            ({ bytes in bytes = Array("HTTP/1.1 200".utf8) }, "record"),
        ] as [((inout [UInt8]) -> Void, String)] {
            let pair = try established()
            pair.client.send("hello")
            var bytes = pair.client.output()
            damage(&bytes)
            pair.server.receive(bytes)
            #expect(pair.server.recorder.received.isEmpty)
            guard case .broken(let reason) = pair.server.recorder.errors.first else {
                Issue.record("no error for \(words)")
                continue
            }
            #expect(reason.contains(words))
            pair.server.channel.embeddedEventLoop.advanceTime(by: .seconds(1))
            #expect(!pair.server.channel.isActive)
        }
    }

    @Test func anEndWithoutGoodbyeIsTruncation() throws {
        let cut = try established()
        cut.server.channel.pipeline.fireChannelInactive()
        #expect(cut.server.recorder.errors == [.truncated])
        let inRecord = try established()
        inRecord.client.send("hello")
        inRecord.server.receive(inRecord.client.output().dropLast())
        inRecord.server.channel.pipeline.fireChannelInactive()
        #expect(inRecord.server.recorder.errors == [.truncated] && inRecord.server.recorder.received.isEmpty)
        let honest = try established()
        honest.client.send("bye")
        honest.client.channel.close(promise: nil)
        honest.exchange()
        #expect(honest.server.text == "bye" && honest.server.recorder.errors.isEmpty)
        #expect(!honest.server.channel.isActive)
    }

    /// TLS 1.2 only, as TLS 1.3 has none.
    @Test func renegotiationIsRefused() throws {
        let end = try TestEnd(server().makeHandler(), remote: SocketAddress(ipAddress: "127.0.0.1", port: 1))
        let client = LibraryClient(maximumVersion: .tls12)
        client.exchange(with: end)
        try #require(client.isEstablished && end.recorder.established != nil)
        client.renegotiate()
        client.exchange(with: end)
        #expect(!client.isEstablished)
        #expect(end.recorder.events.filter { $0 == "established" }.count == 1)
    }

    /// Each key update makes us answer; one who never reads the answers must not fill our memory.
    @Test func keyUpdatesWithoutReadingEndTheConnection() throws {
        let end = try TestEnd(server().makeHandler(), remote: SocketAddress(ipAddress: "127.0.0.1", port: 1))
        let client = LibraryClient(maximumVersion: .tls13)
        client.exchange(with: end)
        try #require(end.recorder.established != nil)
        for _ in 0..<10 {
            client.updateKeys()
            end.receive(client.output())
        }
        #expect(end.recorder.errors.isEmpty && !end.output().isEmpty)
        end.channel.isWritable = false
        var updates = 0
        while end.recorder.errors.isEmpty, updates < 5_000 {
            client.updateKeys()
            end.receive(client.output())
            updates += 1
        }
        #expect(end.recorder.errors.count == 1 && updates < 2_000)
        #expect(end.output().count < 64 << 10)
    }

    @Test func tooMuchBeforeTheHandshakeIsRefused() throws {
        let pair = try pair()
        let chunk = ByteBuffer(repeating: 7, count: 256 << 10)
        for _ in 0..<5 { pair.client.channel.writeAndFlush(chunk, promise: nil) }
        #expect(pair.client.recorder.errors == [.tooMuchBeforeHandshake])
    }

    @Test func rejectionsDoNotFillTheLog() throws {
        let context = try server()
        for _ in 0..<80 {
            let end = try TestEnd(context.makeHandler(), remote: SocketAddress(ipAddress: "127.0.0.1", port: 1))
            end.receive([1, 2, 3])
        }
        #expect(log.rejections.count == 50)
    }
}
