import Balancing
import HTTP2
import NIOCore

/// The HTTP/1.1 connections of one event loop to members: a bounded pool for each. Confined to that loop.
final class PlainUpstreams: HTTP1ClientConnectionDelegate, EndpointObserver {
    private struct Entry {
        let address: EndpointAddress
        var idle: [HTTP1ClientConnection] = []
        var all: [HTTP1ClientConnection] = []
    }

    private let balancer: LoopBalancer
    private let eventLoop: any EventLoop
    private let settings: ForwardingSettings
    let security: UpstreamSecurity?
    private var entries: [EndpointID: Entry] = [:]

    init(balancer: LoopBalancer, eventLoop: any EventLoop, settings: ForwardingSettings, security: UpstreamSecurity?) {
        self.balancer = balancer
        self.eventLoop = eventLoop
        self.settings = settings
        self.security = security
    }

    /// A connection that carries nothing, or a new one; nil when there are too many, or the endpoint is gone.
    func take(_ id: EndpointID) -> (connection: HTTP1ClientConnection, address: EndpointAddress)? {
        guard let address = balancer.address(of: id) else { return nil }
        var entry = entries[id] ?? Entry(address: address)
        defer { entries[id] = entry }
        if let idle = entry.idle.popLast() { return (idle, address) }
        guard entry.all.count < settings.upstreamHTTP1Connections else { return nil }
        let made = HTTP1ClientConnection(
            to: address.connectAddress, eventLoop: eventLoop, connectTimeout: settings.http2.connectTimeout, delegate: self)
        made.tag = Int(id.rawValue)
        entry.all.append(made)
        made.connect(address.isSecure ? security?.http1(address) : nil)
        return (made, address)
    }

    func connectionIsIdle(_ connection: HTTP1ClientConnection) {
        let id = EndpointID(rawValue: UInt32(connection.tag))
        guard entries[id] != nil, balancer.isUsable(id) else { return connection.close() }
        entries[id]?.idle.append(connection)
    }

    func connectionClosed(_ connection: HTTP1ClientConnection) {
        let id = EndpointID(rawValue: UInt32(connection.tag))
        entries[id]?.idle.removeAll { $0 === connection }
        entries[id]?.all.removeAll { $0 === connection }
        if entries[id]?.all.isEmpty ?? false { entries[id] = nil }
    }

    func endpointLeft(_ id: EndpointID, _ reason: LeaveReason) {
        guard let entry = entries[id] else { return }
        // A hung member's connections will not say anything more; those of the others may finish what they do.
        let leaving = reason == .hung || reason == .unreachable ? entry.all : entry.idle
        for connection in leaving { connection.close() }
    }

    func endpointRemoved(_ id: EndpointID) {
        for connection in entries[id]?.idle ?? [] { connection.close() }
    }

    func close() {
        for entry in entries.values { for connection in entry.all { connection.close() } }
    }
}
