import Host
import Member
import Raft
import Records

/// What a simulated cluster is made of.
public struct ClusterOptions {
    /// Members that found the cluster, numbered from 1, which is their id too.
    public var founders: Int
    public var seed: UInt64
    /// Lets a test change every member's settings.
    public var adjust: (inout MemberSettings) -> Void
    /// What one sync takes, drawn evenly.
    public var syncTime: ClosedRange<Int64> = 50_000...1_500_000
    public var pageSize = 1024
    /// Of the log's files.
    public var segmentSize = 256 << 10
    public var clusterID: UInt64 = 0xc1
    /// A mistake to be made on purpose.
    public var bug: SeededBug?

    public init(founders: Int = 3, seed: UInt64, adjust: @escaping (inout MemberSettings) -> Void = { _ in }) {
        self.founders = founders
        self.seed = seed
        self.adjust = adjust
    }

    func settings(_ id: MemberID) -> MemberSettings {
        var settings = MemberSettings(
            memberID: id, clusterID: clusterID, name: "m\(id)", clientURLs: ["http://m\(id):2379"], seed: seed &* 31 &+ id)
        adjust(&settings)
        settings.commitsEntriesOfOldTerms = bug == .oldTermCommit
        return settings
    }

    /// As a member would draw it at a start.
    func salt(_ id: MemberID, life: Int) -> UInt64 {
        var random = SeededRandom(seed: seed ^ (id << 32) ^ UInt64(life))
        return random.next()
    }

    func record(_ id: MemberID) -> MemberRecord { MemberRecord(id: id, name: "m\(id)", peerURLs: ["http://m\(id):2380"]) }
}

/// Something that must never happen did, or something that must happen did not.
public struct Violation: Error, CustomStringConvertible {
    /// Which promise was broken, in one word for tables.
    public let kind: String
    public let description: String

    public init(_ kind: String, _ description: String) {
        self.kind = kind
        self.description = "\(kind): \(description)"
    }
}
