import Bytes
import Raft

/// Who belongs to the cluster at one index of the log, and the version the cluster has agreed on.
///
/// etcd 3.5 keeps it in its v2 store, whose JSON is the content of `.snap` files and snapshot messages.
public struct MembershipRecord: Equatable, Sendable {
    /// In rising order of their ids.
    public var members: [MemberRecord]
    /// Ids that may never come back, rising.
    public var removed: [MemberID]
    /// Nil until the first leader has set it.
    public var clusterVersion: ClusterVersion?
    /// Kept in the `cluster` bucket only; the v2 store does not know it.
    public var downgrade: DowngradeRecord?

    public init(
        members: [MemberRecord] = [], removed: [MemberID] = [], clusterVersion: ClusterVersion? = nil,
        downgrade: DowngradeRecord? = nil
    ) {
        self.members = members.sorted { $0.id < $1.id }
        self.removed = removed.sorted()
        self.clusterVersion = clusterVersion
        self.downgrade = downgrade
    }

    /// Reads the JSON of a v2 store as etcd 3.4 to 3.7 write it; users' keys under `/1` and `/2` are passed over.
    public init(decodingV2Store bytes: [UInt8]) throws(DecodeError) {
        let json = try JSON(record: bytes, maximumDepth: 2 * JSON.maximumDepth)
        guard let root = json["Root"] else { throw .invalid("v2 store without its root") }
        self.init()
        guard let cluster = V2Store.child("0", of: root) else { return }
        for field in V2Store.children(of: V2Store.child("members", of: cluster)) {
            members.append(try V2Store.member(field))
        }
        for field in V2Store.children(of: V2Store.child("removed_members", of: cluster)) {
            removed.append(try V2Store.memberID(field.name))
        }
        if let version = V2Store.child("version", of: cluster) {
            clusterVersion = try ClusterVersion(parsing: try V2Store.value(version))
        }
        members.sort { $0.id < $1.id }
        removed.sort()
    }

    /// How many keys of users a v2 store holds: everything beside the membership under `/0`.
    public static func userKeys(inV2Store bytes: [UInt8]) throws(DecodeError) -> Int {
        let json = try JSON(record: bytes, maximumDepth: 2 * JSON.maximumDepth)
        guard let root = json["Root"] else { throw .invalid("v2 store without its root") }
        return V2Store.children(of: root).filter { $0.name != "0" }.reduce(0) { $0 + V2Store.keys(below: $1.value) }
    }

    /// The JSON of a v2 store that holds exactly this membership and no user's key. Equal memberships give equal bytes.
    public var v2Store: [UInt8] {
        var builder = V2Store.Builder()
        return builder.store(of: self).bytes()
    }
}
