import Records

/// When a leader raises or lowers the version that its cluster works at, and when a downgrade is over. As etcd's leaders decide it
/// (`server/etcdserver/version/monitor.go` of 3.6, `cluster_util.go` and `server.go` of 3.5).
public struct ClusterVersionRule: Sendable {
    /// What a cluster is said to be while some of its members have never been heard of (etcd's `MinClusterVersion`).
    public static let undecided = ClusterVersion(3, 0)

    /// The release the leader behaves as; patch levels do not matter.
    private let own: ClusterVersion

    public init(behavingAs release: ClusterVersion) { own = release.withoutPatch }

    /// The version to agree on next, nil to leave it. `others`: what the other members run, nil for those that do not answer.
    public func next(present: ClusterVersion?, others: [ClusterVersion?], downgrade: DowngradeRecord?) -> ClusterVersion? {
        let known = others.compactMap { $0?.withoutPatch }
        let lowest = known.count == others.count ? known.reduce(own, min) : nil
        guard let present else { return lowest ?? ClusterVersionRule.undecided }
        guard let lowest else { return nil }
        guard let target = ClusterVersionRule.target(of: downgrade) else { return lowest > present ? lowest : nil }
        // Members of 3.5 lower the version once somebody runs the lower release; since 3.6 it goes first, and storage and members follow.
        let mayFollow = own < ClusterVersion(3, 6) ? lowest == target : lowest <= target.nextMinor
        return present == target.nextMinor && mayFollow ? target : nil
    }

    /// Whether every member runs the release that a downgrade was for.
    public func isOver(_ downgrade: DowngradeRecord?, others: [ClusterVersion?]) -> Bool {
        guard let target = ClusterVersionRule.target(of: downgrade) else { return false }
        return own == target && others.allSatisfy { $0?.withoutPatch == target }
    }

    private static func target(of downgrade: DowngradeRecord?) -> ClusterVersion? {
        guard let downgrade, downgrade.isEnabled else { return nil }
        return try? ClusterVersion(parsing: downgrade.targetVersion).withoutPatch
    }
}

extension ClusterVersion {
    fileprivate var withoutPatch: ClusterVersion { ClusterVersion(major, minor) }
    fileprivate var nextMinor: ClusterVersion { ClusterVersion(major, minor + 1) }
}
