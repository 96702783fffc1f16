import Bytes
import HTTP2
import Host
import NIOCore
import NIOPosix
import Raft
import Records
import Telemetry

/// Sends one snapshot message with its database behind it, on a connection of its own. The database is read on a pool, one piece
/// ahead of what the peer takes.
final class SnapshotSender: HTTPResponseReceiver {
    /// A peer that takes nothing for so long is given up.
    private static let stallTimeout = Duration.seconds(30)
    /// From the last byte to the answer: the peer makes the file durable first.
    private static let answerTimeout = Duration.seconds(300)

    private let message: Message
    private let database: any SnapshotDatabase
    private let url: PeerURL
    private let shared: TransportShared
    private let metrics: PeerMetrics
    private var done: ((SnapshotSender, PeerFailure?) -> Void)?
    private var connection: HTTPClientConnection?
    private var timer: DelayedCall?
    /// Bytes of the database that are still to be read.
    private var unread: Int
    /// Read and not written yet.
    private var next: ByteBuffer?
    private let began: Instant
    private var sent = 0
    private var status = 0
    private var text = ""

    /// - Parameter done: called once, with nil when the peer has taken the snapshot; never after ``cancel()``.
    init(
        _ message: Message, _ database: any SnapshotDatabase, _ url: PeerURL, _ shared: TransportShared, _ metrics: PeerMetrics,
        done: @escaping (SnapshotSender, PeerFailure?) -> Void
    ) {
        self.message = message
        self.database = database
        self.url = url
        self.shared = shared
        self.metrics = metrics
        self.done = done
        unread = database.size
        began = shared.now
    }

    func begin() {
        metrics.snapshotSendsInFlight.add(1)
        log(.info, "sending database snapshot")
        shared.client.connector.value.connection(to: url, fresh: true) { [self] result in
            switch result {
            case .failure(let error): finish(.connection("\(error)"))
            case .success(let connection):
                guard done != nil else { return connection.close() }
                self.connection = connection
                sendMessage(connection)
            }
        }
    }

    /// The peer is no longer one.
    func cancel() {
        let shared = shared
        let peer = message.to
        guard done != nil else { return }
        done = { _, _ in shared.sink.snapshotSent(to: peer, succeeded: false) }
        finish(.connection("stopped"))
    }

    private func sendMessage(_ connection: HTTPClientConnection) {
        var writer = ByteWriter()
        var encoder = StreamEncoder(.message)
        encoder.encode(message, to: &writer)
        let fields = shared.settings.requestFields + [HTTPField("Content-Type", "application/octet-stream")]
        sent = writer.count
        connection.send(
            "POST", target: "/raft/snapshot", fields: fields, body: writer.array(), bodyLength: writer.count + database.size,
            to: self)
        arm(unread > 0 ? Self.stallTimeout : Self.answerTimeout)
        readNext()
    }

    // MARK: The database

    /// Reads a piece while the one before is on its way.
    private func readNext() {
        guard done != nil, unread > 0 else { return }
        let database = database
        shared.pool.runIfActive(eventLoop: shared.eventLoop) { try database.next() }
            .assumeIsolated().whenComplete { [self] result in
                switch result {
                case .success(let piece): isRead(piece)
                case .failure(let error): finish(.connection("reading the database: \(error)"))
                }
            }
    }

    private func isRead(_ piece: ByteBuffer?) {
        guard done != nil else { return }
        guard let piece, piece.readableBytes <= unread else {
            return finish(.connection("the database is not as long as was said"))
        }
        unread -= piece.readableBytes
        next = piece
        writeNext()
    }

    /// Goes on when the peer has taken what was written, and the rate allows.
    private func writeNext() {
        guard let connection, let piece = next, connection.isWritable else { return }
        if let rate = shared.settings.snapshotBytesPerSecond {
            let due = began + Instant.Span(nanoseconds: Int64(Double(sent) / Double(max(rate, 1)) * 1e9))
            let wait = (due - shared.now).nanoseconds
            guard wait <= 0 else { return arm(.nanoseconds(wait)) { $0.writeNext() } }
        }
        next = nil
        sent += piece.readableBytes
        arm(unread > 0 ? Self.stallTimeout : Self.answerTimeout)
        connection.write(piece)
        if unread > 0 { readNext() } else { connection.endRequest() }
    }

    func requestWritable() { writeNext() }

    // MARK: The end

    private func arm(_ delay: Duration, _ body: @escaping (SnapshotSender) -> Void = { $0.finish(.connection("i/o timeout")) }) {
        timer?.cancel()
        timer = DelayedCall(shared.eventLoop, delay) { [weak self] in
            if let self { body(self) }
        }
    }

    func responseBegan(status: Int, fields: [HTTPField]) { self.status = status }
    func responseBody(_ bytes: ByteBuffer) { if text.utf8.count < 4_096 { text += String(buffer: bytes) } }
    func responseEnded() {
        finish(PeerFailure(answer: .success(PeerResponse(status: status, fields: [], body: Array(text.utf8)))))
    }
    func responseFailed(_ reason: String, anything: Bool) { finish(.connection(reason)) }

    private func finish(_ failure: PeerFailure?) {
        guard let tell = done else { return }
        done = nil
        timer?.cancel()
        connection?.close()
        connection = nil
        metrics.snapshotSendsInFlight.add(-1)
        if let failure {
            metrics.snapshotSendFailures.increment()
            metrics.sendFailures.increment()
            log(.warn, "failed to send database snapshot", failure.description)
        } else {
            metrics.snapshotSends.increment()
            metrics.snapshotSendDuration.observe((shared.now - began).seconds)
            metrics.sentBytes.increment(by: UInt64(sent))
            log(.info, "sent database snapshot")
        }
        tell(self, failure)
    }

    private func log(_ level: LogLevel, _ text: String, _ reason: String = "") {
        let index = LogValue.int(message.snapshot?.index ?? 0)
        let size = LogValue.int(database.size)
        if level == .info {
            shared.log.info(text, ["snapshot-index": index, "remote-peer-id": .id(message.to), "bytes": size])
        } else {
            shared.log.warn(
                text, ["snapshot-index": index, "remote-peer-id": .id(message.to), "bytes": size, "error": .string(reason)])
        }
    }
}
