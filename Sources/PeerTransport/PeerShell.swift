import Bytes
import HTTP2
import Host
import NIOCore
import Raft
import Records
import Telemetry

/// The sockets of one peer: obeys its ``PeerLinks`` and tells it what happened. Confined to the transport's loop.
final class PeerShell {
    /// Bytes of messages that go to a stream in one write.
    private static let writeBytes = 256 << 10
    private static let maximumSnapshots = 2

    let id: MemberID
    let shared: TransportShared
    let metrics: PeerMetrics
    private unowned let transport: TransportLoop
    private(set) var links: PeerLinks
    /// What the member wants sent, gathered from one batch.
    var outbox: [Message] = []
    private var effects: [LinkEffect] = []
    private var isObeying = false
    private var writers: [OutgoingStream?] = [nil, nil]
    private var receivers: [IncomingStream?] = [nil, nil]
    private var snapshots: [SnapshotSender] = []
    private var lastStream: UInt64 = 0
    private var writer = ByteWriter(capacity: 64 << 10)
    private var droppedSinceLog = 0
    private var lastDropLog: Instant?
    private var probeFailed = false

    init(_ id: MemberID, urls: [PeerURL], isMember: Bool, transport: TransportLoop) {
        self.id = id
        self.transport = transport
        shared = transport.shared
        metrics = PeerMetrics(shared.metrics, local: shared.settings.localID, peer: id)
        var limits = LinkLimits()
        limits.readTimeout = Instant.Span(shared.settings.readTimeout)
        limits.writeTimeout = Instant.Span(shared.settings.writeTimeout)
        links = PeerLinks(id: id, urls: urls, isMember: isMember, limits: limits, now: shared.now)
    }

    var isMember: Bool { links.isMember }
    var nextWake: Instant? { links.nextWake }

    func start() {
        if isMember { metrics.known.set(1) }
        advance()
        if isMember { probe() }
    }

    func stop() {
        perform { links, effects, _ in links.stop(&effects) }
        for snapshot in snapshots { snapshot.cancel() }
        metrics.known.set(0)
    }

    func advance() { perform { links, effects, now in links.advance(to: now, &effects) } }
    func update(urls: [PeerURL]) { perform { links, _, now in links.update(urls: urls, now: now) } }

    func sendOutbox() {
        let messages = outbox
        outbox.removeAll(keepingCapacity: outbox.capacity <= 256)
        perform { links, effects, now in links.send(messages, now: now, &effects) }
    }

    // MARK: Effects

    /// Lets the links decide, then does what they say, then writes what streams take. What happens meanwhile is done in the same turn.
    private func perform(_ event: (inout PeerLinks, inout [LinkEffect], Instant) -> Void) {
        event(&links, &effects, shared.now)
        guard !isObeying else { return }
        isObeying = true
        repeat {
            while !effects.isEmpty {
                let batch = effects
                effects.removeAll(keepingCapacity: true)
                for effect in batch { obey(effect) }
            }
            writeStreams()
        } while !effects.isEmpty
        isObeying = false
        transport.rearm()
    }

    private func obey(_ effect: LinkEffect) {
        switch effect {
        case .dial(let kind, let attempt, let url): dial(kind, attempt, url)
        case .hangUp(let kind, let attempt, let reason):
            guard let receiver = receivers[kind.rawValue], receiver.attempt == attempt else { return }
            receivers[kind.rawValue] = nil
            receiver.hangUp()
            if let reason { logStream(Self.lostStream, kind, writes: false, reason) }
        case .closeWriter(let kind, let stream, let reason):
            guard let writer = writers[kind.rawValue], writer.number == stream else { return }
            writers[kind.rawValue] = nil
            writer.close()
            logStream(
                reason == nil ? "closed TCP streaming connection with remote peer" : Self.lostStream, kind, writes: true, reason)
        case .heartbeat(let kind, let stream): writeHeartbeat(kind, stream)
        case .post(let message, let number, let url): post(message, number, url)
        case .unreachable: shared.sink.unreachable([id])
        case .dropped(let count): noteDropped(count)
        case .becameActive:
            shared.setActive(id, since: links.activeSince)
            metrics.active.set(1)
            shared.log.info("peer became active", ["peer-id": .id(id)])
        case .becameInactive(let reason):
            shared.setActive(id, since: nil)
            metrics.active.set(0)
            metrics.disconnections.increment()
            shared.log.warn(
                "peer became inactive (message send to peer failed)", ["peer-id": .id(id), "error": .string(reason)])
        case .removedFromCluster: shared.sink.removedFromCluster()
        }
    }

    private func noteDropped(_ count: Int) {
        metrics.sendFailures.increment(by: UInt64(count))
        droppedSinceLog += count
        let now = shared.now
        if let lastDropLog, now - lastDropLog < .seconds(1) { return }
        shared.log.warn(
            "dropped internal Raft message since sending buffer is full (overloaded network)",
            [
                "local-member-id": .id(shared.settings.localID), "remote-peer-id": .id(id), "messages": .int(droppedSinceLog),
                "remote-peer-active": .bool(links.activeSince != nil),
            ])
        lastDropLog = now
        droppedSinceLog = 0
    }

    // MARK: Streams to write to

    /// The peer asked for a stream.
    func attach(_ kind: StreamKind, _ exchange: HTTPExchange) {
        lastStream += 1
        let number = lastStream
        shared.streamOpened(id)
        perform { links, effects, now in links.attached(kind, stream: number, now: now, &effects) }
        writers[kind.rawValue] = OutgoingStream(
            kind, number, exchange,
            onLost: { [weak self] reason in self?.lost(kind, number, reason) },
            onWritable: { [weak self] in
                self?.perform { links, _, _ in links.becameWritable(kind, stream: number) }
            })
        logStream("established TCP streaming connection with remote peer", kind, writes: true, nil)
        perform { _, _, _ in }
    }

    private func lost(_ kind: StreamKind, _ number: UInt64, _ reason: String) {
        guard writers[kind.rawValue]?.number == number else { return }
        writers[kind.rawValue] = nil
        logStream(Self.lostStream, kind, writes: true, reason)
        perform { links, effects, now in links.writerLost(kind, stream: number, reason: reason, now: now, &effects) }
    }

    private func writeStreams() {
        for kind in StreamKind.allCases {
            while let stream = writers[kind.rawValue], let batch = links.takeWrites(kind, limit: Self.writeBytes) {
                for message in batch.messages { stream.encode(message, to: &writer) }
                write(stream)
            }
        }
    }

    private func writeHeartbeat(_ kind: StreamKind, _ number: UInt64) {
        guard let stream = writers[kind.rawValue], stream.number == number else { return }
        stream.encodeLinkHeartbeat(to: &writer)
        write(stream)
    }

    private func write(_ stream: OutgoingStream) {
        metrics.sentBytes.increment(by: UInt64(writer.count))
        let isWritable = writer.withBytes { stream.write($0) }
        writer.removeAll(keepingAtMost: 256 << 10)
        links.wrote(stream.kind, stream: stream.number, isWritable: isWritable, now: shared.now)
    }

    // MARK: Streams to read from

    private func dial(_ kind: StreamKind, _ attempt: UInt64, _ url: PeerURL) {
        let receiver = IncomingStream(kind, attempt, peer: self, shared.settings)
        receivers[kind.rawValue] = receiver
        shared.client.connector.value.connection(to: url, fresh: true) { result in
            switch result {
            case .success(let connection): receiver.connected(connection)
            case .failure(let error): receiver.failed(.connection("\(error)"))
            }
        }
    }

    func dialed(_ receiver: IncomingStream) {
        shared.streamOpened(id)
        perform { links, effects, now in links.dialed(receiver.kind, attempt: receiver.attempt, now: now, &effects) }
        logStream("established TCP streaming connection with remote peer", receiver.kind, writes: false, nil)
    }

    func dialFailed(_ receiver: IncomingStream, _ failure: PeerFailure) {
        forget(receiver)
        shared.log.debug(
            "failed to dial stream",
            ["remote-peer-id": .id(id), "stream": .string(receiver.kind.title), "error": .error(failure)])
        perform { links, effects, now in
            links.dialFailed(receiver.kind, attempt: receiver.attempt, failure, now: now, &effects)
        }
    }

    func streamEnded(_ receiver: IncomingStream, _ failure: PeerFailure?) {
        forget(receiver)
        logStream(Self.lostStream, receiver.kind, writes: false, failure?.description ?? "EOF")
        perform { links, effects, now in
            links.readerLost(receiver.kind, attempt: receiver.attempt, failure: failure, now: now, &effects)
        }
    }

    private func forget(_ receiver: IncomingStream) {
        if receivers[receiver.kind.rawValue] === receiver { receivers[receiver.kind.rawValue] = nil }
    }

    /// Bytes of a stream and the messages that became complete with them.
    func received(_ receiver: IncomingStream, bytes: Int, _ messages: [Message]) {
        metrics.receivedBytes.increment(by: UInt64(bytes))
        links.read(receiver.kind, attempt: receiver.attempt, now: shared.now)
        if !messages.isEmpty { transport.deliver(messages, from: self) }
    }

    // MARK: Requests

    private func post(_ message: Message, _ number: UInt64, _ url: PeerURL) {
        let body = message.encoded()
        var request = PeerRequest("POST", url: url.description + "/raft", body: body, timeout: .seconds(15))
        request.fields = shared.settings.requestFields + [HTTPField("Content-Type", "application/protobuf")]
        // Raft takes a message twice without harm.
        request.mayRepeat = true
        RequestInFlight(request, shared.client.connector.value) { [weak self] result in
            guard let self else { return }
            let failure = PeerFailure(answer: result)
            if failure == nil {
                metrics.sentBytes.increment(by: UInt64(body.count))
            } else {
                metrics.sendFailures.increment()
            }
            perform { links, effects, now in links.posted(number, failure: failure, now: now, &effects) }
        }.begin()
    }

    /// Measures a round trip.
    func probe() {
        guard let url = links.currentURL else { return }
        let began = shared.now
        let request = PeerRequest("GET", url: url.description + "/raft/probing")
        RequestInFlight(request, shared.client.connector.value) { [weak self] result in
            guard let self else { return }
            let hasFailed = (try? result.get().status) != 200
            if !hasFailed { metrics.roundTrip.observe((shared.now - began).seconds) }
            if hasFailed, !probeFailed {
                shared.log.warn("prober detected unhealthy status", ["remote-peer-id": .id(id), "error": .string("\(result)")])
            }
            probeFailed = hasFailed
        }.begin()
    }

    // MARK: Snapshots

    func sendSnapshot(_ message: Message, _ database: any SnapshotDatabase) {
        guard snapshots.count < Self.maximumSnapshots, let url = links.currentURL else {
            return shared.sink.snapshotSent(to: id, succeeded: false)
        }
        let sender = SnapshotSender(message, database, url, shared, metrics) { [weak self] sender, failure in
            guard let self else { return }
            snapshots.removeAll { $0 === sender }
            shared.sink.snapshotSent(to: id, succeeded: failure == nil)
            perform { links, effects, now in links.snapshotPosted(to: url, failure: failure, now: now, &effects) }
        }
        snapshots.append(sender)
        sender.begin()
    }

    private static let lostStream = "lost TCP streaming connection with remote peer"

    private func logStream(_ text: String, _ kind: StreamKind, writes: Bool, _ reason: String?) {
        let role = writes ? "stream-writer-type" : "stream-reader-type"
        let local = LogValue.id(shared.settings.localID)
        if let reason {
            shared.log.warn(
                text,
                [role: .string(kind.title), "local-member-id": local, "remote-peer-id": .id(id), "error": .string(reason)])
        } else {
            shared.log.info(text, [role: .string(kind.title), "local-member-id": local, "remote-peer-id": .id(id)])
        }
    }
}
