import Balancing
import Glibc
import HTTP2
import NIOCore
import Polling
import Synchronization
import Testing

@testable import ProxyTransport

/// The relay of bytes between a member and a client that the test plays itself, over real loopback sockets that block with a limit.
@Suite struct RelayTests {
    private static let much = 8 << 20

    /// Whoever reads slowly gets everything, and sees the end only then: neither end of a direction may drop what waits for the other.
    @Test(arguments: [true, false])
    func aSlowReaderGetsEverythingBeforeTheEnd(clientEndsFirst: Bool) throws {
        let rig = try RelayRig()
        let (client, member) = try rig.connect()
        if clientEndsFirst {
            client.endOutput()
            #expect(member.receive() == 0)
        }
        let writer = Thread {
            member.send(count: Self.much)
            member.close()
        }
        // Slower than everything before it, so that something waits in the proxy until the end.
        let received = client.receiveAll(pause: 1_000)
        writer.join()
        #expect(received.count == Self.much)
        #expect(received.end == 0)
    }

    @Test func bothWaysAtOnce() throws {
        let rig = try RelayRig()
        let (client, member) = try rig.connect()
        let upwards = Thread {
            client.send(count: Self.much); client.endOutput()
        }
        let echo = Thread {
            member.sendBackUntilEnd(); member.close()
        }
        let received = client.receiveAll()
        upwards.join()
        echo.join()
        #expect(received.count == Self.much && received.end == 0)
    }

    /// A client must not take a stream that was cut for a whole one.
    @Test func anEndpointThatIsLeftCutsItsConnections() throws {
        let rig = try RelayRig()
        let (client, member) = try rig.connect()
        member.send(count: 1_000)
        #expect(client.waitForInput())
        try rig.leave()
        let received = client.receiveAll()
        #expect(received.end == ECONNRESET)
        #expect(member.receiveAll().end == ECONNRESET)
    }

    @Test func aResetIsPassedOnAndNotMadeAnEnd() throws {
        let rig = try RelayRig()
        let (client, member) = try rig.connect()
        member.reset()
        #expect(client.receiveAll().end == ECONNRESET)
        let (other, otherMember) = try rig.connect()
        other.reset()
        #expect(otherMember.receiveAll().end == ECONNRESET)
    }

    @Test func drainingCutsWhatIsLeftAtTheLimit() throws {
        let rig = try RelayRig()
        let (client, _) = try rig.connect()
        try rig.drain(.milliseconds(50))
        #expect(client.receiveAll().end == ECONNRESET)
    }

    /// An address that swallows what is sent to it holds up nobody for long, and one that is left meanwhile loses nobody.
    @Test(arguments: [false, true])
    func whoIsNotConnectedYetGoesElsewhere(isLeft: Bool) throws {
        let rig = try RelayRig(withSilentEndpoint: true) { $0.connectTimeout = .seconds(100) }
        // Both are chosen in turn.
        for _ in 0..<2 {
            let client = rig.begin()
            if isLeft { try rig.leave(RelayRig.silentEndpoint) }
            let member = rig.accept()
            #expect(member.receive() == 1)
            member.send(count: 1)
            #expect(client.receive() == 1)
        }
    }

    /// A client that ended and does not read holds its connection for a while, not for ever.
    @Test func whoDoesNotTakeTheRestIsCutInTheEnd() throws {
        let rig = try RelayRig { $0.lingerTime = .milliseconds(100) }
        // The kernel keeps 230,000 bytes for a unix socket, and the relay 65,536: the rest, with the end behind it, fits in the window that
        // a member's connection has at first.
        let (client, member) = try rig.connect(overUnixSocket: true)
        client.endOutput()
        #expect(member.receive() == 0)
        #expect(member.send(count: 330_000))
        member.close()
        try rig.waitUntilEmpty()
        #expect(client.receiveAll().count < 330_000)
    }
}

/// A relay with one endpoint, whose listener belongs to the test, and perhaps another, where nobody is heard of.
private final class RelayRig {
    static let silentEndpoint = EndpointID(rawValue: 1)
    private var silent: SilentEndpoint?
    private let group = PollingEventLoopGroup(numberOfThreads: 1)
    private let relay: Relay
    private let balancer: NIOLoopBound<LoopBalancer>
    private let gate = ConnectionGate(limit: 10)
    private let listener: Int32
    private let port: Int
    private let path: String

    init(withSilentEndpoint: Bool = false, _ change: (inout RelaySettings) -> Void = { _ in }) throws {
        let endpoint = Socket.listen()
        var endpoints = [servingEndpoint(0, endpoint.port)]
        if withSilentEndpoint {
            let silent = SilentEndpoint()
            endpoints.append(servingEndpoint(1, silent.port))
            self.silent = silent
        }
        // Accepting ends after a while as well.
        listener = Socket(endpoint.descriptor).descriptor
        var settings = RelaySettings()
        settings.suspicionTime = .milliseconds(20)
        change(&settings)
        balancer = try makeBalancer(group.next(), endpoints)
        relay = try Relay.make(group: group, balancers: [balancer], gate: gate, settings: settings).wait()
        port = try relay.listen(on: .tcp(host: "127.0.0.1", port: 0)).localAddress?.port ?? 0
        path = "/tmp/quorate-relay-\(getpid())-\(port)"
        _ = try relay.listen(on: .unix(path: path, replaceExisting: true))
    }

    deinit {
        try? group.syncShutdownGracefully()
        Glibc.close(listener)
        unlink(path)
    }

    /// A client, and the member's end of its connection: both have said and heard one byte.
    func connect(overUnixSocket: Bool = false) throws -> (client: Socket, member: Socket) {
        let client = begin(overUnixSocket: overUnixSocket)
        let member = accept()
        #expect(member.receive() == 1)
        member.send(count: 1)
        #expect(client.receive() == 1)
        return (client, member)
    }

    /// A client that has said one byte.
    func begin(overUnixSocket: Bool = false) -> Socket {
        let client = overUnixSocket ? Socket.connect(path) : Socket.connect(port)
        client.send(count: 1)
        return client
    }

    func accept() -> Socket { Socket(Glibc.accept(listener, nil, nil)) }

    func leave(_ id: EndpointID = EndpointID(rawValue: 0)) throws {
        try group.next().submit { [balancer] in balancer.value.leave(id, .hung) }.wait()
    }

    func drain(_ limit: Duration) throws { try relay.drain(within: limit).wait() }

    func waitUntilEmpty() throws {
        for _ in 0..<500 where gate.openConnections > 0 { usleep(10_000) }
        #expect(gate.openConnections == 0)
    }
}

/// Runs beside the test.
private struct Thread {
    private let thread: pthread_t

    init(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(body))
        pthread_create(
            &thread, nil,
            {
                Unmanaged<Box>.fromOpaque($0!).takeRetainedValue().body(); return nil
            }, box.toOpaque())
        self.thread = thread
    }

    func join() { pthread_join(thread, nil) }

    private final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}
