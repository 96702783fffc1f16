import Balancing
import HTTP2
import NIOCore

/// What a call hears of the endpoint it is at.
protocol EndpointUser: AnyObject {
    func endpointLeft(_ reason: LeaveReason)
    /// The member said GOAWAY on the call's connection.
    func memberIsLeaving()
}

/// The HTTP/2 connections of one event loop to members: few of them, many streams over each. Confined to that loop.
final class Upstreams: HTTP2ClientConnectionDelegate, EndpointObserver {
    /// What there is to one endpoint.
    final class Entry {
        let address: EndpointAddress
        let authority: String
        let scheme: String
        fileprivate(set) var connections: [HTTP2ClientConnection] = []
        /// Unary calls that wait for an answer.
        var waitingCalls = 0
        /// Bytes of the connections there are that have been counted.
        fileprivate var counted = (sent: 0, received: 0)
        fileprivate var isQuiet = false

        init(_ address: EndpointAddress) {
            self.address = address
            authority = address.isUnixSocket ? "localhost" : address.authority
            scheme = address.isSecure ? "https" : "http"
        }
    }

    /// How often connections are looked at for answers that are late.
    private static let lookInterval: Duration = .milliseconds(250)

    private let balancer: LoopBalancer
    private let output: LoopOutput
    private let settings: ForwardingSettings
    private let security: UpstreamSecurity?
    private let pool = HTTP2ClientStreamPool()
    private var entries: [EndpointID: Entry] = [:]
    private var look: DelayedCall?
    private var isClosed = false

    init(balancer: LoopBalancer, output: LoopOutput, settings: ForwardingSettings, security: UpstreamSecurity?) {
        self.balancer = balancer
        self.output = output
        self.settings = settings
        self.security = security
    }

    func entry(of id: EndpointID) -> Entry? {
        if let entry = entries[id] { return entry }
        guard !isClosed, let address = balancer.address(of: id) else { return nil }
        let made = Entry(address)
        entries[id] = made
        scheduleLook()
        return made
    }

    /// A connection that takes a request: one with room, a new one while there may be more, or else the least used one.
    func connection(_ id: EndpointID, _ entry: Entry) -> HTTP2ClientConnection? {
        // The usual case: there is one, and it is to be the only one.
        if settings.upstreamConnections == 1, entry.connections.count == 1, entry.connections[0].canOpen {
            return entry.connections[0]
        }
        var best: HTTP2ClientConnection?
        for connection in entry.connections where connection.canOpen {
            if connection.openStreams < best?.openStreams ?? .max { best = connection }
        }
        if let best, best.session.hasRoom, best.openStreams == 0 || entry.connections.count >= settings.upstreamConnections {
            return best
        }
        if entry.connections.count < settings.upstreamConnections { return connect(id, entry) }
        return best
    }

    private func connect(_ id: EndpointID, _ entry: Entry) -> HTTP2ClientConnection {
        let connection = HTTP2ClientConnection(
            to: entry.address.connectAddress, output: output, pool: pool, configuration: settings.http2, delegate: self)
        connection.tag = Int(id.rawValue)
        entry.connections.append(connection)
        connection.connect(entry.address.isSecure ? security?.http2(entry.address) : nil)
        return connection
    }

    // MARK: From the connections

    func connectionIsReady(_ connection: HTTP2ClientConnection) {}
    func connectionClosed(_ connection: HTTP2ClientConnection, _ end: ClientConnectionEnd) { forget(connection) }

    /// A member that stops waits for its streams: those that can go on elsewhere keep it waiting in vain.
    func connectionIsDraining(_ connection: HTTP2ClientConnection) {
        // Of a connection that is drained from here everybody has been told already.
        guard forget(connection) else { return }
        for user in connection.session.receivers { (user as? any EndpointUser)?.memberIsLeaving() }
    }

    /// It takes no more requests. False if it had been forgotten.
    @discardableResult
    private func forget(_ connection: HTTP2ClientConnection) -> Bool {
        let id = EndpointID(rawValue: UInt32(connection.tag))
        guard let entry = entries[id], entry.connections.contains(where: { $0 === connection }) else { return false }
        _ = countBytes(id, entry)
        entry.connections.removeAll { $0 === connection }
        entry.counted.sent -= connection.session.bytesSent
        entry.counted.received -= connection.session.bytesReceived
        return true
    }

    // MARK: From the balancer

    func endpointLeft(_ id: EndpointID, _ reason: LeaveReason) {
        guard let entry = entries[id] else { return }
        let connections = entry.connections
        _ = countBytes(id, entry)
        entry.connections = []
        entry.counted = (0, 0)
        for connection in connections {
            let users = connection.session.receivers
            for user in users { (user as? any EndpointUser)?.endpointLeft(reason) }
            connection.drain()
        }
    }

    func endpointRemoved(_ id: EndpointID) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        for connection in entry.connections { connection.drain() }
    }

    func close() {
        isClosed = true
        look?.cancel()
        for entry in entries.values { for connection in entry.connections { connection.close() } }
        entries = [:]
    }

    // MARK: Answers that are late

    /// Runs while there are endpoints. Where calls wait and nothing has come for a whole interval, the endpoint is looked at by a probe.
    private func scheduleLook() {
        guard look == nil, !isClosed else { return }
        look = DelayedCall(output.eventLoop, Self.lookInterval) { [weak self] in
            guard let self else { return }
            self.look = nil
            self.lookForLateAnswers()
            if !self.entries.isEmpty { self.scheduleLook() }
        }
    }

    private func lookForLateAnswers() {
        for (id, entry) in entries {
            let isQuiet = !countBytes(id, entry) && entry.waitingCalls > 0
            if isQuiet, entry.isQuiet { balancer.suspect(id) }
            entry.isQuiet = isQuiet
        }
    }

    /// Counts what has passed since the last time. False if nothing has come.
    private func countBytes(_ id: EndpointID, _ entry: Entry) -> Bool {
        let sent = entry.connections.reduce(0) { $0 + $1.session.bytesSent }
        let received = entry.connections.reduce(0) { $0 + $1.session.bytesReceived }
        let (newlySent, newlyReceived) = (sent - entry.counted.sent, received - entry.counted.received)
        entry.counted = (sent, received)
        if newlySent > 0 || newlyReceived > 0 { balancer.countBytes(id, sent: newlySent, received: newlyReceived) }
        return newlyReceived > 0
    }
}
