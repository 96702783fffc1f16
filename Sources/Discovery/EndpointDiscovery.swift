/// Finds the client endpoints of a cluster in DNS, as etcd's proxies and tools do: `_etcd-client-ssl._tcp` for https and, where plain
/// ones are allowed, `_etcd-client._tcp` for http.
public struct EndpointDiscovery: Sendable {
    public struct Endpoint: Hashable, Sendable {
        public let isSecure: Bool
        public let record: ServiceRecord

        public init(isSecure: Bool, record: ServiceRecord) {
            self.isSecure = isSecure
            self.record = record
        }
    }

    public let domain: String
    private let suffix: String
    private let allowsPlain: Bool

    public init(domain: String, suffix: String, allowsPlain: Bool) {
        self.domain = domain
        self.suffix = suffix
        self.allowsPlain = allowsPlain
    }

    /// The secure ones first, each kind in the order of its records.
    public func find(
        in names: some NameService, using random: inout some RandomNumberGenerator
    ) throws(LookupProblem) -> FoundEndpoints<Endpoint> {
        var found: [Endpoint] = []
        var problems: [LookupProblem] = []
        for isSecure in allowsPlain ? [true, false] : [true] {
            let label = ServiceName.label("etcd-client", isSecure: isSecure, suffix: suffix)
            do throws(LookupProblem) {
                let records = try names.records(of: ServiceName.full(label, domain: domain)).ordered(using: &random)
                found += records.map { Endpoint(isSecure: isSecure, record: $0) }
            } catch {
                problems.append(error)
            }
        }
        let isComplete = problems.allSatisfy(\.isAbsence)
        guard found.isEmpty else { return FoundEndpoints(endpoints: found, isComplete: isComplete) }
        var text = "dns lookup errors: " + problems.map(\.description).joined(separator: "; ")
        if !allowsPlain { text += "; endpoints without TLS are looked for with --insecure-discovery only" }
        throw LookupProblem(text, isAbsence: isComplete)
    }
}
