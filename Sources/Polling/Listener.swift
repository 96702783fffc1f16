import CLinux
import Glibc
import NIOCore

/// A listening socket on a polling loop. Confined to that loop.
public final class Listener: PolledSocket {
    private let loop: PollingEventLoop
    private let descriptor: Int32
    private let accepted: (Int32, SocketAddress?) -> Void
    private var isOpen = true

    private static let acceptsAtOnce = 64
    /// How long it rests when there is no descriptor or memory for one more connection.
    private static let rest = TimeAmount.milliseconds(100)

    /// - Parameters:
    ///   - descriptor: listens already, does not block, and is the listener's from now on.
    ///   - accepted: gets each connection, which does not block, and the client's address; nil over a unix socket.
    public init(_ loop: PollingEventLoop, _ descriptor: Int32, _ accepted: @escaping (Int32, SocketAddress?) -> Void) {
        self.loop = loop
        self.descriptor = descriptor
        self.accepted = accepted
        loop.watch(descriptor, for: self)
    }

    public func close() {
        guard isOpen else { return }
        isOpen = false
        loop.close(descriptor)
    }

    public func ready(_ readiness: Readiness) { goOn() }

    public func goOn() {
        for _ in 0..<Self.acceptsAtOnce {
            guard isOpen else { return }
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
            let connection = clinux_accept4(descriptor, &storage, &length, flags)
            if connection >= 0 {
                accepted(connection, SocketAddress(storage))
                continue
            }
            switch errno {
            case EAGAIN, EBADF, EINVAL: return
            case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                loop.assumeIsolated().scheduleTask(in: Self.rest) { self.goOn() }
                return
            // The connection is gone again before it was accepted: accept(2) names a dozen errors that say so.
            default: continue
            }
        }
        loop.goOnLater(self)
    }
}
