/// Finds the members of a cluster that is founded or joined in DNS, as etcd does (`client/pkg/srv` and `server/embed` of etcd 3.5): the
/// records of `_etcd-server-ssl._tcp` are members under https, those of `_etcd-server._tcp` under http. The record that leads to an
/// address this member advertises is its own and gets its name; the others are numbered, and tell their names once the cluster runs.
public struct ClusterDiscovery: Sendable {
    /// A URL under which this member is to be found.
    public struct Advertised: Sendable, Equatable {
        public let scheme: String
        public let host: String
        public let port: UInt16

        public init(scheme: String, host: String, port: UInt16) {
            self.scheme = scheme
            self.host = host
            self.port = port
        }
    }

    /// What one of the two services says.
    public struct Finding: Sendable, Equatable {
        /// "https" or "http".
        public let scheme: String
        /// "etcd-server-ssl", with the suffix.
        public let service: String
        /// "NAME=URL" each.
        public internal(set) var members: [String] = []
        public internal(set) var problem: String?
    }

    private struct Place: Hashable {
        let address: String
        let port: UInt16
    }

    private let domain: String
    private let suffix: String
    private let name: String
    private let advertised: [Advertised]
    private var nextNumber = 0

    public init(domain: String, suffix: String, name: String, advertised: [Advertised]) {
        self.domain = domain
        self.suffix = suffix
        self.name = name
        self.advertised = advertised
    }

    /// Asks for both services, https first.
    public mutating func find(
        in names: some NameService, using random: inout some RandomNumberGenerator
    ) -> [Finding] {
        [true, false].map { isSecure in
            let label = ServiceName.label("etcd-server", isSecure: isSecure, suffix: suffix)
            var finding = Finding(scheme: isSecure ? "https" : "http", service: label)
            do throws(LookupProblem) {
                let own = try ownPlaces(names)
                let records = try names.records(of: ServiceName.full(label, domain: domain)).ordered(using: &random)
                for record in records { add(record, to: &finding, own, names) }
            } catch {
                finding.problem = "\(error)"
            }
            // A record that cannot be used matters only where none can.
            if !finding.members.isEmpty { finding.problem = nil }
            finding.problem = finding.problem.map { "error querying DNS SRV records for _\(label) \($0)" }
            return finding
        }
    }

    private func ownPlaces(_ names: some NameService) throws(LookupProblem) -> [Place: Advertised] {
        var places: [Place: Advertised] = [:]
        for each in advertised { places[Place(address: try names.address(of: each.host), port: each.port)] = each }
        return places
    }

    private mutating func add(
        _ record: ServiceRecord, to finding: inout Finding, _ own: [Place: Advertised], _ names: some NameService
    ) {
        let place: Place
        do throws(LookupProblem) {
            place = Place(address: try address(of: record, names), port: record.port)
        } catch {
            finding.problem = "\(error)"
            return
        }
        let url = "\(finding.scheme)://\(record.target):\(record.port)"
        guard let mine = own[place] else {
            finding.members.append("\(freshNumber())=\(url)")
            return
        }
        guard mine.scheme == finding.scheme else {
            finding.problem =
                "bootstrap at \(url) from DNS for \(finding.service) has scheme mismatch with expected peer "
                + "\(mine.scheme)://\(mine.host):\(mine.port)"
            return
        }
        finding.members.append("\(name)=\(url)")
    }

    /// Names in records are whole ones; those in this host's own table are written without the dot that says so.
    private func address(of record: ServiceRecord, _ names: some NameService) throws(LookupProblem) -> String {
        do throws(LookupProblem) { return try names.address(of: record.target + ".") } catch {
            return try names.address(of: record.target)
        }
    }

    /// The numbers of both services go on from each other: what the two name are different URLs, and a name that came twice would make
    /// one member of two.
    private mutating func freshNumber() -> String {
        defer { nextNumber += 1 }
        if String(nextNumber) == name { nextNumber += 1 }
        return String(nextNumber)
    }
}
