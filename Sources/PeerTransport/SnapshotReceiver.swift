import Bytes
import HTTP2
import Host
import NIOCore
import NIOPosix
import Raft
import Records
import Synchronization
import Telemetry
import WAL

/// One snapshot on its way in: the message, then the database, which a pool writes to a file while the loop does other things. The
/// peer is read no faster than the disk writes.
final class SnapshotReceiver {
    /// The message without the database; it carries the membership (etcd 3.7.1 takes as much).
    private static let maximumMessageBytes = 64 << 20
    /// Bytes that wait for the disk, while about as many are written, before reading stops. A little more may be in hand by then.
    private static let maximumWaiting = 4 << 20
    private static let lastNumber = Atomic<UInt64>(0)

    private enum State {
        case message
        case database(Message)
        case done
    }

    private let exchange: HTTPExchange
    private unowned let transport: TransportLoop
    private let shared: TransportShared
    private var state = State.message
    /// What has arrived of the message, which comes first.
    private var head = ByteBuffer()
    /// What of the database waits for the disk.
    private var waiting = Portion()
    /// Memory that is used again and again: fresh pages would cost more than copying into these.
    private var spare = Portion()
    private var bodyHasEnded = false
    private var isWriting = false
    private var isPaused = false
    private var file: DatabaseFile?
    private let began: Instant
    private var from = "0"
    private var databaseBytes = 0

    init(_ exchange: HTTPExchange, _ transport: TransportLoop) {
        self.exchange = exchange
        self.transport = transport
        shared = transport.shared
        began = transport.shared.now
        exchange.onBody = { [self] piece in received(piece) }
        exchange.onCancel = { [self] in broken("the connection was closed by the peer") }
    }

    /// The member stops.
    func cancel() {
        guard !isDone else { return }
        end()
        exchange.abort()
    }

    private var isDone: Bool {
        if case .done = state { true } else { false }
    }

    private func end() {
        if case .database = state { metric(shared.metrics.snapshotReceivesInFlight).add(-1) }
        state = .done
        file = nil
        waiting = Portion()
        spare = Portion()
        exchange.onBody = nil
        exchange.onCancel = nil
        transport.forget(self)
    }

    // MARK: Reading

    private func received(_ piece: ByteBuffer?) {
        if piece == nil { bodyHasEnded = true }
        if case .message = state {
            if var piece { head.writeBuffer(&piece) }
            takeMessage()
        } else if let piece {
            waiting.append(piece)
        }
        if case .database = state { writeNext() }
    }

    private func takeMessage() {
        guard let length = head.getInteger(at: head.readerIndex, as: UInt64.self) else {
            return bodyHasEnded ? refuse(400, "failed to decode raft message (unexpected EOF)") : ()
        }
        guard length <= Self.maximumMessageBytes else {
            return refuse(400, "failed to decode raft message (rafthttp: error limit exceeded)")
        }
        guard head.readableBytes >= 8 + Int(length) else {
            return bodyHasEnded ? refuse(400, "failed to decode raft message (unexpected EOF)") : ()
        }
        head.moveReaderIndex(forwardBy: 8)
        let bytes = head.readBytes(length: Int(length)) ?? []
        let message: Message
        do {
            message = try Message(decoding: bytes)
        } catch {
            return refuse(400, "failed to decode raft message (\(error))")
        }
        guard message.kind == .snapshot, let snapshot = message.snapshot, snapshot.index > 0 else {
            return refuse(400, "wrong raft message type")
        }
        accept(message, snapshot, size: bytes.count)
    }

    private func accept(_ message: Message, _ snapshot: Snapshot, size: Int) {
        if transport.isRemoved(message.from) {
            return respond(403, PeerRouter.removedMemberText, "application/json")
        }
        guard message.to == shared.settings.localID else { return refuse(412, "to field mismatch") }
        from = MemberIdentity.text(message.from)
        shared.metrics.peerBytesReceived.labelled(from).increment(by: UInt64(size))
        let number = Self.lastNumber.wrappingAdd(1, ordering: .relaxed).newValue
        file = DatabaseFile(shared.snapshots, index: snapshot.index, number: number)
        state = .database(message)
        waiting.append(head)
        head = ByteBuffer()
        exchange.readInLargePieces()
        metric(shared.metrics.snapshotReceivesInFlight).add(1)
        shared.log.info(
            "receiving database snapshot",
            [
                "local-member-id": .id(shared.settings.localID), "remote-snapshot-sender-id": .string(from),
                "incoming-snapshot-index": .int(snapshot.index), "incoming-snapshot-message-size-bytes": .int(size),
            ])
    }

    // MARK: Writing

    /// Hands what has arrived to the pool, one job at a time.
    private func writeNext() {
        guard let file, !isWriting else { return setPaused(waiting.count >= Self.maximumWaiting) }
        guard waiting.count > 0 || bodyHasEnded else { return }
        let portion = waiting
        swap(&waiting, &spare)
        databaseBytes += portion.count
        isWriting = true
        let isLast = bodyHasEnded
        shared.pool.runIfActive(eventLoop: shared.eventLoop) { try file.write(portion, isLast: isLast) }
            .assumeIsolated().whenComplete { [self] result in
                isWriting = false
                written(result)
            }
    }

    private func written(_ result: Result<String?, any Error>) {
        guard case .database(let message) = state else { return }
        switch result {
        case .failure(let error): refuse(500, "failed to save KV snapshot (\(error))")
        case .success(let path?): complete(message, path)
        case .success(nil):
            setPaused(false)
            writeNext()
        }
    }

    private func setPaused(_ pauses: Bool) {
        guard pauses != isPaused else { return }
        isPaused = pauses
        exchange.setReading(!pauses)
    }

    private func complete(_ message: Message, _ path: String) {
        let took = shared.now - began
        shared.metrics.peerBytesReceived.labelled(from).increment(by: UInt64(databaseBytes))
        metric(shared.metrics.snapshotReceives).increment()
        shared.metrics.snapshotReceiveDuration.labelled(from).observe(took.seconds)
        shared.log.info(
            "received and saved database snapshot",
            [
                "local-member-id": .id(shared.settings.localID), "remote-snapshot-sender-id": .string(from),
                "incoming-snapshot-index": .int(message.snapshot?.index ?? 0),
                "incoming-snapshot-size-bytes": .int(databaseBytes), "download-took": .duration(.nanoseconds(took.nanoseconds)),
            ])
        end()
        shared.sink.snapshotReceived(message, database: path)
        exchange.respond(status: 204)
    }

    // MARK: Failing

    private func refuse(_ status: Int, _ text: String) {
        shared.log.warn(
            "failed to receive database snapshot",
            [
                "local-member-id": .id(shared.settings.localID), "remote-snapshot-sender-id": .string(from),
                "error": .string(text),
            ])
        respond(status, text + "\n", "text/plain; charset=utf-8")
    }

    private func respond(_ status: Int, _ text: String, _ type: String) {
        metric(shared.metrics.snapshotReceiveFailures).increment()
        end()
        exchange.respond(status: status, fields: [HTTPField("content-type", type)], text: text)
    }

    private func broken(_ reason: String) {
        guard !isDone else { return }
        metric(shared.metrics.snapshotReceiveFailures).increment()
        shared.log.warn(
            "failed to receive database snapshot",
            [
                "local-member-id": .id(shared.settings.localID), "remote-snapshot-sender-id": .string(from),
                "error": .string(reason),
            ])
        end()
    }

    private func metric(_ family: CounterFamily) -> Counter { family.labelled(from) }
    private func metric(_ family: GaugeFamily) -> Gauge { family.labelled(from) }
}

/// Bytes on their way from the loop to the pool.
private final class Portion: @unchecked Sendable {
    // Unchecked: the loop fills it before it hands it to a job of the pool, which empties it, and touches it again after that job.
    private var bytes: [UInt8] = []
    var count: Int { bytes.count }

    func append(_ piece: ByteBuffer) { piece.withUnsafeReadableBytes { bytes.append(contentsOf: $0) } }

    /// Hands the bytes on, and keeps their memory.
    func take(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        try bytes.withUnsafeBytes(body)
        bytes.removeAll(keepingCapacity: true)
    }
}

/// The file that a database is written to. Dropped before it is complete, it goes away.
private final class DatabaseFile: @unchecked Sendable {
    // Unchecked: one job of the pool uses it at a time, each submitted after the one before has completed, and it is dropped after.
    private let directory: SnapshotDirectory
    private let index: LogIndex
    private let number: UInt64
    private var file: ReceivedDatabase?

    init(_ directory: SnapshotDirectory, index: LogIndex, number: UInt64) {
        self.directory = directory
        self.index = index
        self.number = number
    }

    /// - Returns: the path of the complete file, once the last piece is written and durable.
    func write(_ portion: Portion, isLast: Bool) throws -> String? {
        if file == nil { file = try directory.receiveDatabase(at: index, number: number) }
        try portion.take { bytes in try file?.append(bytes) }
        guard isLast else { return nil }
        return try file.take()?.finish()
    }
}
