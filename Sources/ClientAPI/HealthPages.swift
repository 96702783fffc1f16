import EtcdAPI
import HTTP2
import MVCC
import Member
import Telemetry

/// What the plain HTTP pages answer from: `/health`, `/livez`, `/readyz`, `/version`, `/metrics`. Shared by all listeners.
public final class HealthPages: Sendable {
    let port: any MemberPort
    let registry: MetricsRegistry
    let etcdVersion: String
    let version: String
    let behavesAsMinor: Int
    let refreshMetrics: @Sendable () -> Void
    private let health: HealthMetrics

    /// `refreshMetrics` brings gauges up to date before they are rendered.
    public init(
        port: any MemberPort, registry: MetricsRegistry, health: HealthMetrics, etcdVersion: String, behavesAsMinor: Int,
        version: String, refreshMetrics: @escaping @Sendable () -> Void
    ) {
        self.port = port
        self.registry = registry
        self.health = health
        self.etcdVersion = etcdVersion
        self.version = version
        self.behavesAsMinor = behavesAsMinor
        self.refreshMetrics = refreshMetrics
    }

    func counted(healthy: Bool) { (healthy ? health.successes : health.failures).increment() }
}

/// One sub-check of `/livez` and `/readyz`, by etcd's names.
enum HealthCheckName: String, CaseIterable {
    case dataCorruption = "data_corruption"
    case serializableRead = "serializable_read"
    case linearizableRead = "linearizable_read"
    case nonLearner = "non_learner"

    static let live: [HealthCheckName] = [.serializableRead]
    static let ready: [HealthCheckName] = [.dataCorruption, .serializableRead, .linearizableRead, .nonLearner]
}

/// The answer of one sub-check: nil is well.
struct HealthReport {
    var results: [(check: HealthCheckName, failure: String?)] = []

    var isHealthy: Bool { results.allSatisfy { $0.failure == nil } }

    /// etcd's text: a line a check where asked for or where something is wrong.
    func text(verbose: Bool) -> String {
        if isHealthy, !verbose { return "ok\n" }
        var text = ""
        for (check, failure) in results {
            text += failure.map { "[-]\(check.rawValue) failed: \($0)\n" } ?? "[+]\(check.rawValue) ok\n"
        }
        return isHealthy ? text + "ok\n" : text
    }
}
