/// Where a member listens for its peers: one of its peer URLs, without path.
public struct PeerURL: Hashable, Sendable, CustomStringConvertible {
    public enum Address: Hashable, Sendable {
        case tcp(host: String, port: Int)
        case unix(path: String)
    }

    public let address: Address
    /// `https` and `unixs`.
    public let isEncrypted: Bool
    /// Scheme and authority, as given.
    public let description: String
    /// What follows the scheme: the `Host` field of requests.
    public let authority: String

    /// Reads `http://10.0.0.1:2380`; nil when it is no URL of a peer. A path is passed over.
    public init?(_ text: String) {
        guard let scheme = text.range(of: "://") else { return nil }
        let name = text[..<scheme.lowerBound].lowercased()
        let rest = text[scheme.upperBound...].prefix { $0 != "/" }
        guard !rest.isEmpty, rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return nil }
        switch name {
        case "http", "https":
            guard let address = PeerURL.tcp(rest, defaultPort: name == "http" ? 80 : 443) else { return nil }
            self.address = address
        case "unix", "unixs": address = .unix(path: String(rest))
        default: return nil
        }
        isEncrypted = name.hasSuffix("s")
        authority = String(rest)
        description = "\(name)://\(rest)"
    }

    /// The name that a certificate has to carry.
    public var serverName: String {
        switch address {
        case .tcp(let host, _): host
        case .unix(let path): String(path.prefix { $0 != ":" })
        }
    }

    private static func tcp(_ authority: Substring, defaultPort: Int) -> Address? {
        var host = authority
        var port = defaultPort
        let afterBracket = authority.lastIndex(of: "]") ?? authority.startIndex
        if let colon = authority[afterBracket...].lastIndex(of: ":") {
            guard let number = UInt16(authority[authority.index(after: colon)...]), number > 0 else { return nil }
            port = Int(number)
            host = authority[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return host.isEmpty ? nil : .tcp(host: String(host), port: port)
    }
}

extension String {
    /// The first place where `text` stands.
    fileprivate func range(of text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}

/// Which of a peer's URLs is used: the same one until it fails, then the next.
struct URLPicker: Sendable {
    let urls: [PeerURL]
    private var position = 0

    init(_ urls: [PeerURL]) { self.urls = urls }

    var current: PeerURL? { urls.isEmpty ? nil : urls[position] }

    mutating func failed(_ url: PeerURL) {
        if url == current { position = (position + 1) % urls.count }
    }
}
