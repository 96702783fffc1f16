import Glibc
import NIOCore

/// A call on a socket that failed.
public struct SocketError: Error, CustomStringConvertible {
    public let call: String
    public let code: Int32

    public init(_ call: String, _ code: Int32) {
        self.call = call
        self.code = code
    }

    public var description: String { "\(call): \(strerror(code).map { String(cString: $0) } ?? "error \(code)")" }
}

/// Stream sockets that do not block, as bare descriptors.
public enum Sockets {
    /// A socket that listens.
    /// - Parameters:
    ///   - replacesFile: a unix socket's file that is left at the path is removed first.
    ///   - reusesPort: other processes may listen on the same port.
    public static func listen(
        at address: SocketAddress, backlog: Int32, replacesFile: Bool, reusesPort: Bool = false
    ) throws(SocketError) -> Int32 {
        if replacesFile, case .unixDomainSocket = address, let path = address.pathname { removeSocketFile(path) }
        let descriptor = try make(for: address)
        // A failure of this one only makes the address harder to get.
        setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        if reusesPort { setOption(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
        let failed: String? =
            if address.withSockAddr({ bind(descriptor, $0, socklen_t($1)) }) != 0 {
                "bind"
            } else {
                Glibc.listen(descriptor, backlog) == 0 ? nil : "listen"
            }
        if let failed {
            let code = errno
            close(descriptor)
            throw SocketError(failed, code)
        }
        return descriptor
    }

    /// A socket that listens already, made by somebody else.
    public static func adopt(_ descriptor: Int32) throws(SocketError) -> Int32 {
        let flags = fcntl(descriptor, F_GETFL)
        if flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0 { throw SocketError("fcntl", errno) }
        return descriptor
    }

    private static func removeSocketFile(_ path: String) {
        var found = stat()
        if lstat(path, &found) == 0, found.st_mode & S_IFMT == S_IFSOCK { unlink(path) }
    }

    /// A socket that has begun to connect; it is writable once that has succeeded or failed, which ``takeError(_:)`` tells apart.
    static func startConnecting(to address: SocketAddress) throws(SocketError) -> Int32 {
        let descriptor = try make(for: address)
        if address.protocol != .unix { tuneTCP(descriptor) }
        guard address.withSockAddr({ connect(descriptor, $0, socklen_t($1)) }) != 0, errno != EINPROGRESS else {
            return descriptor
        }
        let code = errno
        close(descriptor)
        throw SocketError("connect", code)
    }

    private static func make(for address: SocketAddress) throws(SocketError) -> Int32 {
        let family: Int32 = address.withSockAddr { pointer, _ in Int32(pointer.pointee.sa_family) }
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, kind, 0)
        if descriptor < 0 { throw SocketError("socket", errno) }
        return descriptor
    }

    /// Messages leave at once, and a peer that is gone without a word is noticed in the end.
    public static func tuneTCP(_ descriptor: Int32) {
        setOption(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        setOption(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
    }

    private static func setOption(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ given: Int32) {
        var value = given
        _ = setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// What has failed at a socket, or 0; told once.
    static func takeError(_ descriptor: Int32) -> Int32 {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0 ? code : errno
    }

    /// Closing will reset the connection: a peer that was not told everything does not take it for an orderly end. A unix socket knows
    /// no such thing and is only closed.
    public static func resetWhenClosed(_ descriptor: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        _ = setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// The address and port a socket is bound to.
    public static func localAddress(_ descriptor: Int32) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        return result == 0 ? SocketAddress(storage) : nil
    }

    /// All addresses of a host, in the system's order of preference. May block.
    static func addresses(of host: String, port: Int) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, String(port), &hints, &found) == 0 else { return [] }
        defer { freeaddrinfo(found) }
        return sequence(first: found, next: { $0?.pointee.ai_next }).prefix { $0 != nil }.compactMap { entry in
            guard let entry = entry?.pointee, let address = entry.ai_addr else { return nil }
            var storage = sockaddr_storage()
            withUnsafeMutableBytes(of: &storage) {
                $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: min($0.count, Int(entry.ai_addrlen))))
            }
            return SocketAddress(storage)
        }
    }
}

extension SocketAddress {
    /// nil for a family that is neither IPv4 nor IPv6.
    init?(_ storage: sockaddr_storage) {
        switch Int32(storage.ss_family) {
        case AF_INET: self.init(storage.read(sockaddr_in.self))
        case AF_INET6: self.init(storage.read(sockaddr_in6.self))
        default: return nil
        }
    }
}

extension sockaddr_storage {
    /// Every address fits into the storage and begins where it begins.
    fileprivate func read<Address>(_ type: Address.Type) -> Address {
        withUnsafeBytes(of: self) { $0.load(as: type) }
    }
}
