import Bytes
import EtcdAPI
import Forwarding
import GRPC
import HTTP2

/// A stream that the proxy understands message by message, and that therefore can go on at another member. What the messages mean is
/// in the subclasses' relays.
class RelayedCall: StreamedCall {
    private final var fromClient: MessageSplitter
    private final var fromMember: MessageSplitter
    private final let responseLimit: Int
    /// Messages that cannot be understood have come: bytes pass as they are, and the stream ends with its member.
    private final var isOpaque = false
    /// Messages for the member of one burst of bytes.
    private final var outgoing = ByteWriter(capacity: 64)
    private final var problem: String?

    /// Requests on these streams are small; one that is longer is not understood but passed through.
    private static let requestLimit = 2 << 20

    init(_ forwarder: CallForwarder, responseLimit: Int) {
        self.responseLimit = responseLimit
        fromClient = MessageSplitter(limit: Self.requestLimit)
        fromMember = MessageSplitter(limit: responseLimit)
        super.init(forwarder)
    }

    // MARK: For subclasses

    /// One framed message of the client's. Appends what goes to the member. A text says why the call has to end.
    func clientSaid(_ message: UnsafeRawBufferPointer, toMember: inout ByteWriter) -> String? { nil }
    /// One framed message of the member's. Appends what goes to the client. A text says why the stream cannot go on.
    func memberSaid(_ message: UnsafeRawBufferPointer, toClient: inout ByteWriter) -> String? { nil }
    /// Everything a new member has to be told, and what is to be said to the client about the change.
    func moveOn(toMember: inout ByteWriter, toClient: inout ByteWriter) {}
    var canMove: Bool { true }

    // MARK: Request

    final override func passRequest(_ bytes: UnsafeRawBufferPointer) {
        if isOpaque {
            upstream?.write(bytes)
            return
        }
        var refused: String?
        do throws(MessageSplitter.Problem) {
            try fromClient.take(bytes) { message in
                if refused == nil { refused = clientSaid(message, toMember: &outgoing) }
            }
        } catch {
            isOpaque = true
            fromClient.takeKept { outgoing.append($0) }
        }
        if let refused { return answer(GRPCStatus(.resourceExhausted, refused)) }
        sendOutgoing()
    }

    /// Without a member at the moment nothing is sent: the next one is told everything that still counts.
    private final func sendOutgoing() {
        outgoing.withBytes { upstream?.write($0) }
        outgoing.removeAll(keepingAtMost: 1_024)
    }

    final override func sendMessages(_ upstream: HTTP2ClientStream) {
        fromMember = MessageSplitter(limit: responseLimit)
        var toClient = ByteWriter(capacity: 64)
        moveOn(toMember: &outgoing, toClient: &toClient)
        toClient.withBytes { bytes in if bytes.count > 0 { sayToClient(bytes) } }
        outgoing.withBytes { upstream.write($0) }
        outgoing.removeAll(keepingAtMost: 1_024)
    }

    private final func sayToClient(_ bytes: UnsafeRawBufferPointer) {
        client?.begin(Self.head)
        client?.write { $0.append(bytes) }
    }

    private static let head = HeaderTemplate([(":status", "200"), ("content-type", "application/grpc")])

    // MARK: Reply

    final override func headArrived(_ stream: HTTP2ClientStream) {
        // Passed on at once, as the member did; a later member's is swallowed.
        if let client, !client.hasResponse { passOnHead(stream) }
    }

    final override func responseBody(_ bytes: UnsafeRawBufferPointer, on stream: HTTP2ClientStream) {
        guard stream === upstream, let client else { return }
        if isOpaque {
            super.responseBody(bytes, on: stream)
            return
        }
        note?.responseBytes(bytes.count)
        guard !client.isConnectionFull else {
            return answer(GRPCStatus(.unavailable, "quorate proxy: too much output waits on the connection"))
        }
        var failed: String?
        var opaque = false
        do throws(MessageSplitter.Problem) {
            try fromMember.take(bytes) { message in
                guard failed == nil else { return }
                client.write { failed = memberSaid(message, toClient: &$0) }
            }
        } catch {
            opaque = true
        }
        if let failed { return answer(GRPCStatus(.unavailable, "quorate proxy: \(failed)")) }
        credit(bytes.count, stream)
        rule.succeeded()
        if opaque { becomeOpaque(stream) }
    }

    private final func becomeOpaque(_ stream: HTTP2ClientStream) {
        isOpaque = true
        fromMember.takeKept { super.responseBody($0, on: stream) }
    }

    /// Only to somebody else: a lone member's stream stays for as long as the member lets it.
    final override func memberIsLeaving() {
        guard !isOpaque, canMove, let endpoint, forwarder.balancer.hasAnother(than: endpoint, kind.balancing) else { return }
        leaveEndpoint()
    }

    final override func attemptFailed(_ failure: AttemptFailure) {
        if rule.passedOn { return super.attemptFailed(failure) }
        guard !isOpaque, canMove else {
            return answer(refusal ?? GRPCStatus(.unavailable, "quorate proxy: the member was lost"))
        }
        decide(failure)
    }
}

/// A watch stream: resumed on another member from where its client has been told.
final class WatchCall: RelayedCall {
    private var relay = WatchRelay()

    init(_ forwarder: CallForwarder) { super.init(forwarder, responseLimit: forwarder.settings.watchResponseBytes) }

    override func clientSaid(_ message: UnsafeRawBufferPointer, toMember: inout ByteWriter) -> String? {
        relay.fromClient(message, toMember: &toMember)
        return nil
    }

    override func memberSaid(_ message: UnsafeRawBufferPointer, toClient: inout ByteWriter) -> String? {
        do throws(WatchRelay.Problem) {
            try relay.fromMember(message, toClient: &toClient)
            return nil
        } catch {
            return "\(error)"
        }
    }

    override func moveOn(toMember: inout ByteWriter, toClient: inout ByteWriter) {
        relay.moveOn(toMember: &toMember, toClient: &toClient)
    }

    override var canMove: Bool { relay.canMove }

    override func intervalPassed() {
        guard let upstream else { return }
        var request = ByteWriter(capacity: 16)
        relay.askProgress(toMember: &request)
        request.withBytes { upstream.write($0) }
    }
}

/// A lease's keep-alive stream: what no member has answered is asked again of another.
final class KeepAliveCall: RelayedCall {
    private var relay = KeepAliveRelay()

    init(_ forwarder: CallForwarder) { super.init(forwarder, responseLimit: 1 << 20) }

    override func clientSaid(_ message: UnsafeRawBufferPointer, toMember: inout ByteWriter) -> String? {
        do throws(KeepAliveRelay.Problem) {
            try relay.asked(message)
            toMember.append(message)
            return nil
        } catch {
            return "quorate proxy: too many keep-alive requests wait for their answers"
        }
    }

    override func memberSaid(_ message: UnsafeRawBufferPointer, toClient: inout ByteWriter) -> String? {
        relay.answered()
        toClient.append(message)
        return nil
    }

    override func moveOn(toMember: inout ByteWriter, toClient: inout ByteWriter) { relay.resume(toMember: &toMember) }
}
