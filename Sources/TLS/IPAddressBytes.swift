import Glibc

/// An IP address: 4 bytes, or 16. An IPv4 address inside IPv6 (`::ffff:1.2.3.4`) counts as IPv4, as in Go.
public struct IPAddressBytes: Sendable, Hashable, CustomStringConvertible {
    public let bytes: [UInt8]

    /// nil unless there are 4 or 16 bytes.
    public init?(_ bytes: [UInt8]) {
        switch bytes.count {
        case 4: self.bytes = bytes
        case 16:
            let mapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
            self.bytes = mapped ? Array(bytes[12...]) : bytes
        default: return nil
        }
    }

    /// "10.0.8.4", "::1", or "fe80::1%eth0", whose zone does not count.
    public init?(_ text: String) {
        let text = String(text.prefix { $0 != "%" })
        var four = [UInt8](repeating: 0, count: 4)
        var sixteen = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &four) == 1 {
            self.init(four)
        } else if inet_pton(AF_INET6, text, &sixteen) == 1 {
            self.init(sixteen)
        } else {
            return nil
        }
    }

    public var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return "" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
