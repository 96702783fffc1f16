import Glibc
import NIOCore
import NIOPosix

/// What the operating system knows of names and addresses. Calls block.
protocol NameResolver: Sendable {
    /// Names of an address, without a final dot.
    func names(of address: IPAddressBytes) -> [String]
    func addresses(of name: String) -> [IPAddressBytes]
}

/// Compares a client's address with its certificate as etcd does: an address in the certificate must be the client's, or a name must
/// belong to it. Source: `checkCertSAN` in `client/pkg/transport/listener_tls.go`.
struct AddressCheck: Sendable {
    let resolver: any NameResolver

    init(_ resolver: any NameResolver) { self.resolver = resolver }

    enum Answer: Equatable {
        case valid
        case refused(TLSError)
        /// Names have to be resolved: ``resolve(_:address:)``, which blocks.
        case unknown
    }

    static func compare(_ identity: TLSPeerIdentity, address: String) -> Answer {
        if identity.ipAddresses.isEmpty, identity.dnsNames.isEmpty { return .valid }
        guard let bytes = IPAddressBytes(address) else { return .valid }
        if identity.ipAddresses.contains(bytes) { return .valid }
        return identity.dnsNames.isEmpty ? .refused(.handshake(identity.mismatch(with: address))) : .unknown
    }

    func resolve(_ identity: TLSPeerIdentity, address: String) -> Answer {
        guard let bytes = IPAddressBytes(address) else { return .valid }
        let wildcards = identity.dnsNames.filter { $0.hasPrefix("*.") }.map { $0.dropFirst() }
        let names = identity.dnsNames.filter { !$0.hasPrefix("*.") }
        for name in resolver.names(of: bytes) where names.contains(name) || wildcards.contains(where: { name.hasSuffix($0) }) {
            return .valid
        }
        for name in names where resolver.addresses(of: name).contains(bytes) { return .valid }
        let listed = identity.dnsNames.map { "\"\($0)\"" }.joined(separator: " ")
        return .refused(.handshake("tls: \"\(address)\" does not match any of DNSNames [\(listed)]"))
    }
}

/// `getnameinfo` and `getaddrinfo`.
struct SystemResolver: NameResolver {
    func names(of address: IPAddressBytes) -> [String] {
        guard let socketAddress = try? SocketAddress(ipAddress: address.description, port: 0) else { return [] }
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let result = socketAddress.withSockAddr { pointer, size in
            getnameinfo(pointer, socklen_t(size), &host, socklen_t(host.count), nil, 0, NI_NAMEREQD)
        }
        guard result == 0 else { return [] }
        let name = String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return [name.hasSuffix(".") ? String(name.dropLast()) : name]
    }

    func addresses(of name: String) -> [IPAddressBytes] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var found: [IPAddressBytes] = []
        var next = list
        while let entry = next?.pointee {
            next = entry.ai_next
            guard let raw = UnsafeRawPointer(entry.ai_addr) else { continue }
            var bytes: [UInt8]?
            if entry.ai_family == AF_INET {
                bytes = withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in.self).sin_addr) { Array($0) }
            } else if entry.ai_family == AF_INET6 {
                bytes = withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr) { Array($0) }
            }
            if let bytes, let address = IPAddressBytes(bytes) { found.append(address) }
        }
        return found
    }
}
