import Bytes
import Raft
import Records

/// One member as `--initial-cluster` names it.
public struct NamedMember: Equatable, Sendable {
    public let name: String
    /// Sorted.
    public let peerURLs: [String]

    public init(name: String, peerURLs: [String]) {
        self.name = name
        self.peerURLs = peerURLs.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }
}

/// A cluster that is there already, as one of its members tells it (`GET /members` on a peer port).
public struct RunningCluster: Equatable, Sendable {
    public let id: UInt64
    /// In rising order of ids.
    public let members: [MemberRecord]

    public init(id: UInt64, members: [MemberRecord]) {
        self.id = id
        self.members = members.sorted { $0.id < $1.id }
    }

    /// - Parameter header: the answer's `X-Etcd-Cluster-ID`.
    public init(decodingJSON bytes: [UInt8], header: String?) throws(DecodeError) {
        guard let header, let id = MemberIdentity.parse(header) else { throw .invalid("no cluster id in the answer's header") }
        self.init(id: id, members: try MemberRecord.list(decodingJSON: bytes))
    }
}

/// What a member says of its release (`GET /version` on a peer port).
public struct PeerVersions: Equatable, Sendable {
    public var server: ClusterVersion?
    /// Nil while the cluster has not agreed on one.
    public var cluster: ClusterVersion?
    /// It names itself Quorate, in a field that etcd's members do not write and do not look at.
    public var isQuorate: Bool

    public init(server: ClusterVersion?, cluster: ClusterVersion?, isQuorate: Bool = false) {
        self.server = server
        self.cluster = cluster
        self.isQuorate = isQuorate
    }

    public init(decodingJSON bytes: [UInt8]) throws(DecodeError) {
        let json: JSON
        do { json = try JSON(parsing: bytes) } catch { throw .invalid(error.description) }
        server = json["etcdserver"]?.string.flatMap { try? ClusterVersion(parsing: $0.release) }
        cluster = json["etcdcluster"]?.string.flatMap { try? ClusterVersion(parsing: $0.release) }
        isQuorate = json["quorate"]?.string != nil
    }
}

extension String {
    /// A version without what marks a pre-release (`3.6.0-rc.1`).
    fileprivate var release: String { String(prefix { $0 != "-" && $0 != "+" }) }
}

/// Why a member cannot found or join its cluster, in etcd's words where it has some.
public enum BootstrapRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    case alreadyBootstrapped(MemberID)
    case noAnswer
    case countDiffers(RunningCluster)
    case noMatch(MemberRecord, RunningCluster)
    case incompatible(String)

    public var description: String {
        switch self {
        case .alreadyBootstrapped(let id): "member \(MemberIdentity.text(id)) has already been bootstrapped"
        case .noAnswer: "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs"
        case .countDiffers(let cluster): "error validating peerURLs \(cluster.text): member count is unequal"
        case .noMatch(let member, let cluster):
            "error validating peerURLs \(cluster.text): PeerURLs: no match found for existing member "
                + "(\(MemberIdentity.text(member.id)), [\(member.peerURLs.joined(separator: " "))])"
        case .incompatible(let reason): "incompatible with current running cluster: \(reason)"
        }
    }
}

extension RunningCluster {
    fileprivate var text: String {
        let list = members.map { "\(MemberIdentity.text($0.id))=[\($0.peerURLs.joined(separator: " "))]" }
        return "{ClusterID:\(MemberIdentity.text(id)) Members:[\(list.joined(separator: " "))]}"
    }
}

/// How a member's first start finds out who it is.
public enum Bootstrap {
    /// The members of a cluster that is founded: everybody computes the same ids from the same settings.
    public static func founders(_ named: [NamedMember], token: String) -> [MemberRecord] {
        named.map { member in
            MemberRecord(
                id: MemberIdentity.memberID(peerURLs: member.peerURLs, clusterToken: token), name: member.name,
                peerURLs: member.peerURLs)
        }.sorted { $0.id < $1.id }
    }

    /// Whether the running cluster knows a founder as a member that has served already: then its data is lost, and founding again
    /// would fork the log.
    public static func check(_ founder: MemberRecord, isNewTo running: RunningCluster?) throws(BootstrapRefusal) {
        guard let known = running?.members.first(where: { $0.id == founder.id }), !known.clientURLs.isEmpty else { return }
        throw .alreadyBootstrapped(founder.id)
    }

    /// Gives every named member the id under which the running cluster knows its URLs.
    ///
    /// - Parameter areEqual: compares two sorted lists of URLs, after resolving host names where need be.
    public static func identify(
        _ named: [NamedMember], in running: RunningCluster, areEqual: ([String], [String]) -> Bool
    ) throws(BootstrapRefusal) -> [MemberRecord] {
        guard named.count == running.members.count else { throw .countDiffers(running) }
        var identified: [MemberRecord] = []
        for member in running.members {
            let urls = member.peerURLs.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            guard let match = named.first(where: { areEqual(urls, $0.peerURLs) }) else { throw .noMatch(member, running) }
            identified.append(MemberRecord(id: member.id, name: match.name, peerURLs: match.peerURLs))
        }
        return identified
    }

    /// The version a joining member behaves as.
    ///
    /// - Parameters:
    ///   - answers: of the members that answered.
    ///   - wanted: what the operator asked for; nil follows the cluster.
    public static func version(
        answers: [PeerVersions], wanted: ClusterVersion?
    ) throws(BootstrapRefusal) -> ClusterVersion {
        guard let cluster = answers.compactMap(\.cluster).max() else {
            throw .incompatible("no member answered with the cluster's version")
        }
        let servers = answers.compactMap(\.server).map { ClusterVersion($0.major, $0.minor) }
        // A makeshift until every member has been heard of.
        let isUndecided = cluster == ClusterVersion(3, 0)
        let agreed = isUndecided ? servers.min() ?? ClusterVersion(3, 5) : ClusterVersion(cluster.major, cluster.minor)
        guard agreed >= ClusterVersion(3, 5) else {
            throw .incompatible("the cluster is at version \(agreed.major).\(agreed.minor), and 3.5 is the lowest there is")
        }
        guard agreed <= ClusterVersion(3, 7) else {
            throw .incompatible("the cluster is at version \(agreed.major).\(agreed.minor), and 3.7 is the highest there is")
        }
        guard let wanted else { return agreed }
        let own = ClusterVersion(wanted.major, wanted.minor)
        guard own >= agreed else {
            throw .incompatible(
                "the cluster is at version \(agreed.major).\(agreed.minor), and this member behaves as \(own.major).\(own.minor)")
        }
        try check(answers, fit: own)
        return wanted
    }

    /// Whether a member of a release and those that answered fit into one cluster.
    public static func check(_ answers: [PeerVersions], fit own: ClusterVersion) throws(BootstrapRefusal) {
        if let reason = answers.compactMap(\.server).compactMap({ own.misfit(with: $0) }).first { throw .incompatible(reason) }
    }
}
