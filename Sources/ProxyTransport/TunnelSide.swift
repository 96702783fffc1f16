import Glibc
import NIOCore

/// One side of a tunnel: what it reads goes to the other side, and it reads only while the other side takes more.
final class TunnelSide: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let tunnel: Tunnel
    private let isClientSide: Bool
    private var context: ChannelHandlerContext?
    private var partner: TunnelSide?
    private var readWasAsked = false
    private var wroteToPartner = false
    private(set) var inputEnded = false
    /// Everything that was to be written here has been, up to the other side's end.
    private(set) var outputEnded = false

    init(_ tunnel: Tunnel, isClientSide: Bool) {
        self.tunnel = tunnel
        self.isClientSide = isClientSide
    }

    func join(_ partner: TunnelSide) {
        self.partner = partner
        partner.partner = self
    }

    func part() {
        partner?.partner = nil
        partner = nil
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    // MARK: This side

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let partner else { return }
        tunnel.count(unwrapInboundIn(data).readableBytes, fromClient: isClientSide)
        wroteToPartner = true
        partner.context?.write(data, promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard wroteToPartner else { return }
        wroteToPartner = false
        partner?.context?.flush()
    }

    func read(context: ChannelHandlerContext) {
        if partner == nil || partner?.takesMore == true {
            context.read()
        } else {
            readWasAsked = true
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { partner?.partnerTakesMore() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? ChannelEvent, event == .inputClosed else {
            return context.fireUserInboundEventTriggered(event)
        }
        noteInputEnd()
    }

    private func noteInputEnd() {
        guard !inputEnded else { return }
        inputEnded = true
        partner?.endOutput()
    }

    /// Once this side's output has been ended, NIO tells an honest end of its input only by closing the channel; what breaks it is told
    /// by an error before that.
    func channelInactive(context: ChannelHandlerContext) {
        if outputEnded { noteInputEnd() } else { tunnel.broke(clientSide: isClientSide) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Half a connection that the other side has closed wholly cannot be closed again: nothing is wrong.
        if case ChannelError.outputClosed = error { return }
        tunnel.broke(clientSide: isClientSide)
    }

    // MARK: For the other side

    private var takesMore: Bool { context?.channel.isWritable ?? false }

    private func partnerTakesMore() {
        guard readWasAsked else { return }
        readWasAsked = false
        context?.read()
    }

    func write(_ bytes: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }

    /// Ends this side's output after all that was written. The empty write tells when that is: asked to close the second direction, NIO
    /// closes the whole channel at once and drops what still waits for a slow reader, who would take the rest for the whole.
    func endOutput() {
        guard let context, !outputEnded else { return }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess { [self] in
            outputEnded = true
            if !inputEnded { self.context?.close(mode: .output, promise: nil) }
            tunnel.directionEnded()
        }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer()), promise: written)
    }

    /// Nobody will take what else would be written here.
    func giveUpOutput() { outputEnded = true }

    func close() { context?.close(promise: nil) }
}

extension Channel {
    /// Closes with a reset: a peer that was not told everything does not take it for an orderly end. A unix socket knows no such thing and
    /// is only closed.
    func reset() {
        // At once, for this is the channel's loop.
        _ = (self as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        close(promise: nil)
    }
}
