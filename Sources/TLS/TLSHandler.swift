import NIOCore
import NIOPosix

/// Fired as an inbound user event when the handshake is done, before `channelActive` and the first bytes.
public struct TLSEstablished: Sendable, Equatable {
    /// "h2", "http/1.1", or nil when the two sides did not talk about it.
    public let applicationProtocol: String?
    /// "TLSv1.3"
    public let version: String
    /// Who the other side proved to be; nil when no certificate was asked for.
    public let identity: TLSPeerIdentity?
}

/// TLS on one connection, made by a ``TLSServerContext`` or a ``TLSClientContext`` and first in its pipeline.
///
/// - Inbound it passes on plain bytes, one buffer for each buffer received; outbound it takes plain bytes.
/// - `channelActive` is held back until the handshake is done, and what is written before that waits, up to 1 MiB.
/// - `channelReadComplete` and `flush` cause at most one flush each.
/// - Bytes written count against the channel's high-water mark as soon as there is a full record of them.
/// - `close(mode: .output)` says close_notify and closes the sending side; `close()` says it and closes. An incoming close_notify
///   closes the channel, or fires `ChannelEvent.inputClosed` where the channel allows half-closure.
/// - A failed handshake ends the channel. Dialers hear of it as `errorCaught` with a ``TLSError``; for listeners it goes to the log.
/// - A connection that ends without close_notify causes `errorCaught` with ``TLSError/truncated``.
public final class TLSHandler: ChannelDuplexHandler, RemovableChannelHandler {
    public typealias InboundIn = ByteBuffer
    public typealias InboundOut = ByteBuffer
    public typealias OutboundIn = ByteBuffer
    public typealias OutboundOut = ByteBuffer

    enum Side {
        case server(TLSServerContext, TLSListenerRules)
        case client(TLSClientContext, host: String)
    }

    enum Phase: Equatable {
        /// Nothing was received, nothing is allocated.
        case waiting
        case handshaking
        /// The handshake is done; whether the client may connect from its address is being found out.
        case checkingAddress
        case established
        /// Plaintext where that is allowed.
        case plaintext
        /// Everything that was to be said has been said; what still arrives is dropped.
        case ended
    }

    let side: Side
    var phase = Phase.waiting
    var session: TLSSession?
    private var holdsActive = false
    private var holdsRead = false
    private var isInGate = false
    private var sawEnd = false
    private var timer: Scheduled<Void>?
    /// Received after the handshake, while the client's address is being checked.
    private var held = ByteBuffer()
    // Output; see TLSHandler+Output.swift.
    var queue = PlaintextQueue()
    var flushRequested = false
    var needsFlush = false
    var isOutputClosed = false
    var unaskedBytes = 0

    init(server: TLSServerContext, _ rules: TLSListenerRules) { side = .server(server, rules) }
    init(client: TLSClientContext, host: String) { side = .client(client, host: host) }

    // MARK: Beginning

    public func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    public func channelActive(context: ChannelHandlerContext) {
        holdsActive = true
        begin(context)
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard phase == .waiting, timer == nil else { return }
        switch side {
        case .server(let server, _): startTimer(context, server.settings.handshakeTimeout)
        case .client(let client, let host):
            startTimer(context, client.settings.handshakeTimeout)
            phase = .handshaking
            let rules = PeerRules(isClient: false, hostname: host, allowedNames: client.settings.allowedNames)
            session = TLSSession(client.files.current(), rules, isServer: false)
            advance(context, ByteBuffer())
            context.flush()
            needsFlush = false
        }
    }

    private func startTimer(_ context: ChannelHandlerContext, _ limit: Duration) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: TimeAmount(limit)) {
            let (handler, context) = bound.value
            // It may have been cancelled in the turn in which it is due: NIO runs it all the same.
            guard handler.phase != .established, handler.phase != .plaintext, handler.phase != .ended else { return }
            handler.timer = nil
            handler.fail(context, .handshakeTimedOut)
        }
    }

    /// A connection's first bytes at a listener. True when they begin a handshake.
    private func open(
        _ context: ChannelHandlerContext, _ server: TLSServerContext, _ rules: TLSListenerRules, _ bytes: ByteBuffer
    ) -> Bool {
        guard bytes.readableBytesView.first == Self.handshakeRecord else {
            receivePlaintext(context, rules, bytes)
            return false
        }
        guard server.gate.tryEnter() else {
            fail(context, .tooManyHandshakes)
            return false
        }
        isInGate = true
        phase = .handshaking
        let rules = PeerRules(isClient: true, hostname: nil, allowedNames: server.settings.allowedNames)
        session = TLSSession(server.files.current(), rules, isServer: true)
        return true
    }

    /// The content type that every TLS connection begins with (RFC 8446, section 5.1).
    private static let handshakeRecord: UInt8 = 22

    private func receivePlaintext(_ context: ChannelHandlerContext, _ rules: TLSListenerRules, _ bytes: ByteBuffer) {
        if rules.allowsPlaintext {
            phase = .plaintext
            stopTimer()
            tellActive(context)
            context.fireChannelRead(wrapInboundOut(bytes))
            return
        }
        if let first = bytes.readableBytesView.first, UInt8(ascii: "A")...UInt8(ascii: "Z") ~= first {
            // What Go's HTTPS servers say.
            let answer = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
            context.write(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        }
        fail(context, .handshake("tls: first record does not look like a TLS handshake"))
    }

    // MARK: Reading

    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        switch phase {
        case .waiting:
            guard bytes.readableBytes > 0, case .server(let server, let rules) = side else { return }
            if open(context, server, rules, bytes) { advance(context, bytes) }
        case .handshaking, .established: advance(context, bytes)
        case .checkingAddress: held.writeImmutableBuffer(bytes)
        case .plaintext: context.fireChannelRead(data)
        case .ended: break
        }
    }

    public func channelReadComplete(context: ChannelHandlerContext) {
        if phase == .established || phase == .plaintext { context.fireChannelReadComplete() }
        if needsFlush {
            needsFlush = false
            context.flush()
        }
    }

    /// While an address is being checked nothing is read, so that nothing piles up.
    public func read(context: ChannelHandlerContext) {
        if phase == .checkingAddress { holdsRead = true } else { context.read() }
    }

    /// Gives the session what was received and acts on the result.
    private func advance(_ context: ChannelHandlerContext, _ bytes: ByteBuffer) {
        guard let session else { return }
        var plain = ByteBuffer()
        var address = AddressCheck.Answer.valid
        var isNew = false
        let (progress, untaken) = bytes.withUnsafeReadableBytes { raw in
            session.lend(raw) {
                if phase == .handshaking {
                    let progress = session.handshake()
                    guard case .done = progress else { return progress }
                    isNew = true
                    address = compareAddress(context, session)
                    guard address == .valid else { return TLSSession.Progress.needsMore }
                }
                return session.read(into: &plain)
            }
        }
        let isRefused = sendOutput(context, session)
        if isNew {
            switch address {
            case .valid: establish(context, session)
            case .refused(let error): return fail(context, error)
            case .unknown:
                held = bytes.getSlice(at: bytes.writerIndex - untaken, length: untaken) ?? ByteBuffer()
                return resolveAddress(context, session)
            }
        }
        if plain.readableBytes > 0, phase == .established { context.fireChannelRead(wrapInboundOut(plain)) }
        guard phase != .ended else { return }
        switch progress {
        case .needsMore:
            if isRefused { fail(context, .broken("tls: too many messages that need an answer")) }
        case .done: receivedEnd(context)
        case .failed(let error): fail(context, error)
        }
    }

    private func establish(_ context: ChannelHandlerContext, _ session: TLSSession) {
        phase = .established
        stopTimer()
        leaveGate()
        if case .server(let server, _) = side, let identity = session.verdict.identity, let event = server.settings.identityEvent
        {
            context.fireUserInboundEventTriggered(event(identity))
        }
        let established = TLSEstablished(
            applicationProtocol: session.applicationProtocol, version: session.version, identity: session.verdict.identity)
        context.fireUserInboundEventTriggered(established)
        tellActive(context)
        if flushRequested, phase == .established {
            flushRequested = false
            flush(context: context)
        }
    }

    private func tellActive(_ context: ChannelHandlerContext) {
        guard holdsActive else { return }
        holdsActive = false
        context.fireChannelActive()
    }

    // MARK: The client's address

    private func compareAddress(_ context: ChannelHandlerContext, _ session: TLSSession) -> AddressCheck.Answer {
        guard case .server(_, let rules) = side, rules.checksClientAddress, let identity = session.verdict.identity,
            let address = context.channel.remoteAddress?.ipAddress
        else { return .valid }
        return AddressCheck.compare(identity, address: address)
    }

    private func resolveAddress(_ context: ChannelHandlerContext, _ session: TLSSession) {
        guard case .server(let server, _) = side, let identity = session.verdict.identity,
            let address = context.channel.remoteAddress?.ipAddress
        else { return }
        phase = .checkingAddress
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let addresses = server.addresses
        // On a thread where blocking hurts nobody. At most as many wait there as there may be handshakes.
        NIOThreadPool.singleton.submit { [eventLoop = context.eventLoop] state in
            let answer =
                state == .active
                ? addresses.resolve(identity, address: address) : .refused(.handshake("the daemon is stopping"))
            eventLoop.execute {
                let (handler, context) = bound.value
                handler.addressChecked(context, answer)
            }
        }
    }

    private func addressChecked(_ context: ChannelHandlerContext, _ answer: AddressCheck.Answer) {
        guard phase == .checkingAddress, let session else { return }
        if case .refused(let error) = answer { return fail(context, error) }
        establish(context, session)
        let bytes = held
        held = ByteBuffer()
        if phase == .established { advance(context, bytes) }
        if phase == .established { context.fireChannelReadComplete() }
        if needsFlush {
            needsFlush = false
            context.flush()
        }
        if holdsRead {
            holdsRead = false
            context.read()
        }
    }

    // MARK: The end

    /// close_notify arrived.
    private func receivedEnd(_ context: ChannelHandlerContext) {
        guard !sawEnd else { return }
        sawEnd = true
        let mayStayHalfOpen = (try? context.channel.syncOptions?.getOption(.allowRemoteHalfClosure)) ?? false
        if mayStayHalfOpen {
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        } else {
            close(context: context, mode: .all, promise: nil)
        }
    }

    public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent, phase != .plaintext else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        // The connection's input ended. Whether that was honest, close_notify has told.
        guard !sawEnd, phase != .ended else { return }
        fail(context, phase == .established ? .truncated : .closedInHandshake)
    }

    public func channelInactive(context: ChannelHandlerContext) {
        switch phase {
        case .waiting, .handshaking, .checkingAddress:
            reject(context, .closedInHandshake)
            if case .client = side { context.fireErrorCaught(TLSError.closedInHandshake) }
        case .established where !sawEnd: context.fireErrorCaught(TLSError.truncated)
        default: break
        }
        end(ChannelError.ioOnClosedChannel)
        context.fireChannelInactive()
    }

    public func handlerRemoved(context: ChannelHandlerContext) { end(ChannelError.ioOnClosedChannel) }

    /// Ends the connection for a reason. The other side gets to read what was said last, an alert mostly, before it is closed.
    func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
        guard phase != .ended else { return }
        let wasServing = phase == .established
        if !wasServing { reject(context, error) }
        if let session { _ = sendOutput(context, session) }
        context.flush()
        end(error)
        // Closed at once, the kernel would reset the connection over unread input, and the alert would be lost.
        if context.channel.isActive {
            context.close(mode: .output, promise: nil)
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            timer = context.eventLoop.scheduleTask(in: Self.linger) { bound.value.close(promise: nil) }
        }
        if case .server = side, !wasServing { return }
        context.fireErrorCaught(error)
    }

    private static let linger = TimeAmount.seconds(1)

    private func reject(_ context: ChannelHandlerContext, _ error: TLSError) {
        guard case .server(let server, _) = side else { return }
        let address = context.channel.remoteAddress
        let remote = address?.ipAddress.map { host in
            host.contains(":") ? "[\(host)]:\(address?.port ?? 0)" : "\(host):\(address?.port ?? 0)"
        }
        let rejection = TLSRejection(
            remoteAddress: remote ?? "@", serverName: session?.serverName ?? "", identity: session?.verdict.identity,
            error: error,
            untold: 0)
        server.rejections.note(rejection, now: context.eventLoop.now)
    }

    /// Gives everything back. Nothing is encrypted or decrypted after this.
    func end(_ error: any Error) {
        phase = .ended
        stopTimer()
        leaveGate()
        session = nil
        held = ByteBuffer()
        queue.fail(error)
    }

    private func stopTimer() {
        timer?.cancel()
        timer = nil
    }

    private func leaveGate() {
        guard isInGate, case .server(let server, _) = side else { return }
        isInGate = false
        server.gate.leave()
    }
}
