import Glibc

/// One URL to listen on or to advertise. Forms: `http://HOST:PORT`, `https://HOST:PORT`, `unix://PATH`, `unixs://PATH`; a path is
/// refused on the first two, as etcd does.
public struct EndpointURL: Sendable, Hashable, Comparable, CustomStringConvertible {
    public enum Scheme: String, Sendable {
        case http, https, unix, unixs
    }

    public let scheme: Scheme
    /// Host name or address without brackets; empty for `unix` and `unixs`, and where the operator gave only a port.
    public let host: String
    /// 0 for `unix` and `unixs`, and where any free port will do.
    public let port: UInt16
    /// The socket's path, relative or absolute, for `unix` and `unixs`; else empty. etcd joins the URL's host and path, so
    /// `unix://localhost:2379` is the file `localhost:2379` in the working directory.
    public let socketPath: String
    /// The URL as etcd writes it: lower-case scheme, no surrounding blanks. Sorting and comparing use this text.
    public let description: String

    /// Traffic on this URL is encrypted.
    public var isSecure: Bool { scheme == .https || scheme == .unixs }
    /// This URL is a file, not a host and port.
    public var isUnixSocket: Bool { scheme == .unix || scheme == .unixs }
    /// `HOST:PORT`, with brackets around an IPv6 address.
    public var authority: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }
    /// The host is the text of an IPv4 or IPv6 address.
    public var hostIsAddress: Bool { isAddress(host) }

    public static func < (left: EndpointURL, right: EndpointURL) -> Bool {
        left.description.utf8.lexicographicallyPrecedes(right.description.utf8)
    }

    static func http(_ host: String, _ port: UInt16) -> EndpointURL {
        EndpointURL(scheme: .http, host: host, port: port, socketPath: "", description: "http://\(host):\(port)")
    }

    /// The same URL with another host.
    func replacingHost(_ host: String, port: UInt16) -> EndpointURL {
        let bracketed = host.contains(":") ? "[\(host)]" : host
        return EndpointURL(
            scheme: scheme, host: host, port: port, socketPath: "", description: "\(scheme.rawValue)://\(bracketed):\(port)")
    }
}

/// Whether `host` is an IPv4 or IPv6 address in text form.
func isAddress(_ host: String) -> Bool {
    var address = in6_addr()
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1
}

extension EndpointURL {
    /// Reads one URL. The reasons given are etcd's own (`client/pkg/types/urls.go` and Go's `net/url`).
    static func parse(_ given: String) throws(ValueProblem) -> EndpointURL {
        let text = trimmed(given)
        guard !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
            throw ValueProblem(reason: "parse \(goQuoted(text)): net/url: invalid control character in URL")
        }
        guard let (schemeName, rest) = try splitScheme(text) else {
            throw ValueProblem(reason: "URL scheme must be http, https, unix, or unixs: \(text)")
        }
        guard let scheme = Scheme(rawValue: schemeName) else {
            throw ValueProblem(reason: "URL scheme must be http, https, unix, or unixs: \(text)")
        }
        let hierarchy = rest.hasPrefix("//") ? rest.dropFirst(2) : rest[rest.endIndex...]
        let authority = hierarchy.prefix { $0 != "/" }
        let path = rest.hasPrefix("//") ? hierarchy.dropFirst(authority.count) : rest
        for character in ["?", "#", "@"] where rest.contains(character) {
            throw ValueProblem(reason: "URL must not contain a query, a fragment or a user: \(text)")
        }
        if scheme == .unix || scheme == .unixs {
            let socketPath = String(authority + path)
            guard !socketPath.isEmpty else { throw ValueProblem(reason: "URL must name a socket's path: \(text)") }
            let shown = rest.hasPrefix("//") ? "//" + socketPath : socketPath
            return EndpointURL(
                scheme: scheme, host: "", port: 0, socketPath: socketPath, description: "\(scheme.rawValue):\(shown)")
        }
        let (host, port) = try splitAuthority(String(authority), of: text)
        guard path.isEmpty else { throw ValueProblem(reason: "URL must not contain a path: \(text)") }
        return EndpointURL(
            scheme: scheme, host: host, port: port, socketPath: "", description: "\(scheme.rawValue)://\(authority)")
    }

    /// A comma-separated list, sorted by text and without repetitions.
    static func parseList(_ text: String) throws(ValueProblem) -> [EndpointURL] {
        var urls: [EndpointURL] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let url = try parse(String(part))
            if !urls.contains(url) { urls.append(url) }
        }
        return urls.sorted()
    }

    private static func splitScheme(_ text: String) throws(ValueProblem) -> (String, Substring)? {
        let name = text.prefix {
            ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0) || "+-.".contains($0)
        }
        let rest = text.dropFirst(name.count)
        let startsWithLetter = name.first.map { ("a"..."z").contains($0) || ("A"..."Z").contains($0) } ?? false
        if rest.first == ":", startsWithLetter { return (name.lowercased(), rest.dropFirst()) }
        if text.hasPrefix(":") { throw ValueProblem(reason: "parse \(goQuoted(text)): missing protocol scheme") }
        if text.prefix(while: { $0 != "/" }).contains(":") {
            throw ValueProblem(reason: "parse \(goQuoted(text)): first path segment in URL cannot contain colon")
        }
        return nil
    }

    private static func splitAuthority(_ authority: String, of text: String) throws(ValueProblem) -> (String, UInt16) {
        let noPort = ValueProblem(reason: "URL address does not have the form \"host:port\": \(text)")
        let host: Substring
        let portText: Substring
        if authority.hasPrefix("["), let close = authority.firstIndex(of: "]") {
            host = authority[authority.index(after: authority.startIndex)..<close]
            let rest = authority[authority.index(after: close)...]
            guard rest.first == ":" else { throw noPort }
            portText = rest.dropFirst()
        } else {
            guard let colon = authority.lastIndex(of: ":") else { throw noPort }
            host = authority[..<colon]
            portText = authority[authority.index(after: colon)...]
            guard !host.contains(":"), !host.contains("["), !host.contains("]") else { throw noPort }
        }
        if let bad = host.first(where: { " <>\"\\^`{|}".contains($0) }) {
            throw ValueProblem(reason: "parse \(goQuoted(text)): invalid character \(goQuoted(String(bad))) in host name")
        }
        guard portText.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
            throw ValueProblem(reason: "parse \(goQuoted(text)): invalid port \(goQuoted(":" + portText)) after host")
        }
        guard let port = portText.isEmpty ? 0 : UInt16(portText) else {
            throw ValueProblem(reason: "parse \(goQuoted(text)): invalid port \(goQuoted(":" + portText)) after host")
        }
        return (String(host), port)
    }
}

/// A text without leading and trailing ASCII blanks.
func trimmed(_ text: String) -> String {
    let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\n" || $0 == "\r" }
    let start = text.drop(while: isBlank)
    guard let last = start.lastIndex(where: { !isBlank($0) }) else { return "" }
    return String(start[...last])
}
