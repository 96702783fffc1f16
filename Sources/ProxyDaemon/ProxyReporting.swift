import Balancing
import Configuration
import Host
import LinuxHost
import NIOCore
import NIOPosix
import ProxyTransport
import Synchronization
import Systemd
import Telemetry

/// What `systemctl status` says of a proxy: endpoints that serve, the others and why, connections, load, retries.
struct ProxyStatusLine {
    let mode: String
    let endpoints: [EndpointStatus]
    let connections: Int64
    let requestsPerSecond: Double?
    let retries: UInt64

    /// So many of the endpoints that do not serve are named.
    private static let longestList = 3

    var line: StatusLine {
        let serving = endpoints.filter { $0.standing == .serving }
        let others = endpoints.filter { $0.standing != .serving }.sorted { $0.id < $1.id }
        var parts = ["\(mode) proxy", "\(serving.count) of \(endpoints.count) endpoints serve"]
        parts += others.prefix(Self.longestList).map { endpoint in
            let reason = endpoint.problem.map { " (\($0.prefix(60)))" } ?? ""
            return "\(endpoint.address) \(endpoint.standing.name)\(reason)"
        }
        if others.count > Self.longestList { parts.append("and \(others.count - Self.longestList) more do not") }
        var activity = "\(connections) connections"
        if let requestsPerSecond { activity += ", \(Int(requestsPerSecond.rounded())) requests/s" }
        return StatusLine(state: parts.joined(separator: ", "), activity: activity + ", \(retries) retries")
    }
}

extension ProxyDaemon {
    /// From now on systemd is told how the proxy does, and its watchdog that every loop runs.
    func observe(_ health: HealthShell, _ group: any EventLoopGroup) {
        var loops = [Self.watched("health loop", health.eventLoop)]
        for (index, eventLoop) in group.makeIterator().enumerated() {
            loops.append(Self.watched("event loop \(index)", eventLoop))
        }
        let latest = LatestOverview()
        let rate = EventRate()
        let isReadyAlone = configuration.readyWhen == .serving
        notifier.observe(loops) { [metrics, notifier, mode = configuration.mode.rawValue] in
            // The answer is for the next look: a health loop that stalls must not stall this thread.
            health.overview().whenSuccess { overview in
                latest.overview.withLock { $0 = overview }
                if overview.isServing, !isReadyAlone, !latest.isReady.exchange(true, ordering: .relaxed) { notifier.post(.ready) }
            }
            let endpoints = latest.overview.withLock { $0?.endpoints ?? [] }
            let answered = endpoints.reduce(into: UInt64(0)) { sum, endpoint in
                let counters = metrics.endpoint(endpoint.address.description)
                sum &+= counters.succeeded.value &+ counters.failed.value
            }
            return ProxyStatusLine(
                mode: mode, endpoints: endpoints, connections: metrics.clientConnections,
                requestsPerSecond: rate.next(answered, SystemClock.now()), retries: metrics.retries.value
            ).line
        }
        if isReadyAlone { notifier.post(.ready) }
    }

    private static func watched(_ name: String, _ eventLoop: any EventLoop) -> WatchedLoop {
        let pulse = LoopPulse(name)
        return WatchedLoop(pulse) { eventLoop.execute { pulse.beat() } }
    }

    // MARK: Reload

    /// Settings that a reload puts in force; a change of any other waits for a restart.
    private static let reloadable: Set<String> = ["log-level", "endpoints"]

    /// On SIGHUP: reads the configuration again. When it is wrong the old one stays in force.
    func reload(
        _ health: HealthShell, _ front: any ProxyFront, _ transport: MemberTransport, _ group: any EventLoopGroup
    ) {
        notifier.post(.reloading)
        notifier.post(.reloaded(problem: applyNewConfiguration(health, front, transport)))
        switch TestHooks.stall {
        case .loop: group.any().execute { TestHooks.stallForever() }
        case .health: health.eventLoop.execute { TestHooks.stallForever() }
        case .member, .pageFile, nil: break
        }
    }

    /// What went wrong, or nil.
    private func applyNewConfiguration(
        _ health: HealthShell, _ front: any ProxyFront, _ transport: MemberTransport
    ) -> String? {
        do throws(ConfigurationError) {
            let fresh = try rereadConfiguration()
            if let level = LogLevel(name: fresh.logging.level) { log.level = level }
            if !fresh.endpoints.isEmpty { health.seedsChanged(fresh.endpoints.map { Seed($0) }) }
            let waiting = settingsThatDiffer(configuration, fresh).filter { !Self.reloadable.contains($0) }
            if !waiting.isEmpty {
                log.warn("these settings have changed and take a restart", ["settings": .strings(waiting)])
            }
            if let problem = transport.reload() ?? front.reload() {
                log.error("new certificates are refused, the old ones stay", ["error": .string(problem)])
                return problem
            }
            log.info("reloaded the configuration", [:])
            return nil
        } catch {
            log.error("the new configuration is refused, the old one stays", ["error": .string(error.message)])
            return error.message
        }
    }
}

private final class LatestOverview: Sendable {
    let overview = Mutex<HealthOverview?>(nil)
    let isReady = Atomic(false)
}
