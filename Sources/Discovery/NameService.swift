/// Why a name was not found, as text for the operator; it names what was asked for.
public struct LookupProblem: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
    /// The name servers know that there is no such name; anything else may be over in a moment.
    public let isAbsence: Bool

    public init(_ description: String, isAbsence: Bool) {
        self.description = description
        self.isAbsence = isAbsence
    }
}

/// What answers questions about names. The questions wait for the network: never ask them on an event loop.
public protocol NameService: Sendable {
    /// The SRV records of `name`, one at least, in any order.
    func records(of name: String) throws(LookupProblem) -> [ServiceRecord]
    /// The address of a host, an IPv4 one if it has any, as numbers: "10.0.0.1", "fe80::1". An address is its own.
    func address(of host: String) throws(LookupProblem) -> String
}

/// The names of etcd's services. `suffix` is `--discovery-srv-name`.
enum ServiceName {
    /// As it stands before the domain, without underscore: "etcd-server-ssl-suffix".
    static func label(_ service: String, isSecure: Bool, suffix: String) -> String {
        service + (isSecure ? "-ssl" : "") + (suffix.isEmpty ? "" : "-" + suffix)
    }

    static func full(_ label: String, domain: String) -> String { "_\(label)._tcp.\(domain)" }
}
