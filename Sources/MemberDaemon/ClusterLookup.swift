import Configuration
import Discovery
import Host
import LinuxHost
import Synchronization
import Telemetry
import WAL

extension MemberDaemon {
    /// How long the name servers may take in all. What is still asked then ends with the process.
    private static let lookupLimit = Instant.Span.seconds(60)

    /// The configuration with the members that DNS names, where it says to look there and the directory holds no log yet: one that has
    /// served knows its cluster. Call it before there are threads; it waits for name servers.
    public static func lookingUpCluster(
        _ configuration: MemberConfiguration, _ log: Log
    ) throws(ConfigurationError) -> MemberConfiguration {
        let discovery = configuration.discovery
        guard !discovery.srvDomain.isEmpty, !hasLog(configuration) else { return configuration }
        guard let findings = look(configuration) else {
            throw ConfigurationError(
                "error setting up initial cluster: --discovery-srv: the name servers did not answer for "
                    + "\(discovery.srvDomain) within \(Int(lookupLimit.seconds)) s")
        }
        for finding in findings {
            log.info(
                "get cluster for \(finding.service) SRV",
                [
                    "service-scheme": .string(finding.scheme), "service-name": .string(finding.service),
                    "server-name": .string(configuration.name), "discovery-srv": .string(discovery.srvDomain),
                    "advertise-peer-urls": .strings(configuration.initialAdvertisePeerURLs.map(\.description)),
                    "found-cluster": .strings(finding.members), "error": .string(finding.problem ?? ""),
                ])
        }
        let members = findings.flatMap(\.members)
        guard !members.isEmpty else {
            throw ConfigurationError(
                "error setting up initial cluster: " + findings.compactMap(\.problem).joined(separator: "; "))
        }
        for member in members { log.info("got bootstrap from DNS for etcd-server", ["node": .string(member)]) }
        var found = configuration
        try found.takeDiscovered(members: members)
        return found
    }

    private static func hasLog(_ configuration: MemberConfiguration) -> Bool {
        (try? WriteAheadLog.exists(LinuxDisk(), configuration.effectiveWALDirectory)) == true
    }

    /// nil when that takes too long.
    private static func look(_ configuration: MemberConfiguration) -> [ClusterDiscovery.Finding]? {
        let result = LookupResult()
        _ = DaemonThread.start("names") {
            var discovery = ClusterDiscovery(
                domain: configuration.discovery.srvDomain, suffix: configuration.discovery.srvServiceName,
                name: configuration.name, advertised: configuration.initialAdvertisePeerURLs.map { .init($0) })
            var random = SeededRandom(seed: SystemRandom.number())
            result.set(discovery.find(in: SystemNameService(), using: &random))
        }
        return result.wait(lookupLimit)
    }
}

private final class LookupResult: Sendable {
    private let findings = Mutex<[ClusterDiscovery.Finding]?>(nil)
    private let signal = WakeSignal()

    func set(_ found: [ClusterDiscovery.Finding]) {
        findings.withLock { $0 = found }
        signal.wake()
    }

    func wait(_ limit: Instant.Span) -> [ClusterDiscovery.Finding]? {
        signal.wait(limit)
        return findings.withLock { $0 }
    }
}

extension ClusterDiscovery.Advertised {
    fileprivate init(_ url: EndpointURL) {
        self.init(scheme: url.scheme.rawValue, host: url.host, port: url.port)
    }
}
