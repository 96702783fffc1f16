import Membership
import Records
import Testing

@Suite struct ClusterVersionRuleTests {
    private static let v35 = ClusterVersion(3, 5)
    private static let v36 = ClusterVersion(3, 6)
    private static let v37 = ClusterVersion(3, 7)

    private func next(
        _ own: ClusterVersion, _ present: ClusterVersion?, _ others: [ClusterVersion?] = [], downgradeTo target: String? = nil
    ) -> ClusterVersion? {
        ClusterVersionRule(behavingAs: own).next(present: present, others: others, downgrade: target.map(Self.downgrade))
    }

    private static func downgrade(to target: String) -> DowngradeRecord {
        DowngradeRecord(targetVersion: target, isEnabled: true)
    }

    @Test func theLowestReleaseDecides() {
        #expect(next(Self.v36, nil) == Self.v36)
        #expect(next(ClusterVersion(3, 6, 14), nil, [ClusterVersion(3, 7, 1)]) == Self.v36)
        #expect(next(Self.v36, Self.v35, [ClusterVersion(3, 5, 30), Self.v36]) == nil)
        #expect(next(Self.v36, Self.v35, [Self.v36, ClusterVersion(3, 6, 14)]) == Self.v36)
        // Only a makeshift, while somebody does not answer.
        #expect(next(Self.v36, nil, [Self.v36, nil]) == ClusterVersionRule.undecided)
        #expect(next(Self.v36, ClusterVersionRule.undecided, [Self.v36, nil]) == nil)
        #expect(next(Self.v36, Self.v35, [Self.v36, nil]) == nil)
    }

    @Test func versionsDoNotFallByThemselves() {
        #expect(next(Self.v36, Self.v36, [Self.v35]) == nil)
        #expect(next(Self.v35, Self.v36) == nil)
    }

    /// Since 3.6 the cluster's version is lowered while all still run the higher release: the members' storage follows, then they do.
    @Test func aDowngradeLowersTheVersionFirst() {
        #expect(next(Self.v36, Self.v36, [Self.v36], downgradeTo: "3.5.0") == Self.v35)
        #expect(next(Self.v37, Self.v37, downgradeTo: "3.6.0") == Self.v36)
        #expect(next(Self.v36, Self.v36, [nil], downgradeTo: "3.5.0") == nil)
        // Nor does it rise again before the members have followed.
        #expect(next(Self.v36, Self.v35, [Self.v36], downgradeTo: "3.5.0") == nil)
        #expect(next(Self.v36, Self.v35, [Self.v35], downgradeTo: "3.5.0") == nil)
        // It is called off.
        #expect(next(Self.v36, Self.v35, [Self.v36]) == Self.v36)
    }

    /// Leaders of 3.5 wait until somebody runs the lower release.
    @Test func asVersion35TheVersionFollowsTheMembers() {
        #expect(next(Self.v35, Self.v36, [Self.v36], downgradeTo: "3.5.0") == Self.v35)
        #expect(next(Self.v35, Self.v35, [Self.v36], downgradeTo: "3.4.0") == nil)
        #expect(next(Self.v35, Self.v35, [ClusterVersion(3, 4, 23)], downgradeTo: "3.4.0") == ClusterVersion(3, 4))
    }

    @Test(arguments: ["3.4.0", "3.6.0", "", "x"])
    func targetsThatAreNotOneReleaseDownAreIgnored(target: String) {
        #expect(next(Self.v36, Self.v36, [Self.v36], downgradeTo: target) == nil)
    }

    @Test func aDowngradeIsOverWhenEverybodyRunsItsRelease() {
        let rule = ClusterVersionRule(behavingAs: ClusterVersion(3, 5, 30))
        let downgrade = Self.downgrade(to: "3.5.0")
        #expect(rule.isOver(downgrade, others: [ClusterVersion(3, 5, 1), Self.v35]))
        #expect(rule.isOver(downgrade, others: []))
        #expect(!rule.isOver(downgrade, others: [Self.v35, Self.v36]))
        #expect(!rule.isOver(downgrade, others: [Self.v35, nil]))
        #expect(!rule.isOver(DowngradeRecord(targetVersion: "3.5.0", isEnabled: false), others: []))
        #expect(!rule.isOver(nil, others: []))
        #expect(!ClusterVersionRule(behavingAs: Self.v36).isOver(downgrade, others: [Self.v35]))
    }
}
