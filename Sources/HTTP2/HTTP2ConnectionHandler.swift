import NIOCore

/// Carries one ``HTTP2Session`` on a channel: one flush per burst of reads, timers, and the connection's end.
final class HTTP2ConnectionHandler: ChannelInboundHandler, HTTP2SessionOwner, ServedConnection {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What pings of this server carry, so that answers are told apart.
    private enum PingPayload {
        static let keepalive: UInt64 = 0x6b65_6570_616c_6976
        static let draining: UInt64 = 0x6472_6169_6e69_6e67
    }

    let session: HTTP2Session
    var indexInLoop = 0
    private let loop: ServerLoop
    private var context: ChannelHandlerContext?
    private var keepalive: KeepaliveSchedule
    private var keepaliveTimer: DelayedCall?
    /// Runs until the first SETTINGS.
    private var settingsTimer: DelayedCall?
    /// Runs while a header block is open at the end of a burst, for the stream it belongs to.
    private var headTimer: DelayedCall?
    private var watchedHead: Int32?
    private var closeTimer: DelayedCall?
    private var isReading = false
    private var isFlushing = false
    private var flushAgain = false
    private var isDraining = false
    /// The session has ended, and the timer that closes the connection runs.
    private var isEnding = false
    /// Nothing is read or written any more.
    private var isClosing = false

    init(loop: ServerLoop, connection: ConnectionInfo, sink: any HTTP2RequestSink) {
        self.loop = loop
        let now = loop.now
        session = HTTP2Session(
            connection: connection, limits: loop.configuration.http2, sink: sink, pool: loop.streamPool, counters: loop.counters,
            now: now)
        keepalive = KeepaliveSchedule(loop.configuration.http2.keepalive, now: now)
        session.owner = self
    }

    deinit {
        session.owner = nil
        cancelTimers()
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
        settingsTimer = schedule(loop.configuration.prefaceTimeout) { handler in
            handler.loop.counters.add(.prefaceTimeouts)
            handler.closeNow()
        }
        keepaliveStep()
        flushOutput()
    }

    func handlerRemoved(context: ChannelHandlerContext) { connectionEnded() }

    func channelInactive(context: ChannelHandlerContext) {
        connectionEnded()
        context.fireChannelInactive()
    }

    private func connectionEnded() {
        guard context != nil else { return }
        context = nil
        cancelTimers()
        loop.remove(self)
        session.abandon()
    }

    private func cancelTimers() {
        for timer in [keepaliveTimer, settingsTimer, headTimer, closeTimer] { timer?.cancel() }
        (keepaliveTimer, settingsTimer, headTimer, closeTimer) = (nil, nil, nil, nil)
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        isReading = true
        let now = loop.now
        keepalive.readSomething(now: now)
        let buffer = unwrapInboundIn(data)
        do throws(HTTP2SessionError) {
            try buffer.withBorrowedBytes { bytes throws(HTTP2SessionError) in try session.receive(bytes, now: now) }
        } catch {
            loop.counters.add(.protocolErrors)
            loop.report(.info, session.connection, "HTTP/2 connection closed: \(error)")
            closeNow()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isReading {
            session.sink.readCompleted()
            isReading = false
            watchHeads()
        }
        flushOutput()
        context.fireChannelReadComplete()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        loop.report(.debug, session.connection, "connection error: \(error)")
        closeNow()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let identified = event as? PeerIdentityEvent { session.connection.identity = identified.identity }
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: Writing

    func sessionHasOutput() {
        // Within a burst of reads the end of the burst sends it, and within a flush that flush does.
        guard !isReading, !isFlushing, context != nil else { return }
        loop.output.markDirty(self)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { flushOutput() }
        context.fireChannelWritabilityChanged()
    }

    func flushOutput() {
        // libnghttp2 may be on the stack while reading; the end of the burst comes here again.
        guard !isReading else { return }
        guard !isFlushing else {
            flushAgain = true
            return
        }
        isFlushing = true
        repeat {
            flushAgain = false
            writeOutput()
        } while flushAgain
        isFlushing = false
        closeIfFinished()
    }

    private func writeOutput() {
        guard let context, !isClosing else { return }
        var wrote = false
        do throws(HTTP2SessionError) {
            while context.channel.isWritable, let buffer = try loop.output.gather(session.produce(into:)) {
                loop.counters.add(.writes)
                context.write(wrapOutboundOut(buffer), promise: nil)
                wrote = true
            }
        } catch {
            loop.counters.add(.protocolErrors)
            loop.report(.warning, session.connection, "HTTP/2 connection closed: \(error)")
            closeNow()
            return
        }
        // Writability may change during the flush, which asks for another round through `flushAgain`.
        if wrote { context.flush() }
    }

    // MARK: Timers

    private func schedule(_ delay: Duration, _ body: @escaping (HTTP2ConnectionHandler) -> Void) -> DelayedCall {
        // Unowned: every timer is cancelled before the connection goes away, and weak references make every retain of it slow.
        DelayedCall(loop.eventLoop, delay) { [unowned self] in
            if context != nil { body(self) }
        }
    }

    /// After a burst: SETTINGS that have come need no timer any more, and a header block that is open one.
    private func watchHeads() {
        if session.sawSettings, let timer = settingsTimer {
            timer.cancel()
            settingsTimer = nil
        }
        guard session.openHeadStream != watchedHead else { return }
        watchedHead = session.openHeadStream
        headTimer?.cancel()
        headTimer =
            watchedHead == nil
            ? nil
            : schedule(loop.configuration.headerTimeout) { handler in
                handler.loop.counters.add(.headerTimeouts)
                handler.closeNow()
            }
    }

    private func keepaliveStep() {
        let delay: UInt64
        switch keepalive.step(now: loop.now) {
        case .wait(let nanoseconds): delay = nanoseconds
        case .ping(let askAgainAfter):
            session.ping(PingPayload.keepalive)
            delay = askAgainAfter
        case .giveUp:
            loop.counters.add(.keepaliveTimeouts)
            loop.report(.info, session.connection, "connection closed: keepalive ping not answered in time")
            closeNow()
            return
        }
        keepaliveTimer = schedule(.nanoseconds(Int64(clamping: delay))) { $0.keepaliveStep() }
    }

    // MARK: The end

    func pingAnswered(_ payload: UInt64) {
        if payload == PingPayload.draining, isDraining { session.finishDraining() }
    }

    func drain() {
        guard !isDraining, context != nil else { return }
        isDraining = true
        session.announceDraining()
        // Streams that the client opened before it read the notice arrive before its answer to this ping.
        session.ping(PingPayload.draining)
        flushOutput()
        guard context != nil else { return }
        closeTimer?.cancel()
        closeTimer = schedule(loop.configuration.lingerTimeout) { handler in
            handler.session.finishDraining()
            handler.flushOutput()
        }
    }

    func closeNow() {
        guard let context else { return }
        isClosing = true
        context.close(promise: nil)
    }

    /// Closes once the session has said its last word: the sending side first, so that the client gets to read it, and the rest
    /// after a moment. A client that does not even take that is closed as soon.
    private func closeIfFinished() {
        guard let context, !isClosing else { return }
        let finished = session.isFinished
        guard finished || session.isTerminating else { return }
        if !isEnding {
            isEnding = true
            closeTimer?.cancel()
            closeTimer = schedule(loop.configuration.lingerTimeout) { $0.closeNow() }
        }
        if finished {
            isClosing = true
            context.close(mode: .output, promise: nil)
        }
    }
}

extension ByteBuffer {
    /// ``withUnsafeReadableBytes(_:)`` with a typed error.
    func withBorrowedBytes<E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> Void) throws(E) {
        var failure: E?
        withUnsafeReadableBytes { bytes in
            do throws(E) { try body(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}
