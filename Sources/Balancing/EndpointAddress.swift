/// Where an endpoint is reached.
public struct EndpointAddress: Hashable, Sendable, CustomStringConvertible {
    public enum Scheme: String, Sendable { case http, https, unix, unixs }

    public let scheme: Scheme
    /// Host name or address without brackets; empty for sockets.
    public let host: String
    /// 0 for sockets.
    public let port: UInt16
    /// The socket's path for `unix` and `unixs`, else empty.
    public let socketPath: String

    /// The client's default port.
    public static let defaultPort: UInt16 = 2379

    public init(scheme: Scheme, host: String, port: UInt16) {
        self.scheme = scheme
        self.host = host
        self.port = port
        socketPath = ""
    }

    public init(scheme: Scheme, socketPath: String) {
        self.scheme = scheme
        self.socketPath = socketPath
        host = ""
        port = 0
    }

    /// Traffic is encrypted.
    public var isSecure: Bool { scheme == .https || scheme == .unixs }
    public var isUnixSocket: Bool { scheme == .unix || scheme == .unixs }

    /// `HOST:PORT` with brackets around an IPv6 address; for a socket its path, or what a Go client sends for one.
    public var authority: String {
        if isUnixSocket { return socketPath }
        return (host.contains(":") ? "[\(host)]" : host) + ":\(port)"
    }

    public var description: String { "\(scheme.rawValue)://\(authority)" }

    /// The host is this machine only: `localhost`, 127.0.0.0/8 or ::1.
    public var isLoopback: Bool {
        isUnixSocket || host == "localhost" || host == "::1" || Self.loopbackNetwork?.matches(self) ?? false
    }

    /// By number: a name may begin with "127." too.
    private static let loopbackNetwork = AddressPattern("127.0.0.0/8")

    /// Reads `HOST:PORT`, `HOST` or a URL with one of the four schemes, as etcd's clients take endpoints.
    /// - Parameter defaultScheme: for an endpoint without one.
    public init(parsing given: String, defaultScheme: Scheme = .http) throws(AddressProblem) {
        let text = Self.withoutBlanks(given)
        guard !text.isEmpty else { throw AddressProblem(reason: "an endpoint is empty") }
        var scheme = defaultScheme
        var rest = text[...]
        if let name = Self.schemeName(text) {
            guard let known = Scheme(rawValue: name.lowercased()) else {
                throw AddressProblem(reason: "endpoint \"\(text)\": the scheme must be http, https, unix or unixs")
            }
            scheme = known
            rest = text.dropFirst(name.utf8.count + 1)
            if rest.hasPrefix("//") { rest = rest.dropFirst(2) }
        }
        if scheme == .unix || scheme == .unixs {
            guard !rest.isEmpty else { throw AddressProblem(reason: "endpoint \"\(text)\" names no socket") }
            self.init(scheme: scheme, socketPath: String(rest))
            return
        }
        while rest.hasSuffix("/") { rest = rest.dropLast() }
        let (host, port) = try Self.hostAndPort(rest, text)
        self.init(scheme: scheme, host: host, port: port)
    }

    private static func withoutBlanks(_ text: String) -> String {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\n" || $0 == "\r" }
        let start = text.drop(while: isBlank)
        guard let last = start.lastIndex(where: { !isBlank($0) }) else { return "" }
        return String(start[...last])
    }

    /// What stands before `://`, or before the colon of `unix:path`.
    private static func schemeName(_ text: String) -> Substring? {
        let name = text.prefix { $0.isASCII && $0.isLetter }
        guard !name.isEmpty, text[name.endIndex...].hasPrefix(":") else { return nil }
        if text[name.endIndex...].hasPrefix("://") { return name }
        return name == "unix" || name == "unixs" ? name : nil
    }

    private static func hostAndPort(_ text: Substring, _ whole: String) throws(AddressProblem) -> (String, UInt16) {
        func problem(_ reason: String) -> AddressProblem { AddressProblem(reason: "endpoint \"\(whole)\": \(reason)") }
        var host = text
        var portText: Substring?
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { throw problem("the bracket is not closed") }
            host = text[text.index(after: text.startIndex)..<close]
            let rest = text[text.index(after: close)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { throw problem("it does not have the form HOST:PORT") }
            portText = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            portText = text[text.index(after: colon)...]
            guard !host.contains(":") else { throw problem("an IPv6 address needs brackets") }
        }
        guard !host.isEmpty, host.utf8.allSatisfy({ Self.isHostByte($0) }) else { throw problem("it does not name a host") }
        guard let portText else { return (String(host), defaultPort) }
        guard let port = UInt16(portText), port > 0 else { throw problem("the port must be a number from 1 to 65535") }
        return (String(host), port)
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "%"): return true
        default: return false
        }
    }
}

/// Why a text is no endpoint.
public struct AddressProblem: Error, Equatable, Sendable {
    public let reason: String
    public init(reason: String) { self.reason = reason }
}
