import HTTP2
import Host
import Raft
import Records

/// Who the local member is and how it deals with its peers.
public struct PeerSettings: Sendable {
    public var localID: MemberID
    public var clusterID: UInt64
    /// Where peers reach the local member: `--initial-advertise-peer-urls`.
    public var advertisedURLs: [String]
    /// The etcd release the member behaves as, always three numbers: Go members panic on less.
    public var serverVersion: ClusterVersion
    /// The lowest release whose members it works with, which peers are told and heed; etcd 3.5 to 3.7 say 3.0.0.
    public var minimumClusterVersion = ClusterVersion(3, 0, 0)
    /// A stream nothing is read from for so long is given up (`--raft-read-timeout`); peers have the same.
    public var readTimeout: Duration = .seconds(5)
    /// A stream that takes nothing for so long is given up (`--raft-write-timeout`).
    public var writeTimeout: Duration = .seconds(5)
    /// Database bytes sent to one peer a second; nil: no limit.
    public var snapshotBytesPerSecond: Int?

    public init(localID: MemberID, clusterID: UInt64, advertisedURLs: [String], serverVersion: ClusterVersion) {
        self.localID = localID
        self.clusterID = clusterID
        self.advertisedURLs = advertisedURLs
        self.serverVersion = serverVersion
    }

    /// What every request to a peer carries (rafthttp).
    var requestFields: [HTTPField] {
        [
            HTTPField("X-Server-From", MemberIdentity.text(localID)),
            HTTPField("X-Server-Version", serverVersion.description),
            HTTPField("X-Min-Cluster-Version", minimumClusterVersion.description),
            HTTPField("X-Etcd-Cluster-ID", MemberIdentity.text(clusterID)),
            HTTPField("X-PeerURLs", advertisedURLs.joined(separator: ",")),
        ]
    }

    /// Why a request with these fields is refused with status 412, nil when it is not.
    func refusal(of request: HTTPRequest) -> Refusal? {
        guard let server = version(request.first("x-server-version")),
            let lowest = version(request.first("x-min-cluster-version"))
        else { return .incompatibleVersion }
        // Patch levels do not matter.
        if isLower(server, minimumClusterVersion) || isLower(serverVersion, lowest) || serverVersion.misfit(with: server) != nil {
            return .incompatibleVersion
        }
        return request.first("x-etcd-cluster-id") == MemberIdentity.text(clusterID) ? nil : .clusterMismatch
    }

    /// The texts are what members look for in the answer.
    enum Refusal: String {
        case incompatibleVersion = "incompatible version"
        case clusterMismatch = "cluster ID mismatch"
    }

    /// A version of two numbers is not etcd's; releases before 2.1 send none.
    private func version(_ text: String?) -> ClusterVersion? {
        guard let text else { return ClusterVersion(2, 0, 0) }
        // Pre-releases: 3.7.0-rc.1.
        return try? ClusterVersion(parsing: String(text.prefix { $0 != "-" && $0 != "+" }))
    }

    private func isLower(_ a: ClusterVersion, _ b: ClusterVersion) -> Bool { (a.major, a.minor) < (b.major, b.minor) }

    /// Why nothing is to be read from a peer that answers with this version, nil where it is a fit.
    func refusal(ofPeerAt text: String?) -> String? {
        guard let version = version(text) else { return "the peer's version \(text ?? "") is none" }
        return serverVersion.misfit(with: version)
    }
}

/// A member and where it listens for its peers.
public struct PeerMember: Equatable, Sendable {
    public var id: MemberID
    public var urls: [String]

    public init(id: MemberID, urls: [String]) {
        self.id = id
        self.urls = urls
    }
}
