import NIOCore

// Plain bytes out. They are encrypted when a record is full or a flush comes, so that many small writes share a record.
extension TLSHandler {
    /// What may wait for the handshake.
    static let maximumEarlyBytes = 1 << 20
    /// What the other side may make us say while it does not read what we said.
    static let maximumUnaskedBytes = 16 << 10

    public func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard phase != .ended, !isOutputClosed else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        guard phase != .plaintext else { return context.write(data, promise: promise) }
        let bytes = unwrapOutboundIn(data)
        guard phase == .established else {
            queue.append(bytes, promise)
            if queue.byteCount > Self.maximumEarlyBytes { fail(context, .tooMuchBeforeHandshake) }
            return
        }
        if bytes.readableBytes >= TLSSession.recordBytes {
            // Encrypted where it lies; what came before goes first.
            encryptQueue(context)
            queue.append(bytes, promise)
            encryptQueue(context)
        } else {
            queue.append(bytes, promise)
            if queue.byteCount >= TLSSession.recordBytes { encryptQueue(context) }
        }
    }

    public func flush(context: ChannelHandlerContext) {
        switch phase {
        case .waiting, .handshaking, .checkingAddress: flushRequested = true
        case .established:
            encryptQueue(context)
            needsFlush = false
            context.flush()
        case .plaintext, .ended: context.flush()
        }
    }

    private func encryptQueue(_ context: ChannelHandlerContext) {
        guard phase == .established, let session, let (bytes, promises) = queue.take() else { return }
        let failure = bytes.withUnsafeReadableBytes { raw -> TLSError? in
            do throws(TLSError) { try session.write(raw) } catch { return error }
            return nil
        }
        if let failure {
            for promise in promises { promise.fail(failure) }
            return fail(context, failure)
        }
        let output = session.takeOutput() ?? ByteBuffer()
        context.write(wrapOutboundOut(output), promise: promises.count <= 1 ? promises.first : joined(promises, context))
    }

    private func joined(_ promises: [EventLoopPromise<Void>], _ context: ChannelHandlerContext) -> EventLoopPromise<Void> {
        let all = context.eventLoop.makePromise(of: Void.self)
        for promise in promises { all.futureResult.cascade(to: promise) }
        return all
    }

    /// Sends what the library has to say by itself: handshake messages, alerts, key updates. True when the other side makes it say
    /// too much and does not read.
    func sendOutput(_ context: ChannelHandlerContext, _ session: TLSSession) -> Bool {
        guard let output = session.takeOutput() else { return false }
        unaskedBytes = context.channel.isWritable ? 0 : unaskedBytes + output.readableBytes
        context.write(wrapOutboundOut(output), promise: nil)
        needsFlush = true
        return unaskedBytes > Self.maximumUnaskedBytes
    }

    public func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode != .input, phase == .established, !isOutputClosed, let session {
            isOutputClosed = true
            session.sayGoodbye()
            if sendOutput(context, session) || needsFlush {
                needsFlush = false
                context.flush()
            }
            queue.fail(ChannelError.ioOnClosedChannel)
        }
        if mode == .all { end(ChannelError.ioOnClosedChannel) }
        context.close(mode: mode, promise: promise)
    }
}

/// Plain bytes that wait to be encrypted, together.
struct PlaintextQueue {
    private var bytes: ByteBuffer?
    private var promises: [EventLoopPromise<Void>] = []

    var byteCount: Int { bytes?.readableBytes ?? 0 }

    /// A single write is kept as it is; more are gathered in one buffer.
    mutating func append(_ more: ByteBuffer, _ promise: EventLoopPromise<Void>?) {
        if let promise { promises.append(promise) }
        if var gathered = bytes {
            bytes = nil
            gathered.writeImmutableBuffer(more)
            bytes = gathered
        } else {
            bytes = more
        }
    }

    mutating func take() -> (ByteBuffer, [EventLoopPromise<Void>])? {
        guard let taken = bytes else { return nil }
        bytes = nil
        defer { promises.removeAll() }
        return (taken, promises)
    }

    mutating func fail(_ error: any Error) {
        bytes = nil
        let waiting = promises
        promises.removeAll()
        for promise in waiting { promise.fail(error) }
    }
}

extension TimeAmount {
    /// Whole nanoseconds, at least none.
    init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self = .nanoseconds(max(0, min(seconds, 9_000_000_000) * 1_000_000_000 + attoseconds / 1_000_000_000))
    }
}
