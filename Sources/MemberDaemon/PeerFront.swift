import ClientAPI
import Configuration
import Daemon
import EtcdAPI
import HTTP2
import Host
import MVCC
import Member
import Membership
import NIOCore
import NIOPosix
import PageStore
import PeerTransport
import Raft
import Records
import Synchronization
import Systemd
import Telemetry
import WAL

/// Everything that faces the other members: the transport, the peer port, and what the member asks of the others.
///
/// etcd up to 3.5 answers clients on the peer port too, and some guides list members there; so does this.
final class PeerFront: PeerLink {
    private let network: PeerNetwork
    private let transport: PeerTransport
    private let server: HTTPServer
    private let endpoints = Mutex<[ServerEndpoint]>([])
    private let member: MemberThread
    private let memberID: MemberID
    private let questions: LeaderQuestions
    private let hashes: HashRounds
    private let log: Log
    /// The daemon's own link to the member, on the peers' event loop.
    private let link = Mutex<NIOLoopBound<LoopMember>?>(nil)

    init(
        _ daemon: MemberDaemon, _ network: PeerNetwork, _ member: MemberThread, _ serving: Serving,
        _ snapshots: SnapshotDirectory, _ pool: NIOThreadPool, _ tls: MemberTLS,
        _ inherited: inout InheritedSockets
    ) throws {
        self.network = network
        self.member = member
        memberID = serving.settings.memberID
        questions = LeaderQuestions(network, memberID: memberID, timeout: serving.settings.requestTimeout)
        hashes = HashRounds(network, pool, memberID: memberID, clusterID: serving.settings.clusterID)
        log = daemon.log
        var settings = PeerSettings(
            localID: memberID, clusterID: serving.settings.clusterID,
            advertisedURLs: daemon.configuration.initialAdvertisePeerURLs.map(\.description),
            serverVersion: serving.settings.behavesAs)
        settings.minimumClusterVersion = ClusterVersion(3, max(5, serving.settings.behavesAs.minor - 1))
        settings.readTimeout = daemon.configuration.raftReadTimeout
        settings.writeTimeout = daemon.configuration.raftWriteTimeout
        let megabytes = Int(clamping: min(daemon.configuration.snapshotSendMegabytes, 1 << 30))
        if megabytes > 0 { settings.snapshotBytesPerSecond = megabytes << 20 }
        let transport = PeerTransport(
            settings, eventLoop: network.eventLoop, client: network.client, pool: pool, snapshots: snapshots,
            metrics: daemon.metrics.network, log: daemon.log, sink: PeerReceiver(member))
        self.transport = transport
        for remote in daemon.remotes { transport.addRemote(PeerMember(id: remote.id, urls: remote.peerURLs)) }
        var configuration = serving.server
        configuration.http1.maximumBodyBytes = PeerRouter.maximumMessageBytes
        let made = Mutex<NIOLoopBound<LoopMember>?>(nil)
        let index = 2 * MemberDaemon.loopCount
        server = try HTTPServer.make(group: network.group, configuration: configuration) { loop in
            let services = LoopServices(
                loop: loop, index: index, shard: MemberDaemon.loopCount, member: member, serving: serving, listener: .peer)
            made.withLock { $0 = NIOLoopBound(services.link, eventLoop: loop.eventLoop) }
            return services.application { PeerRouter(transport, others: $0) }
        }.wait()
        link.withLock { link in link = made.withLock { $0 } }
        var options = ListenOptions()
        options.reusePort = daemon.configuration.socketReusePort
        for url in daemon.configuration.listenPeerURLs {
            tls.secure(&options, url, .peer)
            let endpoint = try server.listen(on: inherited.address("peer", url), options).wait()
            endpoints.withLock { $0.append(endpoint) }
        }
        member.connect(self)
    }

    // MARK: from the member thread

    func send(_ messages: [Raft.Message]) { transport.send(messages) }

    func send(_ snapshot: OutgoingSnapshot) {
        transport.sendSnapshot(snapshot.message, database: OutgoingDatabase(snapshot.pages))
    }

    func connectedSince(_ member: MemberID) -> Instant? { transport.activeSince(member) }
    func connection(with member: MemberID) -> UInt64? { transport.connection(with: member) }

    func update(_ membership: MembershipRecord) {
        // A member that has just joined knows nobody yet, and answers those that its transport was told of.
        guard !membership.members.isEmpty else { return }
        transport.update(
            members: membership.members.map { PeerMember(id: $0.id, urls: $0.peerURLs) }, removed: Set(membership.removed))
    }

    func askVersions(_ question: UInt64, _ membership: MembershipRecord) {
        let others = membership.members.filter { $0.id != memberID }
        let eventLoop = network.eventLoop
        let answers = others.map { other in
            network.version(of: other).map { (other.id, $0 as PeerVersions?) }
                .flatMapErrorThrowing { _ in (other.id, nil) }
        }
        EventLoopFuture.whenAllSucceed(answers, on: eventLoop).whenSuccess { [member] answers in
            let known = answers.compactMap { id, versions in versions.map { (id, $0) } }
            member.report(.versions(question: question, Dictionary(uniqueKeysWithValues: known)))
        }
    }

    func ask(_ question: HashQuestion, _ published: Published) {
        hashes.ask(question, published.status.membership.members, published.view).whenComplete { [member, log] result in
            switch result {
            case .success(let answers): member.report(.hashes(answers))
            case .failure(let error as StoreError): member.fail("the data cannot be read: \(error)")
            case .failure(let error): log.debug("the members' data was not compared", ["error": .error(error)])
            }
        }
    }

    func askLeader(
        _ question: LeaderQuestion, _ status: MemberStatus, on eventLoop: any EventLoop
    ) -> EventLoopFuture<MemberAnswer> {
        questions.ask(question, status).hop(to: eventLoop)
    }

    // MARK: end

    /// Lets another member lead before this one stops.
    func handOver(within limit: Instant.Span) {
        guard let link = link.withLock({ $0 }), member.published.status.role == .leader else { return }
        let done = network.eventLoop.makePromise(of: Void.self)
        network.eventLoop.execute {
            link.value.submit(.handOverLeadership) { _ in done.succeed() }
            link.value.endBurst()
        }
        network.eventLoop.scheduleTask(in: .nanoseconds(limit.nanoseconds)) { done.succeed() }
        try? done.futureResult.wait()
    }

    func stop() {
        for endpoint in endpoints.withLock({ $0 }) { try? endpoint.close().wait() }
        try? transport.stop().wait()
        try? server.drain(deadline: .seconds(1)).wait()
    }
}

/// Hands what the transport tells to the member thread.
private final class PeerReceiver: PeerSink {
    private let member: MemberThread

    init(_ member: MemberThread) { self.member = member }

    func received(_ messages: [Raft.Message]) -> Int { member.receive(messages) }
    func unreachable(_ members: [MemberID]) { for id in members { member.report(.unreachable(id)) } }
    func snapshotSent(to id: MemberID, succeeded: Bool) { member.report(.snapshot(id, succeeded: succeeded)) }
    func snapshotReceived(_ message: Raft.Message, database: String) { _ = member.receive([message]) }
    func removedFromCluster() { member.report(.removed) }
}

/// A page file as one transaction sees it, for the transport to send.
private final class OutgoingDatabase: SnapshotDatabase {
    private static let chunkSize = 512 << 10

    private struct Reading: ~Copyable {
        var stream: SnapshotStream
        /// The last pieces: the memory of one that the transport has let go of is used again.
        var pieces = [ByteBuffer](repeating: ByteBuffer(), count: 3)
        var count = 0

        mutating func next() throws -> ByteBuffer? {
            let size = stream.nextCount
            guard size > 0 else { return nil }
            let slot = count % pieces.count
            count += 1
            pieces[slot].clear(minimumCapacity: size)
            try pieces[slot].writeWithUnsafeMutableBytes(minimumWritableBytes: size) { room in
                try stream.read(into: UnsafeMutableRawBufferPointer(rebasing: room[..<size]))
                return size
            }
            return pieces[slot]
        }
    }

    let size: Int
    private let reading: Mutex<Reading>

    init(_ pages: ReadTransaction) {
        size = pages.size
        reading = Mutex(Reading(stream: SnapshotStream(pages, chunkSize: Self.chunkSize)))
    }

    func next() throws -> ByteBuffer? { try reading.withLock { reading in try reading.next() } }
}

extension SnapshotDirectory {
    init(_ opening: StateMachineOpening) { self.init(opening.disk, path: opening.directory.snapshotPath) }
}
