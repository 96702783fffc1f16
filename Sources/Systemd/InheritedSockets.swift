import CSystemd
import Glibc

/// A listening socket that systemd opened and handed over (`LISTEN_FDS`).
public struct InheritedSocket: Equatable, Sendable {
    /// Where it listens.
    public enum Address: Equatable, Sendable {
        case port(UInt16)
        case path(String)
    }

    public var descriptor: Int32
    /// From `FileDescriptorName=` of the socket unit.
    public var name: String
    public var address: Address

    public init(descriptor: Int32, name: String, address: Address) {
        self.descriptor = descriptor
        self.name = name
        self.address = address
    }
}

/// Why sockets that were handed over cannot be used.
public struct InheritedSocketProblem: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
}

/// The sockets that were handed over, to be taken one by one by the listeners they are for. Each belongs to a listener of the
/// configuration: its name says which kind, its port or path which one. So whether it is encrypted, and what is advertised, stays
/// in one place.
public struct InheritedSockets: Sendable {
    private var sockets: [InheritedSocket]

    public init(_ sockets: [InheritedSocket]) { self.sockets = sockets }

    /// Those of this process. To be called once, before other threads are started, because it changes the environment.
    /// - Parameter names: the kinds of listeners this process has.
    public static func take(names: [String]) throws(InheritedSocketProblem) -> InheritedSockets {
        var list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        let count = sd_listen_fds_with_names(1, &list)
        guard count >= 0 else {
            throw InheritedSocketProblem(description: "LISTEN_FDS: \(String(cString: strerror(-count)))")
        }
        defer {
            for index in 0..<Int(count) { free(list?[index]) }
            free(list)
        }
        var sockets: [InheritedSocket] = []
        for index in 0..<Int(count) {
            let name = list?[index].map { String(cString: $0) } ?? ""
            guard names.contains(name) else {
                let known = names.map { "\"\($0)\"" }.joined(separator: ", ")
                throw InheritedSocketProblem(
                    description:
                        "a socket was handed over under the name \"\(name)\"; FileDescriptorName= must be one of \(known)")
            }
            let descriptor = SD_LISTEN_FDS_START + Int32(index)
            guard sd_is_socket(descriptor, AF_UNSPEC, Int32(SOCK_STREAM.rawValue), 1) > 0, let address = address(of: descriptor)
            else {
                throw InheritedSocketProblem(
                    description: "the socket \"\(name)\" that was handed over is no listening stream socket")
            }
            sockets.append(InheritedSocket(descriptor: descriptor, name: name, address: address))
        }
        return InheritedSockets(sockets)
    }

    /// The socket for a listener, if one was handed over for it; it is the listener's from now on.
    public mutating func take(_ name: String, _ address: InheritedSocket.Address) -> Int32? {
        guard let index = sockets.firstIndex(where: { $0.name == name && $0.address == address }) else { return nil }
        return sockets.remove(at: index).descriptor
    }

    /// To be called when all listeners are open: a socket that nobody took would let clients connect and wait for ever.
    public func requireAllTaken() throws(InheritedSocketProblem) {
        guard let left = sockets.first else { return }
        let place =
            switch left.address {
            case .port(let port): "port \(port)"
            case .path(let path): path
            }
        throw InheritedSocketProblem(
            description: "the socket \"\(left.name)\" on \(place) was handed over, and the configuration has no such listener")
    }

    private static func address(of descriptor: Int32) -> InheritedSocket.Address? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // The storage is large enough and aligned for every family; the kernel says which one it filled in.
        return withUnsafeMutableBytes(of: &storage) { bytes -> InheritedSocket.Address? in
            guard let base = bytes.baseAddress,
                getsockname(descriptor, base.assumingMemoryBound(to: sockaddr.self), &length) == 0
            else { return nil }
            switch Int32(bytes.load(as: sa_family_t.self)) {
            case AF_INET: return .port(UInt16(bigEndian: bytes.load(as: sockaddr_in.self).sin_port))
            case AF_INET6: return .port(UInt16(bigEndian: bytes.load(as: sockaddr_in6.self).sin6_port))
            case AF_UNIX:
                let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
                let path = bytes[start..<min(Int(length), bytes.count)].prefix { $0 != 0 }
                return .path(String(decoding: path, as: UTF8.self))
            default: return nil
            }
        }
    }
}
