import Host
import Raft
import Testing

@testable import PeerTransport

@Suite struct PeerLinksTests {
    static let urls = [PeerURL("http://10.0.0.1:2380")!, PeerURL("http://10.0.0.1:2381")!]
    static let heartbeat = Message(kind: .heartbeat, to: 7, from: 1, term: 2)
    static let append = Message(kind: .append, to: 7, from: 1, term: 2, entries: [Entry(term: 2, index: 1, data: [1, 2, 3])])

    /// Links with one peer and what they asked for since the last look.
    private struct Bench {
        var links: PeerLinks
        var now = Instant.milliseconds(1_000)
        private var pending: [LinkEffect] = []

        init(isMember: Bool = true, limits: LinkLimits = LinkLimits()) {
            links = PeerLinks(id: 7, urls: PeerLinksTests.urls, isMember: isMember, limits: limits, now: now)
        }

        mutating func act(_ body: (inout PeerLinks, Instant, inout [LinkEffect]) -> Void) -> [LinkEffect] {
            var effects: [LinkEffect] = []
            body(&links, now, &effects)
            return effects
        }

        mutating func wait(_ milliseconds: Int64) -> [LinkEffect] {
            now = now + .milliseconds(milliseconds)
            return act { $0.advance(to: $1, &$2) }
        }

        mutating func send(_ messages: Message...) -> [LinkEffect] { act { $0.send(messages, now: $1, &$2) } }

        mutating func attach(_ kind: StreamKind, _ stream: UInt64) -> [LinkEffect] {
            act { $0.attached(kind, stream: stream, now: $1, &$2) }
        }

        mutating func fail(_ kind: StreamKind, _ attempt: UInt64, _ failure: PeerFailure = .connection("refused")) -> [LinkEffect]
        {
            act { $0.dialFailed(kind, attempt: attempt, failure, now: $1, &$2) }
        }
    }

    private func attempt(_ effects: [LinkEffect], _ kind: StreamKind) -> (attempt: UInt64, url: PeerURL)? {
        for effect in effects { if case .dial(kind, let attempt, let url) = effect { return (attempt, url) } }
        return nil
    }

    // MARK: The way of a message

    @Test func messagesTakeTheBestWayThereIs() throws {
        var bench = Bench()
        #expect(bench.links.path(of: Self.append) == .pipeline)
        #expect(bench.attach(.message, 1) == [.becameActive])
        #expect(bench.links.path(of: Self.append) == .stream(.message))
        #expect(bench.links.path(of: Self.heartbeat) == .stream(.message))
        _ = bench.attach(.append, 2)
        #expect(bench.links.path(of: Self.append) == .stream(.append))
        #expect(bench.links.path(of: Self.heartbeat) == .stream(.message))
        _ = bench.act { $0.writerLost(.message, stream: 1, reason: "gone", now: $1, &$2) }
        #expect(bench.links.path(of: Self.heartbeat) == .pipeline)
        #expect(bench.links.path(of: Self.append) == .stream(.append))
    }

    @Test func aFullAppendStreamHoldsNothingElseUp() throws {
        var bench = Bench()
        _ = bench.attach(.message, 1)
        _ = bench.attach(.append, 2)
        bench.links.wrote(.append, stream: 2, isWritable: false, now: bench.now)
        #expect(bench.send(Self.append, Self.heartbeat) == [])
        #expect(bench.links.takeWrites(.append, limit: 1_000) == nil)
        #expect(bench.links.takeWrites(.message, limit: 1_000)?.messages == [Self.heartbeat])
        bench.links.becameWritable(.append, stream: 2)
        #expect(bench.links.takeWrites(.append, limit: 1_000)?.messages == [Self.append])
    }

    @Test func aFullQueueDropsAndTellsRaft() {
        var limits = LinkLimits()
        limits.streamQueue = 3
        var bench = Bench(limits: limits)
        _ = bench.attach(.message, 1)
        let four = [Message](repeating: Self.heartbeat, count: 4)
        #expect(bench.act { $0.send(four, now: $1, &$2) } == [.dropped(1), .unreachable])
        #expect(bench.links.takeWrites(.message, limit: .max)?.messages.count == 3)
    }

    @Test func queuesAreBoundedInBytesButTakeOneMessageOfAnySize() {
        var limits = LinkLimits()
        limits.streamQueueBytes = 1_000
        var bench = Bench(limits: limits)
        _ = bench.attach(.append, 1)
        var large = Self.append
        large.entries[0].data = [UInt8](repeating: 0, count: 5_000)
        #expect(bench.send(large) == [])
        #expect(bench.send(Self.append) == [.dropped(1), .unreachable])
        #expect(bench.links.takeWrites(.append, limit: 1)?.messages == [large])
        #expect(bench.send(Self.append) == [])
    }

    @Test func requestsRunFourAtATime() throws {
        var bench = Bench()
        let five = [Message](repeating: Self.heartbeat, count: 5)
        let posts = bench.act { $0.send(five, now: $1, &$2) }
        #expect(posts.count == 4)
        guard case .post(_, let number, let url) = posts[0] else { return #expect(Bool(false)) }
        #expect(url == Self.urls[0])
        let next = bench.act { $0.posted(number, failure: nil, now: $1, &$2) }
        #expect(next.count == 2)
        #expect(next.first == .becameActive)
        let many = [Message](repeating: Self.heartbeat, count: 70)
        #expect(bench.act { $0.send(many, now: $1, &$2) } == [.dropped(6), .unreachable])
    }

    @Test func aFailedRequestTriesTheNextAddressAndTellsRaft() throws {
        var bench = Bench()
        guard case .post(_, let number, _) = bench.send(Self.heartbeat).first else { return #expect(Bool(false)) }
        #expect(bench.act { $0.posted(number, failure: .connection("reset"), now: $1, &$2) } == [.unreachable])
        guard case .post(_, let second, let url) = bench.send(Self.heartbeat).first else { return #expect(Bool(false)) }
        #expect(url == Self.urls[1])
        let end = bench.act { $0.posted(second, failure: .removed, now: $1, &$2) }
        #expect(end == [.removedFromCluster, .unreachable])
    }

    // MARK: Streams that are written to

    /// The reader of the other side may be less patient than this member is.
    @Test(arguments: [5, 60])
    func anIdleStreamGetsLinkHeartbeats(readTimeout: Int64) {
        var limits = LinkLimits()
        limits.readTimeout = .seconds(readTimeout)
        var bench = Bench(limits: limits)
        _ = bench.attach(.message, 1)
        #expect(bench.wait(1_600).contains(.heartbeat(.message, stream: 1)) == false)
        #expect(bench.wait(100).contains(.heartbeat(.message, stream: 1)))
        bench.links.wrote(.message, stream: 1, isWritable: true, now: bench.now)
        #expect(bench.wait(1_600).contains(.heartbeat(.message, stream: 1)) == false)
    }

    @Test func aStreamThatTakesNothingIsGivenUp() {
        var bench = Bench()
        _ = bench.attach(.append, 4)
        bench.links.wrote(.append, stream: 4, isWritable: false, now: bench.now)
        _ = bench.send(Self.append)
        #expect(bench.wait(4_900).contains(.closeWriter(.append, stream: 4, lost: "i/o timeout")) == false)
        let effects = bench.wait(200)
        #expect(effects.contains(.closeWriter(.append, stream: 4, lost: "i/o timeout")))
        #expect(effects.contains(.unreachable))
        #expect(effects.contains(.dropped(1)))
        #expect(bench.links.activeSince == nil)
    }

    @Test func aNewStreamReplacesTheOldOne() {
        var bench = Bench()
        _ = bench.attach(.message, 1)
        _ = bench.send(Self.heartbeat)
        #expect(bench.attach(.message, 2) == [.closeWriter(.message, stream: 1), .dropped(1), .unreachable])
        // What is heard of the old one is too late.
        #expect(bench.act { $0.writerLost(.message, stream: 1, reason: "", now: $1, &$2) } == [])
        bench.links.wrote(.message, stream: 1, isWritable: false, now: bench.now)
        _ = bench.send(Self.heartbeat)
        #expect(bench.links.takeWrites(.message, limit: 100)?.stream == 2)
    }

    // MARK: Dialing

    @Test func bothStreamsAreDialedAtOnce() {
        var bench = Bench()
        let effects = bench.wait(0)
        #expect(effects.count == 2)
        #expect(attempt(effects, .message)?.url == Self.urls[0])
        #expect(attempt(effects, .append)?.url == Self.urls[0])
    }

    @Test func failedDialsBackOffAndTryTheNextAddress() throws {
        var bench = Bench()
        var effects = bench.wait(0)
        var delays: [Int64] = []
        var seen: [PeerURL] = []
        for _ in 0..<6 {
            let (number, url) = try #require(attempt(effects, .message))
            seen.append(url)
            #expect(bench.fail(.message, number) == [])
            let began = bench.now
            repeat { effects = bench.wait(1) } while attempt(effects, .message) == nil
            delays.append((bench.now - began).nanoseconds / 1_000_000)
        }
        #expect(delays == [100, 200, 400, 800, 800, 800])
        #expect(seen.prefix(3) == [Self.urls[0], Self.urls[1], Self.urls[0]])
    }

    @Test func aPeerThatComesBackIsDialedSoon() throws {
        var bench = Bench()
        for _ in 0..<5 {
            let (number, _) = try #require(attempt(bench.wait(800), .message))
            _ = bench.fail(.message, number)
        }
        bench.now = bench.now + .milliseconds(50)
        _ = bench.attach(.append, 9)
        #expect(attempt(bench.wait(40), .message) == nil)
        #expect(attempt(bench.wait(60), .message) != nil)
    }

    @Test func aSilentStreamIsGivenUpAndDialedAgain() throws {
        var bench = Bench()
        let (number, _) = try #require(attempt(bench.wait(0), .message))
        #expect(bench.act { $0.dialed(.message, attempt: number, now: $1, &$2) } == [.becameActive])
        bench.now = bench.now + .milliseconds(4_000)
        bench.links.read(.message, attempt: number, now: bench.now)
        #expect(bench.wait(4_900).contains(.hangUp(.message, attempt: number, lost: "i/o timeout")) == false)
        #expect(bench.wait(200).contains(.hangUp(.message, attempt: number, lost: "i/o timeout")))
        #expect(bench.links.activeSince == nil)
        #expect(attempt(bench.wait(100), .message) != nil)
    }

    @Test func anAnswerThatDoesNotComeEndsTheAttempt() throws {
        var bench = Bench()
        let (number, _) = try #require(attempt(bench.wait(0), .append))
        #expect(bench.wait(7_000).contains(.hangUp(.append, attempt: number)))
        // Its late answer is of an attempt that is over.
        #expect(bench.act { $0.dialed(.append, attempt: number, now: $1, &$2) } == [])
    }

    @Test func aRemovedMemberIsTold() throws {
        var bench = Bench()
        let (number, _) = try #require(attempt(bench.wait(0), .message))
        #expect(bench.fail(.message, number, .removed) == [.removedFromCluster])
    }

    @Test func onePeerIsActiveWhileAnyStreamIsUp() throws {
        var bench = Bench()
        let dials = bench.wait(0)
        let message = try #require(attempt(dials, .message)).attempt
        let append = try #require(attempt(dials, .append)).attempt
        _ = bench.act { $0.dialed(.message, attempt: message, now: $1, &$2) }
        _ = bench.act { $0.dialed(.append, attempt: append, now: $1, &$2) }
        let since = bench.links.activeSince
        #expect(bench.act { $0.readerLost(.append, attempt: append, failure: nil, now: $1, &$2) } == [])
        #expect(bench.links.activeSince == since)
        let end = bench.act { $0.readerLost(.message, attempt: message, failure: .connection("EOF"), now: $1, &$2) }
        #expect(end == [.becameInactive(reason: "failed to read stream Message: EOF")])
    }

    // MARK: Membership

    @Test func aRemoteOnlyGetsRequests() {
        var bench = Bench(isMember: false)
        #expect(bench.wait(10_000) == [])
        #expect(bench.links.nextWake == nil)
        #expect(bench.send(Self.append).count == 1)
    }

    @Test func stoppingClosesEverythingAndReportsNothing() throws {
        var bench = Bench()
        let dials = bench.wait(0)
        let number = try #require(attempt(dials, .message)).attempt
        _ = bench.attach(.append, 3)
        _ = bench.send(Self.heartbeat)
        let effects = bench.act { links, _, effects in links.stop(&effects) }
        #expect(effects.contains(.closeWriter(.append, stream: 3)))
        #expect(effects.contains(.hangUp(.message, attempt: number)))
        #expect(!effects.contains(.unreachable))
        #expect(bench.wait(60_000) == [])
        #expect(bench.links.nextWake == nil)
    }

    @Test func wakesAreNeverInThePastForLong() {
        var bench = Bench()
        for _ in 0..<200 {
            guard let wake = bench.links.nextWake else { return #expect(Bool(false)) }
            bench.now = max(bench.now, wake)
            for effect in bench.wait(0) { if case .dial(let kind, let attempt, _) = effect { _ = bench.fail(kind, attempt) } }
            #expect(bench.links.nextWake! > bench.now)
        }
    }

    @Test func aPeerThatMovedIsDialedThere() throws {
        var bench = Bench()
        let (number, _) = try #require(attempt(bench.wait(0), .message))
        _ = bench.fail(.message, number)
        let moved = [PeerURL("http://10.0.0.9:2380")!]
        bench.links.update(urls: moved, now: bench.now)
        #expect(attempt(bench.wait(100), .message)?.url == moved[0])
    }

    // MARK: Addresses

    @Test func addressesAreRead() {
        #expect(PeerURL("http://10.0.0.1:2380/")?.address == .tcp(host: "10.0.0.1", port: 2_380))
        #expect(PeerURL("https://[::1]:2380")?.address == .tcp(host: "::1", port: 2_380))
        #expect(PeerURL("https://[::1]:2380")?.isEncrypted == true)
        #expect(PeerURL("http://etcd-0.etcd/members")?.address == .tcp(host: "etcd-0.etcd", port: 80))
        #expect(PeerURL("http://a:2380/members")?.description == "http://a:2380")
        #expect(PeerURL("unixs://localhost:1")?.address == .unix(path: "localhost:1"))
        for bad in ["", "http://", "10.0.0.1:2380", "ftp://a:1", "http://a:0", "http://a:99999", "http://a:x", "http://a b:1"] {
            #expect(PeerURL(bad) == nil, "\(bad)")
        }
    }
}
