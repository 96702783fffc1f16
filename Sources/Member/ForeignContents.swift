import Bytes
import EtcdAPI
import Raft
import Records

/// What a directory may hold that a member cannot go on with, found before the member takes part in anything.
struct ForeignContents {
    let confState: ConfState
    /// Users' keys in the v2 store of the newest snapshot.
    let userKeys: Int
    /// After the newest snapshot.
    let entries: [Entry]
    /// What the cluster agreed on by the page file.
    let clusterVersion: ClusterVersion?
    let downgrade: DowngradeRecord?

    /// Why a member that behaves as this release does not start; empty where it does.
    func refusals(behavingAs release: ClusterVersion) -> [String] {
        var reasons: [String] = []
        if let reason = refusalOfVersion(release) { reasons.append(reason) }
        if !confState.votersOutgoing.isEmpty || !confState.learnersNext.isEmpty {
            reasons.append("the newest snapshot is of a joint configuration, which no release of etcd has")
        }
        if userKeys > 0 {
            reasons.append("the newest snapshot holds \(userKeys) keys of users of the v2 API, which is not served")
        }
        var bare = 0
        for entry in entries {
            if entry.kind != .normal {
                if let reason = ForeignContents.refusal(of: entry) { reasons.append("entry \(entry.index): \(reason)") }
            } else if let request = ForeignContents.bareV2(entry) {
                if request.writesUserKeys { reasons.append("entry \(entry.index): a v2 write to \(request.path)") }
                bare += 1
            }
        }
        if bare > 0, release >= ClusterVersion(3, 7) {
            reasons.append(
                "\(bare) of the entries after the newest snapshot are v2 requests of etcd 3.5, which members of 3.7 cannot read: let it "
                    + "write a snapshot as a member of 3.6 first (--snapshot-count)")
        }
        return reasons
    }

    /// As etcd's `MustDetectDowngrade`, and its rule that a cluster rises by one release at a time. A directory of 3.4 comes from a
    /// cluster that was stopped as a whole, or its members are found to be of 3.4.
    private func refusalOfVersion(_ release: ClusterVersion) -> String? {
        guard let version = clusterVersion, version >= ClusterVersion(3, 5) else { return nil }
        let own = ClusterVersion(release.major, release.minor)
        if version > own {
            if let target = downgrade, target.isEnabled, target.targetVersion == own.description { return nil }
            return "the cluster is of version \(version), and this member behaves as \(own)"
        }
        return own.misfit(with: version).map { _ in
            "the cluster is of version \(version), this member behaves as \(own), and etcd is upgraded one release at a time"
        }
    }

    /// etcd proposes changes of one member in their first form, and stops at any other.
    static func refusal(of entry: Entry) -> String? {
        if entry.kind == .configurationChange { return nil }
        return "a joint change of the configuration, which no release of etcd applies"
    }

    private static func bareV2(_ entry: Entry) -> V2Request? {
        guard !entry.data.isEmpty, (try? InternalRaftRequest(decoding: entry.data)) == nil else { return nil }
        return try? V2Request(decoding: entry.data)
    }
}
