import EtcdAPI
import GRPC
import HTTP2
import Member
import Telemetry

/// Limits that clients' requests are held to.
public struct ClientLimits: Sendable {
    /// `--max-request-bytes`: of an encoded proposal.
    public var requestBytes = 1_572_864
    /// `--max-txn-ops`
    public var transactionOperations = 128
    /// The release to behave as, for answers that changed between them.
    public var behavesAsMinor = 6
    /// `--compatibility-version` as a full triple, and Quorate's own version.
    public var etcdVersion = "3.6.14"

    public init() {}
}

/// Finds the handler of every procedure on one event loop.
public final class ClientRouter: GRPCRouter {
    public let methods: GRPCMethodTable
    let member: LoopMember
    let watches: WatchService
    let keyValues: KeyValueService
    let leases: LeaseService
    let cluster: ClusterService
    let maintenance: MaintenanceService
    let health: HealthService
    private let snapshotDuration: Histogram
    private let behavesAsMinor: Int
    private let unavailable = UnimplementedService()
    private let onStart: (Procedure, GRPCStream) -> Void

    /// `wallSeconds`: seconds since 1970, which added members' ids are made of. `onStart` counts calls.
    public init(
        member: LoopMember, watches: WatchService, limits: ClientLimits, metrics: ClientMetrics,
        wallSeconds: @escaping () -> Int64,
        onStart: @escaping (Procedure, GRPCStream) -> Void
    ) {
        self.member = member
        self.watches = watches
        self.onStart = onStart
        behavesAsMinor = limits.behavesAsMinor
        keyValues = KeyValueService(member, limits, metrics.counts)
        leases = LeaseService(member)
        cluster = ClusterService(member, wallSeconds: wallSeconds)
        maintenance = MaintenanceService(member, limits, metrics)
        snapshotDuration = metrics.snapshotDuration
        health = HealthService(member)
        var services: [(service: String, methods: [String])] = []
        for procedure in Procedure.allCases {
            if services.last?.service == procedure.service {
                services[services.count - 1].methods.append(procedure.method)
            } else {
                services.append((procedure.service, [procedure.method]))
            }
        }
        methods = GRPCMethodTable(services)
    }

    public func handler(for method: Int, stream: GRPCStream) -> (any GRPCStreamHandler)? {
        // The table was made in the order of the procedures' raw values.
        guard let procedure = Procedure(rawValue: method) else { return nil }
        onStart(procedure, stream)
        if let refusal = refusal(of: procedure, stream) {
            stream.finish(refusal)
            return nil
        }
        switch procedure {
        case .kvRange: return keyValues.ranges
        case .kvPut: return keyValues.puts
        case .kvDeleteRange: return keyValues.deletions
        case .kvTxn: return keyValues.transactions
        case .kvCompact: return keyValues.compactions
        case .watch: return watches.handler(stream)
        case .leaseGrant, .leaseRevoke, .leaseTimeToLive, .leaseLeases: return leases.unary(procedure)
        case .leaseKeepAlive: return leases.keepAlives
        case .clusterMemberAdd, .clusterMemberRemove, .clusterMemberUpdate, .clusterMemberList, .clusterMemberPromote:
            return cluster.handler(procedure)
        case .maintenanceAlarm, .maintenanceStatus, .maintenanceDefragment, .maintenanceHash, .maintenanceHashKV,
            .maintenanceMoveLeader, .maintenanceDowngrade:
            return maintenance.handler(procedure)
        case .maintenanceSnapshot: return SnapshotHandler(member, snapshotDuration, behavesAsMinor: behavesAsMinor)
        case .healthCheck, .healthList, .healthWatch: return health.handler(procedure)
        case .authStatus, .authenticate: return maintenance.handler(procedure)
        default: return unavailable
        }
    }

    /// What holds for every call before it is looked at.
    private func refusal(of procedure: Procedure, _ stream: GRPCStream) -> GRPCStatus? {
        let status = member.published.status
        switch procedure {
        case .healthCheck, .healthList, .healthWatch, .maintenanceStatus, .clusterMemberList: break
        default:
            if let refusal = status.refusalOfClients { return refusal }
        }
        if status.isLearner, !procedure.isAnsweredByLearners {
            return GRPCStatus(.notSupportedForLearner, behavesAsMinor: behavesAsMinor)
        }
        if !status.hasLeader, stream.metadata("hasleader") == "true" { return GRPCStatus(.noLeader) }
        return nil
    }

    /// A newer state was published.
    public func advanceHealth() { health.advance() }

    public func readCompleted() { member.endBurst() }
}

extension Procedure {
    /// What etcd's interceptors let through on a learner; of ranges only serializable ones, which their handler knows.
    fileprivate var isAnsweredByLearners: Bool {
        switch self {
        case .maintenanceStatus, .maintenanceSnapshot, .kvRange, .healthCheck, .healthList, .healthWatch: true
        default: false
        }
    }
}

/// Procedures whose service exists and whose turn has not come: users and roles, locks and elections.
final class UnimplementedService: GRPCStreamHandler {
    func received(_ message: UnsafeRawBufferPointer, on stream: GRPCStream) {
        stream.finish(GRPCStatus(.unimplemented, "quorate: \(stream.path) is not supported yet"))
    }

    func halfClosed(_ stream: GRPCStream) {
        stream.finish(GRPCStatus(.unimplemented, "quorate: \(stream.path) is not supported yet"))
    }
}

/// A unary procedure: one message in, one answer, by a shared object.
final class UnaryHandler: GRPCStreamHandler {
    private let body: (UnsafeRawBufferPointer, GRPCStream) -> Void

    init(_ body: @escaping (UnsafeRawBufferPointer, GRPCStream) -> Void) { self.body = body }

    func received(_ message: UnsafeRawBufferPointer, on stream: GRPCStream) { body(message, stream) }
}
