import HTTP2
import NIOCore
import Raft
import Records
import Telemetry

/// Answers peers on the transport's loop: streams, single messages, snapshots and probes. What is not raft's is answered by others.
public final class PeerRouter: HTTPRouter {
    /// The longest message that comes in one request: set the server's limit for bodies to it.
    public static let maximumMessageBytes = 64 << 20
    /// Databases that may arrive at the same time.
    private static let maximumSnapshots = 4
    static let removedMemberText = "{\"message\":\"cannot process message from removed member\"}"

    private let transport: PeerTransport
    private let others: any HTTPRouter
    private var loop: TransportLoop { transport.loop.value }
    private var settings: PeerSettings { transport.shared.settings }

    /// Made and used on the transport's event loop.
    public init(_ transport: PeerTransport, others: any HTTPRouter) {
        self.transport = transport
        self.others = others
    }

    public func takesBodyInPieces(_ request: HTTPRequest) -> Bool {
        request.path == "/raft/snapshot" || others.takesBodyInPieces(request)
    }

    public func respond(to exchange: HTTPExchange) {
        let path = exchange.request.path
        guard path == "/raft" || path.hasPrefix("/raft/") else { return others.respond(to: exchange) }
        guard !loop.isStopped else { return exchange.abort() }
        switch path {
        case "/raft/probing": probe(exchange)
        case "/raft": checked(exchange, "POST") { message(exchange) }
        case "/raft/snapshot": checked(exchange, "POST") { snapshot(exchange) }
        case _ where path.hasPrefix("/raft/stream/"): checked(exchange, "GET") { stream(exchange) }
        default: refuse(exchange, 404, "404 page not found")
        }
    }

    /// What a prober looks for, and the clock.
    private func probe(_ exchange: HTTPExchange) {
        exchange.respond(status: 200, text: "{\"OK\":true,\"Now\":\"\(WallTime.now().text)\"}\n")
    }

    // MARK: Refusals

    /// Method, versions and cluster, as etcd looks at them first.
    private func checked(_ exchange: HTTPExchange, _ method: String, _ body: () -> Void) {
        let request = exchange.request
        guard request.method == method else {
            return refuse(exchange, 405, "Method Not Allowed", [HTTPField("allow", method)])
        }
        if let refusal = settings.refusal(of: request) {
            transport.shared.log.warn(
                refusal == .clusterMismatch ? "request cluster ID mismatch" : "failed version compatibility check",
                [
                    "local-member-id": .id(settings.localID), "local-member-cluster-id": .id(settings.clusterID),
                    "remote-peer-server-name": .string(request.first("x-server-from") ?? ""),
                    "remote-peer-server-version": .string(request.first("x-server-version") ?? ""),
                    "remote-peer-cluster-id": .string(request.first("x-etcd-cluster-id") ?? ""),
                ])
            return refuse(exchange, 412, refusal.rawValue)
        }
        body()
    }

    private func refuse(_ exchange: HTTPExchange, _ status: Int, _ text: String, _ more: [HTTPField] = []) {
        let plain = [
            HTTPField("content-type", "text/plain; charset=utf-8"), HTTPField("x-content-type-options", "nosniff"),
        ]
        exchange.respond(status: status, fields: identity + plain + more, text: text + "\n")
    }

    private var identity: [HTTPField] {
        [
            HTTPField("x-etcd-cluster-id", MemberIdentity.text(settings.clusterID)),
            HTTPField("x-server-version", settings.serverVersion.description),
        ]
    }

    /// Remembers a sender that the log has not told of yet.
    private func noteSender(_ request: HTTPRequest) {
        guard let from = request.first("x-server-from").flatMap({ MemberIdentity.parse($0) }),
            let urls = request.first("x-peerurls")
        else { return }
        loop.addRemote(PeerMember(id: from, urls: urls.split(separator: ",").map(String.init)))
    }

    // MARK: Streams

    private func stream(_ exchange: HTTPExchange) {
        let request = exchange.request
        let parts = request.path.split(separator: "/", omittingEmptySubsequences: true)
        guard parts.count == 4, let kind = StreamKind.allCases.first(where: { $0.pathComponent == parts[2] }) else {
            return refuse(exchange, 404, "invalid path")
        }
        guard let from = MemberIdentity.parse(parts[3]) else { return refuse(exchange, 404, "invalid from") }
        if loop.isRemoved(from) {
            log("rejected stream from remote peer because it was removed", from)
            return refuse(exchange, 410, "removed member")
        }
        guard let peer = loop.member(from) else {
            if let urls = request.first("x-peerurls") {
                loop.addRemote(PeerMember(id: from, urls: urls.split(separator: ",").map(String.init)))
            }
            log("failed to find remote peer in cluster", from)
            return refuse(exchange, 404, "error sender not found")
        }
        guard request.first("x-raft-to") == MemberIdentity.text(settings.localID) else {
            log("ignored streaming request; ID mismatch", from)
            return refuse(exchange, 412, "to field mismatch")
        }
        exchange.begin(status: 200, fields: identity)
        // The peer waits for it.
        exchange.flush()
        peer.attach(kind, exchange)
    }

    private func log(_ text: String, _ from: MemberID) {
        transport.shared.log.warn(
            text,
            [
                "local-member-id": .id(settings.localID), "remote-peer-id-from": .id(from), "cluster-id": .id(settings.clusterID),
            ])
    }

    // MARK: Requests

    private func message(_ exchange: HTTPExchange) {
        noteSender(exchange.request)
        let message: Message
        do {
            message = try Message(decoding: exchange.request.body)
        } catch {
            return refuse(exchange, 400, "error unmarshalling raft message")
        }
        let from = MemberIdentity.text(message.from)
        transport.shared.metrics.peerBytesReceived.labelled(from).increment(by: UInt64(exchange.request.body.count))
        if loop.isRemoved(message.from) {
            return exchange.respond(
                status: 403, fields: identity + [HTTPField("content-type", "application/json")], text: Self.removedMemberText)
        }
        // etcd answers 403, which a Go member takes for its own removal and stops.
        guard message.to == settings.localID else { return refuse(exchange, 412, "to field mismatch") }
        guard transport.shared.sink.received([message]) == 1 else {
            transport.shared.metrics.peerReceiveFailures.labelled(from).increment()
            return refuse(exchange, 503, "error processing raft message")
        }
        exchange.respond(status: 204, fields: identity)
    }

    private func snapshot(_ exchange: HTTPExchange) {
        // Over HTTP/2 the body would have come whole, with the limit that whole bodies have.
        guard exchange.request.version != .http2 else { return refuse(exchange, 505, "snapshots are taken over HTTP/1.1") }
        guard loop.snapshotsArriving < Self.maximumSnapshots else {
            return refuse(exchange, 503, "too many snapshots are arriving")
        }
        noteSender(exchange.request)
        loop.keep(SnapshotReceiver(exchange, loop))
    }
}
