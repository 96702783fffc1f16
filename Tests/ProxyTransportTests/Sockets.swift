import Glibc
import Testing

/// A blocking socket whose reads and writes end after 20 seconds at the latest.
struct Socket: Sendable {
    let descriptor: Int32

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    private static func make(_ port: Int, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                call(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(result == 0)
        return descriptor
    }

    static func connect(_ port: Int) -> Socket { Socket(make(port, Glibc.connect)) }

    static func connect(_ path: String) -> Socket {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(result == 0)
        return Socket(descriptor)
    }

    static func listen(backlog: Int32 = 16) -> (descriptor: Int32, port: Int) {
        let descriptor = make(0, Glibc.bind)
        #expect(Glibc.listen(descriptor, backlog) == 0)
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(descriptor, $0, &length) }
        }
        return (descriptor, Int(in_port_t(bigEndian: address.sin_port)))
    }

    @discardableResult func send(count: Int) -> Bool {
        let part = [UInt8](repeating: 7, count: min(count, 1 << 16))
        var left = count
        while left > 0 {
            let sent = Glibc.send(descriptor, part, min(left, part.count), Int32(MSG_NOSIGNAL))
            guard sent > 0 else { return false }
            left -= sent
        }
        return true
    }

    /// Bytes of one read; 0 at the end, negative after a failure.
    func receive() -> Int {
        var part = [UInt8](repeating: 0, count: 1 << 16)
        return recv(descriptor, &part, part.count, 0)
    }

    /// How much comes, and how it ends: 0 for an orderly end, else the error.
    /// - Parameter pause: before each read, in microseconds.
    func receiveAll(pause: UInt32 = 0) -> (count: Int, end: Int32) {
        var count = 0
        while true {
            if pause > 0 { usleep(pause) }
            let got = receive()
            guard got > 0 else { return (count, got == 0 ? 0 : errno) }
            count += got
        }
    }

    func sendBackUntilEnd() {
        while case let got = receive(), got > 0 { send(count: got) }
    }

    func waitForInput() -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 20_000) == 1
    }

    func endOutput() { shutdown(descriptor, Int32(SHUT_WR)) }
    func close() { Glibc.close(descriptor) }

    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }
}

/// A port that takes no connections and refuses none.
final class SilentEndpoint {
    let port: Int
    private let descriptors: [Int32]

    init() {
        // The one place in its queue is taken: the kernel swallows who else would connect.
        let full = Socket.listen(backlog: 0)
        port = full.port
        descriptors = [full.descriptor, Socket.connect(full.port).descriptor]
    }

    deinit { for descriptor in descriptors { close(descriptor) } }
}
