/// The page file's top-level buckets, by etcd's names.
public enum BucketName: UInt8, CaseIterable, Sendable {
    case key, meta, lease, alarm, cluster, members, membersRemoved, auth, authUsers, authRoles

    public var name: [UInt8] {
        switch self {
        case .key: Array("key".utf8)
        case .meta: Array("meta".utf8)
        case .lease: Array("lease".utf8)
        case .alarm: Array("alarm".utf8)
        case .cluster: Array("cluster".utf8)
        case .members: Array("members".utf8)
        case .membersRemoved: Array("members_removed".utf8)
        case .auth: Array("auth".utf8)
        case .authUsers: Array("authUsers".utf8)
        case .authRoles: Array("authRoles".utf8)
        }
    }
}

/// Keys of the `meta` bucket.
public enum MetaKey {
    public static let consistentIndex = Array("consistent_index".utf8)
    public static let term = Array("term".utf8)
    public static let confState = Array("confState".utf8)
    public static let scheduledCompactRevision = Array("scheduledCompactRev".utf8)
    public static let finishedCompactRevision = Array("finishedCompactRev".utf8)
    /// Quorate's own, unknown to etcd: what was left of leases at the last stop.
    public static let leaseRemainders = Array("quorateLeaseRemainders".utf8)
    public static let storageVersion = Array("storageVersion".utf8)
}

/// A change to one of the small buckets, or the removal of a compacted revision. Values by revision go to a ``RevisionBatch``.
public enum BucketChange: Equatable, Sendable {
    case put(BucketName, key: [UInt8], value: [UInt8])
    case delete(BucketName, key: [UInt8])
}
