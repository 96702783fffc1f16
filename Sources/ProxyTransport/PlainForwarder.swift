import Balancing
import Forwarding
import HTTP2
import Host
import NIOCore

/// Answers the proxy's own pages.
public protocol ProxyPages: AnyObject {
    /// True if the path is the proxy's own; then the exchange is answered, now or later.
    func page(_ exchange: HTTPExchange) -> Bool
}

/// Something over HTTP/1.1 that goes on for as long as both sides like.
protocol OpenEnded: AnyObject {
    var endpoint: EndpointID? { get }
    /// Its endpoint is not to be used any more.
    func endpointLeft()
    /// The proxy shuts down: its client is to go elsewhere.
    func end()
}

/// Forwards the requests of one event loop that are not gRPC: over HTTP/1.1, whatever they came over.
final class PlainForwarder: HTTPRouter, EndpointObserver {
    let balancer: LoopBalancer
    let upstreams: PlainUpstreams
    let settings: ForwardingSettings
    let eventLoop: any EventLoop
    private let pages: any ProxyPages
    private var openEnded: [ObjectIdentifier: any OpenEnded] = [:]

    init(balancer: LoopBalancer, upstreams: PlainUpstreams, settings: ForwardingSettings, pages: any ProxyPages) {
        self.balancer = balancer
        self.upstreams = upstreams
        self.settings = settings
        self.pages = pages
        eventLoop = balancer.eventLoop
    }

    func respond(to exchange: HTTPExchange) {
        if pages.page(exchange) { return }
        let request = exchange.request
        let kind = PlainRequestKind(method: request.method, path: request.path, query: request.query)
        guard !(kind.isWrite && balancer.isReadOnly) else { return refuseWrite(exchange, kind) }
        if request.version == .http11, let upgrade = request.first("upgrade"), !upgrade.isEmpty { return openTunnel(exchange) }
        let call = PlainCall(self, exchange, kind)
        if call.isOpenEnded { openEnded[ObjectIdentifier(call)] = call }
        call.attempt()
    }

    // MARK: What is open for long

    /// Tunnels, long polls and streams of one event loop. Tunnels past it are refused with 503; each of the others has a connection to a
    /// member, of which there are no more than ``ForwardingSettings/upstreamHTTP1Connections``.
    private static let maximumOpenEnded = 1_024

    private func openTunnel(_ exchange: HTTPExchange) {
        guard openEnded.count < Self.maximumOpenEnded else {
            return exchange.respond(status: 503, text: "quorate proxy: too many connections are open\n")
        }
        let tunnel = Tunnel(self, exchange)
        openEnded[ObjectIdentifier(tunnel)] = tunnel
        tunnel.attempt()
    }

    func ended(_ user: any OpenEnded) { openEnded[ObjectIdentifier(user)] = nil }

    func endpointLeft(_ id: EndpointID, _ reason: LeaveReason) {
        for user in Array(openEnded.values) where user.endpoint == id { user.endpointLeft() }
    }

    func endpointRemoved(_ id: EndpointID) {}

    /// Ends what has no end of its own, so that its clients go elsewhere.
    func drain() { for user in Array(openEnded.values) { user.end() } }

    func note(of exchange: HTTPExchange) -> RequestNote? {
        guard let tell = settings.requestEnded else { return nil }
        let request = exchange.request
        let name = "\(request.method) \(request.path)"
        let note = RequestNote(exchange.connection, eventLoop, name: name, isGRPC: false, tell)
        note.requestBytes(request.body.count)
        return note
    }

    private func refuseWrite(_ exchange: HTTPExchange, _ kind: PlainRequestKind) {
        let note = note(of: exchange)
        note?.answered(kind.isV2 ? 501 : 403)
        note?.finish()
        if kind.isV2 { return exchange.respond(status: 501) }
        let body =
            #"{"error":"quorate proxy: this proxy is read-only","code":7,"message":"quorate proxy: this proxy is read-only"}"#
        exchange.respond(status: 403, fields: [HTTPField("content-type", "application/json")], text: body + "\n")
    }
}

/// One request on its way to a member, held by the connection that carries it and by the exchange.
final class PlainCall: HTTP1ResponseReceiver, OpenEnded {
    private let forwarder: PlainForwarder
    private let exchange: HTTPExchange
    private let kind: PlainRequestKind
    private var rule = RetryRule()
    private var tried: [EndpointID] = []
    private var connection: HTTP1ClientConnection?
    private(set) var endpoint: EndpointID?
    private var address: EndpointAddress?
    private var began: UInt64 = 0
    private var firstByteAt: UInt64 = 0
    private var pause: DelayedCall?
    private let note: RequestNote?
    // The reply, as far as it is held back.
    private var status = 0
    private var fields: [HTTPField] = []
    private var body: [UInt8] = []

    /// Fields that speak of one connection only (RFC 9110, section 7.6.1), and those that this side sets itself.
    private static let hopByHop: Set<String> = [
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade", "expect", "host", "content-length",
    ]

    init(_ forwarder: PlainForwarder, _ exchange: HTTPExchange, _ kind: PlainRequestKind) {
        self.forwarder = forwarder
        self.exchange = exchange
        self.kind = kind
        note = forwarder.note(of: exchange)
        exchange.onCancel = { [self] in cancelled() }
        exchange.onWritable = { [self] in connection?.setReading(true) }
    }

    /// Of what speaks of one member, the snapshot, its client wants the rest.
    var isOpenEnded: Bool { kind.streams && !kind.isMemberSpecific }

    private var now: UInt64 { forwarder.eventLoop.now.uptimeNanoseconds }

    // MARK: Attempts

    func attempt() {
        pause = nil
        guard exchange.isOpen else { return }
        guard let id = forwarder.balancer.pick(kind.balancing, excluding: tried) else {
            if tried.isEmpty { return respondUnavailable("no endpoint is available") }
            return decide(.neverProcessed, endpointsLeft: false)
        }
        guard let (connection, address) = forwarder.upstreams.take(id) else {
            tried.append(id)
            return decide(.neverProcessed)
        }
        self.connection = connection
        self.address = address
        endpoint = id
        note?.sent(to: address)
        began = now
        firstByteAt = 0
        (status, fields) = (0, [])
        body.removeAll(keepingCapacity: true)
        forwarder.balancer.began(id)
        let request = exchange.request
        let target = request.query.isEmpty ? request.path : "\(request.path)?\(request.query)"
        forwarder.balancer.countBytes(id, sent: request.body.count, received: 0)
        connection.send(method: request.method, target: target, fields: requestFields(address), body: request.body, self)
    }

    private func requestFields(_ address: EndpointAddress) -> [HTTPField] {
        let request = exchange.request
        // What "connection" names is for this connection only too.
        let named = Set((request.first("connection") ?? "").lowercased().split(separator: ",").map { $0.drop { $0 == " " } })
        var fields = [HTTPField("host", address.isUnixSocket ? "localhost" : address.authority)]
        var forwardedFor: [String] = []
        for field in request.fields where !Self.hopByHop.contains(field.name) && !named.contains(field.name[...]) {
            if field.name == "x-forwarded-for" { forwardedFor.append(field.value) } else { fields.append(field) }
        }
        let peer = exchange.connection.peerDescription
        if let colon = peer.lastIndex(of: ":"), !peer.hasPrefix("unix") { forwardedFor.append(String(peer[..<colon])) }
        if !forwardedFor.isEmpty { fields.append(HTTPField("x-forwarded-for", forwardedFor.joined(separator: ", "))) }
        if !request.body.isEmpty || request.method == "POST" || request.method == "PUT" {
            fields.append(HTTPField("content-length", "\(request.body.count)"))
        }
        return fields
    }

    private func endAttempt(_ outcome: Outcome) {
        guard let id = endpoint else { return }
        let latency: Duration? = firstByteAt > began ? .nanoseconds(Int64(clamping: firstByteAt - began)) : nil
        forwarder.balancer.finished(id, outcome, latency: latency)
        endpoint = nil
        connection = nil
    }

    private func decide(_ failure: AttemptFailure, endpointsLeft: Bool = true) {
        let decision = rule.attemptFailed(
            failure, repeats: kind.repeats, endpointsLeft: endpointsLeft, budget: forwarder.balancer.mayRetry,
            now: Instant(nanoseconds: now), deadline: nil)
        switch decision {
        case .again(let after, let anywhere):
            if anywhere { tried.removeAll() }
            guard after.nanoseconds > 0 else { return attempt() }
            pause = DelayedCall(forwarder.eventLoop, .nanoseconds(after.nanoseconds)) { [self] in attempt() }
        case .passOn: respondHeld()
        case .unavailable: respondUnavailable("no member could be reached")
        case .inDoubt:
            respondUnavailable(
                kind.isWrite
                    ? "the member was lost while it worked on the request, which may or may not have taken effect"
                    : "the member was lost")
        case .breakOff: breakOff()
        }
    }

    private func breakOff() {
        note?.brokenOff()
        exchange.abort()
        release()
    }

    private func respondUnavailable(_ text: String) {
        let message = "quorate proxy: \(text)"
        let body = #"{"error":"\#(message)","code":14,"message":"\#(message)"}"#
        exchange.respond(status: 503, fields: [HTTPField("content-type", "application/json")], text: body + "\n")
        note?.answered(503)
        release()
    }

    // MARK: From the member

    func responseBegan(status: Int, fields: [HTTPField]) {
        firstByteAt = now
        self.status = status
        self.fields = fields.filter {
            !Self.hopByHop.contains($0.name) || ($0.name == "content-length" && exchange.request.method == "HEAD")
        }
        if kind.isMemberSpecific, let address { self.fields.append(HTTPField("quorate-endpoint", address.description)) }
        if kind.streams { passOn() }
    }

    private func passOn() {
        rule.passedOn = true
        exchange.begin(status: status, fields: fields)
        // A long poll's head comes long before its body, and clients may wait for it with a limit.
        if body.isEmpty { exchange.flush() } else { exchange.write(body) }
        body = []
    }

    func responseBody(_ bytes: UnsafeRawBufferPointer) {
        note?.responseBytes(bytes.count)
        if let endpoint { forwarder.balancer.countBytes(endpoint, sent: 0, received: bytes.count) }
        guard rule.passedOn else {
            body.append(contentsOf: bytes)
            if body.count > forwarder.settings.replayBytes { passOn() }
            return
        }
        exchange.write(bytes)
        if !exchange.isWritable { connection?.setReading(false) }
    }

    func responseEnded() {
        let isUnavailable = status == 502 || status == 503
        let repeats = isUnavailable && kind.repeats == .always && !rule.passedOn
        if let endpoint { tried.append(endpoint) }
        endAttempt(isUnavailable ? .unavailable : .succeeded)
        if repeats {
            decide(.answeredUnavailable)
        } else if rule.passedOn {
            exchange.end()
            note?.answered(status)
            release()
        } else {
            respondHeld()
        }
    }

    private func respondHeld() {
        exchange.respond(status: status, fields: fields, body: body)
        note?.answered(status)
        release()
    }

    func responseFailed(_ end: ClientStreamEnd, _ connection: ClientConnectionEnd) {
        if let endpoint { tried.append(endpoint) }
        switch (end, connection.kind) {
        case (.neverProcessed, .connectTimedOut): endAttempt(.connectTimedOut)
        case (.neverProcessed, _): endAttempt(.connectFailed)
        case (_, .notNeeded): endAttempt(.abandoned)
        default: endAttempt(.connectionLost)
        }
        decide(end == .neverProcessed ? .neverProcessed : .lost)
    }

    // MARK: The end

    private func cancelled() {
        abandonAttempt()
        release()
    }

    private func abandonAttempt() {
        pause?.cancel()
        let carrying = connection
        endAttempt(.abandoned)
        carrying?.abandon()
    }

    /// Its failure says whether anything was sent.
    func endpointLeft() { connection?.close() }

    func end() {
        abandonAttempt()
        if rule.passedOn { breakOff() } else { respondUnavailable("shutting down") }
    }

    /// The exchange holds this call by its closures, and the other way round.
    private func release() {
        note?.finish()
        forwarder.ended(self)
        exchange.onCancel = nil
        exchange.onWritable = nil
    }
}
