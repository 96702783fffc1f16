import Bytes
import HTTP2
import NIOCore
import Raft
import Records

/// A stream that was asked for: first the answer's head, which may be a refusal, then messages without end.
final class IncomingStream: HTTPResponseReceiver {
    private static let maximumRefusalBytes = 4 << 10

    let kind: StreamKind
    let attempt: UInt64
    private weak var peer: PeerShell?
    private let settings: PeerSettings
    private var decoder: StreamDecoder
    private let target: String
    private let peerID: MemberID
    private var connection: HTTPClientConnection?
    private var isOver = false
    /// The status of a refusal, whose text is still arriving.
    private var refusal: Int?
    private var isReading = false
    private var pending = ByteBuffer()
    private var arrived = 0

    init(_ kind: StreamKind, _ attempt: UInt64, peer: PeerShell, _ settings: PeerSettings) {
        self.kind = kind
        self.attempt = attempt
        self.peer = peer
        peerID = peer.id
        self.settings = settings
        decoder = StreamDecoder(kind, local: settings.localID, remote: peer.id)
        target = "/raft/stream/\(kind.pathComponent)/\(MemberIdentity.text(settings.localID))"
    }

    func connected(_ connection: HTTPClientConnection) {
        guard !isOver else { return connection.close() }
        self.connection = connection
        let fields = settings.requestFields + [HTTPField("X-Raft-To", MemberIdentity.text(peerID))]
        connection.send("GET", target: target, fields: fields, to: self)
    }

    /// Nothing is told after this.
    func hangUp() {
        isOver = true
        connection?.close()
        connection = nil
    }

    func failed(_ failure: PeerFailure) {
        guard !isOver else { return }
        let wasReading = isReading
        hangUp()
        if wasReading { peer?.streamEnded(self, failure) } else { peer?.dialFailed(self, failure) }
    }

    // MARK: The answer

    func responseBegan(status: Int, fields: [HTTPField]) {
        let version = fields.first { $0.name == "x-server-version" }?.value
        if status == 410 { return failed(.removed) }
        guard status == 200 else {
            refusal = status
            return
        }
        if let reason = settings.refusal(ofPeerAt: version) { return failed(.refused(reason)) }
        isReading = true
        peer?.dialed(self)
    }

    func responseBody(_ bytes: ByteBuffer) {
        guard !isOver else { return }
        var bytes = bytes
        arrived += bytes.readableBytes
        if refusal != nil, pending.readableBytes + bytes.readableBytes > Self.maximumRefusalBytes { return }
        if pending.readableBytes == 0 { pending = bytes } else { pending.writeBuffer(&bytes) }
    }

    func responseReadCompleted() {
        guard !isOver, isReading, arrived > 0 else { return }
        var messages: [Message] = []
        do {
            let used = try pending.withUnsafeReadableBytes { (bytes) throws(StreamError) in
                try decoder.decode(bytes, into: &messages)
            }
            pending.moveReaderIndex(forwardBy: used)
        } catch {
            return failed(.connection("\(error)"))
        }
        // What has been used goes with its buffer; what is left of a read is small beside what is still to come.
        if pending.readableBytes == 0 { pending = ByteBuffer() } else { pending.discardReadBytes() }
        let count = arrived
        arrived = 0
        peer?.received(self, bytes: count, messages)
    }

    func responseEnded() {
        guard !isOver else { return }
        guard let refusal else {
            hangUp()
            peer?.streamEnded(self, nil)
            return
        }
        failed(PeerFailure(refusal: refusal, text: String(buffer: pending)))
    }

    func responseFailed(_ reason: String, anything: Bool) { failed(.connection(reason)) }
}

extension PeerFailure {
    /// A refusal in the words of whoever looks for the reason.
    init(refusal status: Int, text: String) {
        let line = String(text.prefix { $0 != "\n" }.prefix(200))
        self =
            switch status {
            case 404: .refused("the peer does not know this member (\(line))")
            case 412: .refused("request sent was ignored by remote peer: \(line)")
            default: .refused("unexpected http status \(status): \(line)")
            }
    }

    /// What came of a message sent with a request; nil when it was taken.
    init?(answer: Result<PeerResponse, PeerRequestError>) {
        switch answer {
        case .failure(let error): self = .connection("\(error)")
        case .success(let response):
            let text = String(decoding: response.body, as: UTF8.self)
            if response.status == 204 { return nil }
            // The same status also says that the message was for another member, which is no reason to stop.
            let isRemoved = response.status == 410 || (response.status == 403 && text.contains("removed member"))
            self = isRemoved ? .removed : PeerFailure(refusal: response.status, text: text)
        }
    }
}
