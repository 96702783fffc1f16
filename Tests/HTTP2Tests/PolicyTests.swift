import NIOCore
import NIOEmbedded
import Testing

@testable import HTTP2

@Suite struct PolicyTests {
    private let second: UInt64 = 1_000_000_000

    @Test func aBucketHoldsItsBurstAndRefills() {
        var bucket = TokenBucket(burst: 3, perSecond: 2)
        func take(_ count: Int, now: UInt64) -> [Bool] { (0..<count).map { _ in bucket.take(now: now) } }
        #expect(take(4, now: 0) == [true, true, true, false])
        #expect(take(1, now: second / 2 - 1) == [false])
        #expect(take(2, now: second / 2) == [true, false])
        // However long it rests, it holds no more than its burst; a clock that goes back gives nothing.
        #expect(take(4, now: 1_000_000 * second) == [true, true, true, false])
        #expect(take(1, now: 0) == [false])
        bucket = TokenBucket(burst: .max, perSecond: .max)
        #expect(take(1_000, now: .max).allSatisfy { $0 })
        bucket = TokenBucket(burst: 0, perSecond: 0)
        #expect(take(1, now: 5 * second) == [false])
    }

    @Test func pingsAreJudgedByTheirDistance() {
        var policy = KeepalivePolicy()
        policy.minimumPingInterval = .seconds(5)
        // The first is never a strike; two strikes are allowed.
        #expect(judge(policy, count: 4, every: 1, openStreams: 1) == [true, true, true, false])
        #expect(judge(policy, count: 20, every: 5 * second, openStreams: 1).allSatisfy { $0 })
        // Whatever the server sends in between forgives.
        var pings = PingEnforcement(policy)
        for now in 0..<20 {
            pings.sentToClient()
            let allowed = pings.pinged(now: UInt64(now), openStreams: 1)
            #expect(allowed)
        }
    }

    @Test func pingsWithoutStreamsMustBeRare() {
        #expect(judge(KeepalivePolicy(), count: 4, every: 3_600 * second, openStreams: 0) == [true, true, true, false])
        var policy = KeepalivePolicy()
        policy.permitWithoutStreams = true
        #expect(judge(policy, count: 20, every: 5 * second, openStreams: 0).allSatisfy { $0 })
    }

    private func judge(_ policy: KeepalivePolicy, count: Int, every interval: UInt64, openStreams: Int) -> [Bool] {
        var pings = PingEnforcement(policy)
        return (0..<count).map { pings.pinged(now: UInt64($0) * interval, openStreams: openStreams) }
    }

    @Test func keepaliveFollowsWhatIsRead() {
        var policy = KeepalivePolicy()
        policy.pingAfterIdle = .seconds(100)
        policy.pingTimeout = .seconds(20)
        var schedule = KeepaliveSchedule(policy, now: 0)
        func step(_ now: UInt64) -> KeepaliveSchedule.Step { schedule.step(now: now) }
        #expect(step(0) == .wait(nanoseconds: 100 * second))
        schedule.readSomething(now: 40 * second)
        #expect(step(100 * second) == .wait(nanoseconds: 40 * second))
        #expect(step(140 * second) == .ping(askAgainAfter: 20 * second))
        schedule.readSomething(now: 150 * second)
        #expect(step(160 * second) == .wait(nanoseconds: 90 * second))
        #expect(step(250 * second) == .ping(askAgainAfter: 20 * second))
        #expect(step(260 * second) == .wait(nanoseconds: 10 * second))
        #expect(step(270 * second) == .giveUp)
    }

    @Test func durationsBecomeWholeNanoseconds() {
        #expect(Duration.milliseconds(1_500).wholeNanoseconds == 1_500_000_000)
        #expect(Duration.seconds(-1).wholeNanoseconds == 0)
        #expect(Duration.seconds(Int64.max).wholeNanoseconds == UInt64(Int64.max))
    }

    @Test func firstBytesTellTheProtocol() {
        func detect(_ bytes: [UInt8]) -> DetectedProtocol { bytes.withUnsafeBytes { DetectedProtocol(firstBytes: $0) } }
        let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        #expect(detect([]) == .undecided)
        for count in 1..<24 { #expect(detect(Array(preface.prefix(count))) == .undecided) }
        #expect(detect(preface) == .http2)
        #expect(detect(preface + [0, 0, 0]) == .http2)
        #expect(detect(Array("GET /".utf8)) == .http1)
        #expect(detect(Array("PUT /".utf8)) == .http1)
        #expect(detect(Array("PRI * HTTP/1.1\r\n".utf8)) == .http1)
        #expect(detect([0x16, 0x03, 0x01]) == .garbage)
    }

    @Test func aGateCountsToItsLimit() {
        let gate = ConnectionGate(limit: 2)
        #expect([gate.tryEnter(), gate.tryEnter(), gate.tryEnter()] == [true, true, false])
        gate.leave()
        #expect(gate.tryEnter())
        #expect(gate.openConnections == 2)
    }

    @Test func aHeaderBlockKeepsFieldsApart() {
        let head = HeaderBlock()
        func append(_ name: String, _ value: String, limit: Int = 10_000) -> Bool {
            Array(name.utf8).withUnsafeBytes { name in
                Array(value.utf8).withUnsafeBytes { head.append(name: name, value: $0, limit: limit) }
            }
        }
        for round in 0..<3 {
            for index in 0..<200 { #expect(append("name-\(index)", String(repeating: "v", count: index), limit: 1 << 20)) }
            #expect(head.count == 200)
            #expect(head.firstString("name-7") == "vvvvvvv")
            #expect(head.firstString("name-0") == "")
            #expect(head.firstString("name") == nil, "round \(round)")
            head.removeAll()
            #expect(head.first("name-7") == nil)
        }
        #expect(append("a", "12345", limit: 38))
        #expect(!append("b", "", limit: 38))
    }

    @Test func theLogIsLimited() {
        nonisolated(unsafe) var records: [ServerLogRecord] = []
        var configuration = ServerConfiguration()
        configuration.logBurst = 3
        configuration.logPerSecond = 1
        configuration.log = { records.append($0) }
        let eventLoop = EmbeddedEventLoop()
        let loop = ServerLoop(eventLoop: eventLoop, configuration: configuration, counters: CounterSet())
        let connection = ConnectionInfo(eventLoop: eventLoop, address: nil, isEncrypted: false)
        for index in 0..<10 { loop.report(.info, connection, "event \(index)") }
        #expect(records.map(\.message) == ["event 0", "event 1", "event 2"])
        eventLoop.advanceTime(by: .seconds(1))
        loop.report(.info, connection, "later")
        #expect(records.last?.message == "later")
        #expect(records.last?.dropped == 7)
        #expect(records.last?.peer == "unknown")
    }

    @Test func peersAreDescribed() throws {
        let eventLoop = EmbeddedEventLoop()
        func describe(_ address: SocketAddress?) -> String {
            ConnectionInfo(eventLoop: eventLoop, address: address, isEncrypted: false).peerDescription
        }
        #expect(describe(try SocketAddress(ipAddress: "127.0.0.1", port: 80)) == "127.0.0.1:80")
        #expect(describe(try SocketAddress(ipAddress: "::1", port: 80)) == "[::1]:80")
        #expect(describe(try SocketAddress(unixDomainSocketPath: "/x")) == "unix:@")
    }
}
