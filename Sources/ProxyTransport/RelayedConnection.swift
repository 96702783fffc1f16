import Balancing
import HTTP2
import NIOCore
import Polling

/// One client connection and the connection to an endpoint that carries it. An endpoint is chosen when the client's first bytes are
/// here: a connection that says nothing costs no member anything. Confined to its event loop.
final class RelayedConnection {
    private enum State {
        /// Nothing from the client yet.
        case silent
        case connecting(firstBytes: [UInt8])
        case relaying
        case ended
    }

    private let loop: RelayLoop
    /// Both are let go at the end, because they hold this connection.
    private var clientSide: RelaySide?
    private var endpointSide: RelaySide?
    /// While there is no endpoint.
    private var race: EndpointRace?
    /// For the log, when there is one.
    private let clientName: String?
    /// For the sticky policy: connections from one client address belong together.
    private let affinity: UInt64?
    private var state = State.silent
    private var endpoint: EndpointID?
    private var address: EndpointAddress?
    private var attempts = 0
    private let began: NIODeadline
    private var sentBytes: UInt64 = 0
    private var receivedBytes: UInt64 = 0
    private var toldBytes: (sent: UInt64, received: UInt64) = (0, 0)
    /// The loop's tick at which the endpoint got bytes that it has not answered; 0 when it owes nothing.
    private var owesSince: UInt32 = 0
    /// Who said all it had to say first.
    private var firstEnd: RelayEnd?
    private var lingered: UInt32 = 0
    /// Place in the loop's list.
    var index = 0

    /// - Parameters:
    ///   - descriptor: of the client's socket, which is the connection's from now on.
    ///   - client: nil over a unix socket.
    init(_ descriptor: Int32, from client: SocketAddress?, loop: RelayLoop) {
        self.loop = loop
        began = loop.eventLoop.now
        clientName = loop.settings.connectionEnded == nil ? nil : client?.peerDescription ?? "unix:@"
        affinity = loop.settings.isSticky ? client?.ipAddress.map(Self.hash) : nil
        clientSide = RelaySide(descriptor, self, loop, isClientSide: true)
    }

    private static func hash(_ text: String) -> UInt64 {
        text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    // MARK: Connecting

    var isSilent: Bool { if case .silent = state { true } else { false } }

    /// The first bytes. The client's side rests until the endpoint takes them: that bounds what is kept.
    func clientSpoke(_ bytes: [UInt8]) {
        state = .connecting(firstBytes: bytes)
        connect()
    }

    private func connect() {
        let started = EndpointRace(loop, affinity: affinity) { [unowned self] winner in
            attempts = race?.attempts ?? 0
            race = nil
            if let winner { connected(winner) } else { finish(.noEndpoint) }
        }
        race = started
        started.goOn()
    }

    private func connected(_ winner: EndpointRace.Winner) {
        guard case .connecting(let firstBytes) = state, let clientSide else {
            preconditionFailure("a connection that has ended still connects")
        }
        (endpoint, address) = (winner.endpoint, winner.address)
        let side = RelaySide(winner.descriptor, self, loop, isClientSide: false)
        endpointSide = side
        state = .relaying
        clientSide.join(side)
        count(firstBytes.count, fromClient: true)
        firstBytes.withUnsafeBytes { side.write($0) }
        clientSide.goOn()
        side.goOn()
    }

    /// The endpoint is not to be used any more: a connection that it carries ends, one that does not yet goes elsewhere.
    func endpointLeft(_ id: EndpointID, _ reason: LeaveReason) {
        if id == endpoint { finish(.moved(reason)) } else { race?.endpointLeft(id) }
    }

    // MARK: Relaying

    func count(_ bytes: Int, fromClient: Bool) {
        if fromClient {
            sentBytes += UInt64(bytes)
            if owesSince == 0 { owesSince = loop.tick }
        } else {
            receivedBytes += UInt64(bytes)
            owesSince = 0
        }
    }

    /// Adds what was relayed since the last time to the endpoint's counters: too much to do for each message.
    /// - Returns: whether there was any.
    @discardableResult func tellBytes() -> Bool {
        guard let endpoint, sentBytes + receivedBytes > toldBytes.sent + toldBytes.received else { return false }
        loop.balancer.countBytes(
            endpoint, sent: Int(sentBytes - toldBytes.sent), received: Int(receivedBytes - toldBytes.received))
        toldBytes = (sentBytes, receivedBytes)
        return true
    }

    /// The endpoint has owed an answer since before that tick. Told once: an endpoint that rightly says nothing (a watch without
    /// events) is looked at once, not for ever.
    func takeDebt(before tick: UInt32) -> EndpointID? {
        guard owesSince != 0, owesSince != .max, owesSince < tick else { return nil }
        owesSince = .max
        return endpoint
    }

    // MARK: The end

    /// All that one side said has been handed to the kernel for the other side.
    func directionEnded() {
        guard let clientSide, let endpointSide else { return }
        if firstEnd == nil { firstEnd = endpointSide.outputEnded ? .closedByClient : .closedByEndpoint }
        if clientSide.outputEnded, endpointSide.outputEnded { finish(firstEnd ?? .closedByClient) }
    }

    /// Called each tick in which nothing has moved: when both sides have said all, one does not take what is left for it.
    func giveUpLingering(after ticks: UInt32) {
        guard let clientSide, let endpointSide, clientSide.isAtItsEnd, endpointSide.isAtItsEnd else { return }
        lingered += 1
        if lingered > ticks { finish(.failed) }
    }

    /// A side is gone, and it is not known whether it had said all.
    func broke(_ side: RelaySide) {
        guard endpointSide != nil, side.inputEnded else {
            return finish(side === clientSide ? .closedByClient : .failed)
        }
        // It had said all before: the other side still gets that, and only what it says itself is lost.
        side.giveUpOutput()
        directionEnded()
    }

    func finish(_ end: RelayEnd) {
        if case .ended = state { return }
        let outcome = outcome(of: end)
        state = .ended
        if let race {
            attempts = race.attempts
            race.cancel()
            self.race = nil
        }
        tellBytes()
        if let endpoint { loop.balancer.finished(endpoint, outcome) }
        if end == .noEndpoint { loop.balancer.countWithoutEndpoint() }
        close(isWhole: clientSide?.outputEnded == true && endpointSide?.outputEnded == true)
        loop.remove(self)
        loop.settings.connectionEnded?(
            RelayRecord(
                client: clientName ?? "unknown", endpoint: address, sentBytes: sentBytes,
                receivedBytes: receivedBytes, duration: .nanoseconds((loop.eventLoop.now - began).nanoseconds),
                attempts: attempts, end: end))
    }

    /// A stream that is cut must look cut on both sides: bytes that nobody understands here may have no other sign of their end.
    private func close(isWhole: Bool) {
        for side in [clientSide, endpointSide] {
            guard let side else { continue }
            if !isWhole { Sockets.resetWhenClosed(side.descriptor) }
            side.close()
        }
        (clientSide, endpointSide) = (nil, nil)
    }

    /// A connection that an endpoint closed without a word after it got some failed there.
    private func outcome(of end: RelayEnd) -> Outcome {
        switch end {
        case .closedByEndpoint, .failed: receivedBytes == 0 && sentBytes > 0 ? .connectionLost : .succeeded
        case .moved, .draining, .noEndpoint: .abandoned
        case .closedByClient: receivedBytes > 0 ? .succeeded : .abandoned
        }
    }
}
