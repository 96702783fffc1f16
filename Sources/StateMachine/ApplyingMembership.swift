import Backend
import Bytes
import EtcdAPI
import MVCC
import Membership
import Raft
import Records

extension StateMachine {
    /// Carries out a validated configuration change, or says why it is refused; either way the log goes on.
    public func applyMembership(_ change: ConfigurationChange, index: UInt64, term: UInt64) -> Result<Void, MembershipRefusal> {
        let isNew = index > appliedIndex
        let result = changeMembership(stored: isNew) { (membership) throws(MembershipRefusal) in try membership.apply(change) }
        if isNew { advance(index, term) }
        return result
    }

    /// Entries up to the applied index are in the buckets already; membership itself is derived from all of them.
    func changeMembership(
        stored: Bool, _ body: (inout Membership) throws(MembershipRefusal) -> Void
    ) -> Result<Void, MembershipRefusal> {
        let before = membership.record
        do throws(MembershipRefusal) { try body(&membership) } catch { return .failure(error) }
        if stored { storeMembership(from: before) }
        return .success(())
    }

    /// Writes what differs from `before` to the buckets etcd keeps membership in.
    public func storeMembership(from before: MembershipRecord) {
        let after = membership.record
        for member in after.members where !before.members.contains(member) {
            store.put(.members, key: Self.memberKey(member.id), value: member.json)
        }
        for member in before.members where !after.members.contains(where: { $0.id == member.id }) {
            store.delete(.members, key: Self.memberKey(member.id))
        }
        for id in after.removed where !before.removed.contains(id) {
            store.put(.membersRemoved, key: Self.memberKey(id), value: Array("removed".utf8))
        }
        for id in before.removed where !after.removed.contains(id) {
            store.delete(.membersRemoved, key: Self.memberKey(id))
        }
        if let version = after.clusterVersion, version != before.clusterVersion {
            store.put(.cluster, key: Array("clusterVersion".utf8), value: Array(version.description.utf8))
        }
        if let downgrade = after.downgrade, downgrade != before.downgrade {
            store.put(.cluster, key: Array("downgrade".utf8), value: downgrade.json)
        }
    }

    static func memberKey(_ id: MemberID) -> [UInt8] { Array(MemberIdentity.text(id).utf8) }

    /// A bare request of the old API: etcd 3.5 publishes member attributes and the cluster version with it.
    func applyV2(_ request: V2Request, index: UInt64) throws(UnappliableEntry) -> [ApplyEffect] {
        let isNew = index > appliedIndex
        guard request.method == "PUT" else {
            // SYNC and QGET change nothing that v3 knows; other writes went out of use before 3.5.
            if request.method == "SYNC" || request.method == "QGET" { return [] }
            throw UnappliableEntry(index: index, reason: "a v2 request with method \(request.method)")
        }
        let parts = request.path.split(separator: "/")
        if parts == ["0", "version"] {
            guard let version = try? ClusterVersion(parsing: String(decoding: request.value, as: UTF8.self)) else {
                throw UnappliableEntry(index: index, reason: "a cluster version that is none")
            }
            _ = changeMembership(stored: isNew) { $0.setClusterVersion(version) }
            return [.clusterVersionChanged]
        }
        if parts.count == 4, parts[0] == "0", parts[1] == "members", parts[3] == "attributes",
            let id = MemberIdentity.parse(parts[2])
        {
            var attributes = MemberRecord(id: id)
            do { try attributes.decodeAttributes(json: request.value) } catch {
                throw UnappliableEntry(index: index, reason: "member attributes: \(error)")
            }
            _ = changeMembership(stored: isNew) {
                $0.setAttributes(id, name: attributes.name, clientURLs: attributes.clientURLs)
            }
            return []
        }
        throw UnappliableEntry(index: index, reason: "a v2 write to \(request.path)")
    }
}
