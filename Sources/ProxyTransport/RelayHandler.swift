import NIOCore

/// One side of a relayed connection: what it reads goes to the other side, and it reads only while the other side takes more.
final class RelayHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let connection: RelayedConnection
    private let isClientSide: Bool
    private var context: ChannelHandlerContext?
    private var partner: RelayHandler?
    private var readWasAsked = false
    private var wroteToPartner = false
    private(set) var inputEnded = false

    init(_ connection: RelayedConnection, isClientSide: Bool) {
        self.connection = connection
        self.isClientSide = isClientSide
    }

    func join(_ partner: RelayHandler) {
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
        guard let partner else {
            if isClientSide { connection.clientSpoke(unwrapInboundIn(data)) }
            return
        }
        connection.count(unwrapInboundIn(data).readableBytes, fromClient: isClientSide)
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
        inputEnded = true
        guard let partner else { return connection.inputEndedEarly() }
        partner.context?.close(mode: .output, promise: nil)
        // Both directions have ended.
        if partner.inputEnded { connection.ended(clientSide: isClientSide) }
    }

    func channelInactive(context: ChannelHandlerContext) { connection.ended(clientSide: isClientSide) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Half a connection that the other side has closed wholly cannot be closed again: nothing is wrong.
        if case ChannelError.outputClosed = error { return }
        connection.broke(clientSide: isClientSide)
    }

    // MARK: For the other side

    private var takesMore: Bool { context?.channel.isWritable ?? false }

    private func partnerTakesMore() {
        guard readWasAsked else { return }
        readWasAsked = false
        context?.read()
    }

    func write(_ bytes: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }

    func close() { context?.close(promise: nil) }
}
