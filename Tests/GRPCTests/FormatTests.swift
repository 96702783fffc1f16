import Bytes
import HTTP2
import HTTPTestKit
import Testing

@testable import GRPC

@Suite struct FormatTests {
    private func bytes<R>(_ text: String, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try Array(text.utf8).withUnsafeBytes(body)
    }

    @Test func messagesArePercentEncoded() {
        func encoded(_ text: String) -> String { GRPCStatus(.unknown, text).encodedMessage }
        #expect(encoded("") == "")
        #expect(encoded("etcdserver: key is not provided ~!") == "etcdserver: key is not provided ~!")
        #expect(encoded("100%") == "100%25")
        #expect(encoded(" two  words ") == "%20two  words%20")
        #expect(encoded("a\tb\u{7f}") == "a%09b%7F")
        #expect(encoded("é€😀") == "%C3%A9%E2%82%AC%F0%9F%98%80")
    }

    @Test func textIsQuotedAsInGo() {
        #expect(bytes("plain", quoted) == #""plain""#)
        #expect(bytes("a\"b\\c\n\t\r", quoted) == #""a\"b\\c\n\t\r""#)
        #expect(bytes("\u{1}\u{7f}", quoted) == #""\x01\x7f""#)
    }

    @Test(arguments: [
        ("1n", 1), ("25u", 25_000), ("99999999m", 99_999_999_000_000), ("5S", 5_000_000_000), ("2M", 120_000_000_000),
        ("1H", 3_600_000_000_000), ("99999999H", UInt64(Int64.max)), ("00000001S", 1_000_000_000), ("0S", 0),
    ])
    func timeoutsAreRead(text: String, nanoseconds: UInt64) throws {
        #expect(try bytes(text) { try GRPCTimeout.nanoseconds($0) } == nanoseconds)
    }

    @Test(arguments: [
        ("", GRPCTimeout.Malformed.tooShort), ("S", .tooShort), ("123456789S", .tooLong), ("12s", .unknownUnit),
        ("-1S", .notANumber),
        ("1.5S", .notANumber), ("1 S", .notANumber),
    ])
    func malformedTimeoutsAreRefused(text: String, error: GRPCTimeout.Malformed) {
        #expect(throws: error) { try bytes(text) { try GRPCTimeout.nanoseconds($0) } }
    }

    @Test func base64GoesBothWays() {
        for length in 0..<70 {
            let original = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 97 &+ 13) }
            let text = Base64.encode(original)
            #expect(bytes(text) { Base64.decode($0) } == original)
            let padded = text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
            #expect(bytes(padded) { Base64.decode($0) } == original)
        }
        #expect(Base64.encode(Array("foobar".utf8)) == "Zm9vYmFy")
        #expect(Base64.encode([0xfb, 0xff]) == "+/8")
        for bad in ["A", "AAAAA", "A===", "Zm9v!mFy", "Zm=v", "===="] {
            #expect(bytes(bad) { Base64.decode($0) } == nil, "\(bad)")
        }
    }

    @Test func everyMethodIsFound() {
        let services = (0..<12).map { service in
            (service: "package.Service\(service)", methods: (0..<15).map { "Method\($0 * service)\($0)" })
        }
        let table = GRPCMethodTable(services)
        var number = 0
        for (service, methods) in services {
            for method in methods {
                #expect(bytes("/\(service)/\(method)") { table.match($0) } == .method(number))
                number += 1
            }
            #expect(bytes("/\(service)/Missing") { table.match($0) } == .unknownMethod)
            #expect(bytes("/\(service)/") { table.match($0) } == .unknownMethod)
        }
        #expect(bytes("/package.Service/Method") { table.match($0) } == .unknownService)
        for malformed in ["", "/", "nothing", "package.Service0/Method00", "/package.Service0"] {
            #expect(bytes(malformed) { table.match($0) } == .malformed, "\(malformed)")
        }
    }
}

/// The wheel against a plain list, with random calls and time.
@Suite struct DeadlineWheelTests {
    private final class NoRouter: GRPCRouter {
        let methods = GRPCMethodTable([])
        func handler(for method: Int, stream: GRPCStream) -> (any GRPCStreamHandler)? { nil }
        func readCompleted() {}
    }

    @Test(arguments: 0..<20)
    func agreesWithAList(seed: UInt64) throws {
        let connection = try TestConnection { loop in
            ServerApplication(http2: GRPCDispatcher(router: NoRouter(), http: nil, loop: loop), http1: nil)
        }
        let dispatcher = GRPCDispatcher(router: NoRouter(), http: nil, loop: connection.loop)
        var random = seed &* 0x9e37_79b9_7f4a_7c15 | 1
        func next(_ bound: UInt64) -> UInt64 {
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            return random % bound
        }
        let tick: UInt64 = 1 << 24
        var wheel = DeadlineWheel()
        var model: [(stream: GRPCStream, deadline: UInt64)] = []
        var now = next(1 << 40)
        for _ in 0..<400 {
            switch next(4) {
            case 0, 1:
                let stream = GRPCStream(dispatcher)
                let deadline = now + next(3) * next(20_000_000_000)
                stream.timeIsUp = deadline
                let due = wheel.insert(stream, deadline: deadline, now: now)
                #expect(due > deadline && due <= max(deadline, now) + 2 * tick, "seed \(seed)")
                model.append((stream, deadline))
            case 2 where !model.isEmpty:
                let at = Int(next(UInt64(model.count)))
                wheel.remove(model[at].stream)
                wheel.remove(model[at].stream)
                model.remove(at: at)
            default:
                now += next(2) == 0 ? next(tick * 3) : next(12_000_000_000)
                let expired = wheel.removeExpired(now: now)
                for stream in expired {
                    let at = try #require(model.firstIndex { $0.stream === stream }, "seed \(seed)")
                    #expect(model[at].deadline <= now, "seed \(seed)")
                    model.remove(at: at)
                }
                #expect(model.allSatisfy { $0.deadline + 2 * tick > now }, "seed \(seed)")
            }
            #expect(wheel.count == model.count, "seed \(seed)")
            if let wake = wheel.nextWake, let first = model.map(\.deadline).min() {
                #expect(wake <= max(first, now) + 2 * tick, "seed \(seed)")
            } else {
                #expect(model.isEmpty, "seed \(seed)")
            }
        }
    }
}
