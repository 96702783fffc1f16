/// Kinds of replicated requests under the names that etcd's metrics give them.
public enum Operation: Int, CaseIterable, Sendable {
    case range, readonlyTransaction, put, deleteRange, transaction, compaction
    case leaseGrant, leaseRevoke, leaseCheckpoint, alarm
    case authenticate, authEnable, authDisable
    case authUserAdd, authUserDelete, authUserChangePassword, authUserGrantRole, authUserGet, authUserRevokeRole, authUserList
    case authRoleAdd, authRoleGrantPermission, authRoleGet, authRoleRevokePermission, authRoleDelete, authRoleList
    case clusterVersionSet, clusterMemberAttributesSet, downgradeInfoSet, downgradeVersionTest
    /// A bare v2 request, as etcd 3.5 writes for a member's attributes and the cluster version.
    case v2Put

    var name: String {
        switch self {
        case .range: return "Range"
        case .readonlyTransaction: return "ReadonlyTxn"
        case .put: return "Put"
        case .deleteRange: return "DeleteRange"
        case .transaction: return "Txn"
        case .compaction: return "Compaction"
        case .leaseGrant: return "LeaseGrant"
        case .leaseRevoke: return "LeaseRevoke"
        case .leaseCheckpoint: return "LeaseCheckpoint"
        case .alarm: return "Alarm"
        case .authenticate: return "Authenticate"
        case .authEnable: return "AuthEnable"
        case .authDisable: return "AuthDisable"
        case .authUserAdd: return "AuthUserAdd"
        case .authUserDelete: return "AuthUserDelete"
        case .authUserChangePassword: return "AuthUserChangePassword"
        case .authUserGrantRole: return "AuthUserGrantRole"
        case .authUserGet: return "AuthUserGet"
        case .authUserRevokeRole: return "AuthUserRevokeRole"
        case .authUserList: return "AuthUserList"
        case .authRoleAdd: return "AuthRoleAdd"
        case .authRoleGrantPermission: return "AuthRoleGrantPermission"
        case .authRoleGet: return "AuthRoleGet"
        case .authRoleRevokePermission: return "AuthRoleRevokePermission"
        case .authRoleDelete: return "AuthRoleDelete"
        case .authRoleList: return "AuthRoleList"
        case .clusterVersionSet: return "ClusterVersionSet"
        case .clusterMemberAttributesSet: return "ClusterMemberAttrSet"
        case .downgradeInfoSet: return "DowngradeInfoSet"
        case .downgradeVersionTest: return "DowngradeVersionTest"
        case .v2Put: return "PUT"
        }
    }
}

/// Histograms by operation and outcome at fixed positions. As with Go's client, one that has seen nothing is not written.
public struct OperationHistograms: Sendable {
    private let histograms: [Histogram]

    /// - Parameter labelValues: the label values for an operation's name and `true` or `false`.
    init(_ family: MetricFamily, _ bounds: HistogramBounds, labelValues: @escaping @Sendable (Operation, String) -> [String]) {
        histograms = (0..<Operation.allCases.count * 2).map { _ in bounds.makeHistogram() }
        let rows = zip(histograms.indices, histograms).map { index, histogram in
            (labelValues(Operation.allCases[index / 2], index % 2 == 0 ? "false" : "true"), histogram)
        }.sorted { family.precedes($0.0, $1.0) }
        family.writer.withLock { writer in
            writer = { family, text in
                for (values, histogram) in rows where histogram.count > 0 {
                    text.histogram(family.name, family.labelText(values), bounds, histogram.totals)
                }
            }
        }
    }

    /// Counts how long one operation took.
    public func observe(_ operation: Operation, success: Bool, _ duration: Duration) {
        histograms[operation.rawValue * 2 + (success ? 1 : 0)].observeSeconds(duration)
    }

    /// The same without locked instructions, where only one thread ever observes.
    public func observeAsOnlyWriter(_ operation: Operation, success: Bool, seconds: Double) {
        histograms[operation.rawValue * 2 + (success ? 1 : 0)].observeAsOnlyWriter(seconds)
    }
}
