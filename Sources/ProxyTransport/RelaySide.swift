import Glibc
import NIOCore
import Polling

/// One side of a relayed connection: what it reads goes to the other side at once, from the loop's one buffer. Only what the other
/// side's socket does not take is kept, and this side rests until it was taken. So a connection that is idle keeps no bytes, and one
/// that is busy costs a `recv` and a `send` a message. Confined to its event loop.
final class RelaySide: PolledSocket {
    let descriptor: Int32
    private let loop: RelayLoop
    /// Both are let go at the end, because they hold this side.
    private var connection: RelayedConnection?
    private var partner: RelaySide?
    private let isClientSide: Bool
    /// Something may be there to read. The kernel tells it once.
    private var mayRead: Bool
    /// The peer has ended its output or broken off: there is no need to be told again before all was read.
    private(set) var isAtItsEnd = false
    private(set) var inputEnded = false
    /// What this side's socket has not taken yet.
    private var waiting: ArraySlice<UInt8> = []
    private var endsAfterWaiting = false
    /// Everything that was to be written here has been, up to the other side's end.
    private(set) var outputEnded = false

    /// Reads of one side before the others have their turn.
    private static let readsAtOnce = 16

    init(_ descriptor: Int32, _ connection: RelayedConnection, _ loop: RelayLoop, isClientSide: Bool) {
        self.descriptor = descriptor
        self.connection = connection
        self.loop = loop
        self.isClientSide = isClientSide
        // The other side's socket was connected by somebody else, who took the first news of it.
        mayRead = !isClientSide
        loop.polling.watch(descriptor, for: self)
    }

    func join(_ partner: RelaySide) {
        self.partner = partner
        partner.partner = self
    }

    /// Nothing is told any more; the descriptor is closed.
    func close() {
        partner = nil
        connection = nil
        loop.polling.close(descriptor)
    }

    // MARK: This side

    func ready(_ readiness: Readiness) {
        if readiness.contains(.writable), !waiting.isEmpty { writeWaiting() }
        let isBroken = readiness.contains(.failed)
        if isBroken || !readiness.isDisjoint(with: [.inputEnds, .hangUp]) { isAtItsEnd = true }
        guard isAtItsEnd || readiness.contains(.readable) else { return }
        mayRead = true
        if isBroken, inputEnded || !isFree {
            connection?.broke(self)
        } else {
            goOn()
        }
    }

    /// What is read has somewhere to go.
    private var isFree: Bool { partner.map { $0.waiting.isEmpty } ?? false }

    func goOn() {
        guard partner != nil else { return readFirst() }
        var reads = 0
        while mayRead, !inputEnded, isFree {
            reads += 1
            if reads > Self.readsAtOnce { return loop.polling.goOnLater(self) }
            read()
        }
    }

    private func read() {
        guard let connection, let partner else { return }
        let buffer = loop.buffer
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count > 0 {
            // A buffer that was not filled has emptied the socket; what comes later is told.
            if count < buffer.count, !isAtItsEnd { mayRead = false }
            connection.count(count, fromClient: isClientSide)
            partner.write(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
        } else if count == 0 {
            (inputEnded, isAtItsEnd) = (true, true)
            partner.endOutput()
        } else {
            readFailed(errno)
        }
    }

    private func readFailed(_ code: Int32) {
        switch code {
        case EINTR: return
        case EAGAIN: mayRead = false
        default:
            mayRead = false
            connection?.broke(self)
        }
    }

    /// A client's first bytes, which the connection keeps until there is an endpoint.
    private func readFirst() {
        guard mayRead, let connection, connection.isSilent else { return }
        let buffer = loop.buffer
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count > 0 {
            mayRead = count == buffer.count || isAtItsEnd
            connection.clientSpoke(Array(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count])))
        } else if count == 0 {
            (inputEnded, isAtItsEnd) = (true, true)
            connection.broke(self)
        } else {
            readFailed(errno)
        }
    }

    // MARK: For the other side

    func write(_ bytes: UnsafeRawBufferPointer) {
        guard let sent = send(bytes), sent < bytes.count else { return }
        waiting = ArraySlice(bytes[sent...])
    }

    private func writeWaiting() {
        guard let sent = waiting.withUnsafeBytes({ send($0) }) else { return }
        guard sent == waiting.count else { return waiting.removeFirst(sent) }
        // The whole array, which a slice would keep.
        waiting = []
        if endsAfterWaiting { shutDown() } else { partner?.goOn() }
    }

    /// How many bytes the socket has taken; nil when it is broken, which was told then.
    private func send(_ bytes: UnsafeRawBufferPointer) -> Int? {
        while true {
            let sent = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if sent >= 0 { return sent }
            switch errno {
            case EINTR: continue
            case EAGAIN: return 0
            default:
                waiting = []
                connection?.broke(self)
                return nil
            }
        }
    }

    /// Ends this side's output after all that was written.
    func endOutput() {
        guard !outputEnded, !endsAfterWaiting else { return }
        endsAfterWaiting = true
        if waiting.isEmpty { shutDown() }
    }

    private func shutDown() {
        outputEnded = true
        shutdown(descriptor, Int32(SHUT_WR))
        connection?.directionEnded()
    }

    /// Nobody will take what else would be written here.
    func giveUpOutput() {
        outputEnded = true
        waiting = []
    }
}
