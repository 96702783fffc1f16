import Balancing
import Configuration
import Daemon
import Discovery
import Glibc
import HTTP2
import Host
import LinuxHost
import NIOCore
import NIOPosix
import Polling
import ProxyTransport
import Synchronization
import Systemd
import TLS
import Telemetry

/// The proxy as a process: starts its threads, listens, and stops in order.
public final class ProxyDaemon: Sendable {
    let configuration: ProxyConfiguration
    let log: Log
    let notifier = ServiceNotifier()
    /// Listening sockets that systemd opened.
    let inheritedSockets: InheritedSockets
    /// Their names, which are the kinds of listeners a proxy has.
    public static let socketNames = ["proxy", "metrics"]
    /// Reads the configuration again, for a reload.
    let rereadConfiguration: @Sendable () throws(ConfigurationError) -> ProxyConfiguration
    let registry = MetricsRegistry()
    let metrics: ProxyMetrics
    private let end = ProcessEnd()

    public init(
        _ configuration: ProxyConfiguration, version: BuildVersion, log: Log, inheritedSockets: InheritedSockets,
        rereadConfiguration: @escaping @Sendable () throws(ConfigurationError) -> ProxyConfiguration
    ) {
        self.configuration = configuration
        self.inheritedSockets = inheritedSockets
        self.rereadConfiguration = rereadConfiguration
        self.log = log
        metrics = ProxyMetrics(registry, version: version.version)
    }

    /// Event loops that forward. Half the cores: a loop that finds more to do each time it wakes spends less on waking, and the cores
    /// are there for others.
    private var loopCount: Int {
        configuration.threads > 0 ? Int(clamping: configuration.threads) : max(1, min(System.coreCount / 2, 4))
    }

    /// By then everything has been done that is done once.
    private static let startTime = TimeAmount.seconds(2)

    /// Runs until a signal or a failure; returns the exit code.
    public func run() -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        let group: any EventLoopGroup =
            switch configuration.mode {
            case .http: MultiThreadedEventLoopGroup(numberOfThreads: loopCount)
            case .tcp: PollingEventLoopGroup(numberOfThreads: loopCount)
            }
        // Health has a loop of its own: probes must not wait behind traffic, nor look slow because of it.
        let healthGroup = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let code = serve(group, healthGroup)
        try? group.syncShutdownGracefully()
        try? healthGroup.syncShutdownGracefully()
        notifier.finish()
        log.flush()
        return code
    }

    private func serve(_ group: any EventLoopGroup, _ healthGroup: MultiThreadedEventLoopGroup) -> Int32 {
        let listeners = ProxyListeners()
        let health: HealthShell
        let finder: EndpointFinder?
        let front: any ProxyFront
        let transport: MemberTransport
        do {
            transport = try memberTransport()
            let parts = try startHealth(group, healthGroup.next(), transport)
            health = parts.health
            finder = parts.finder
            let source = PageSource(health: health, registry: registry, metrics: metrics, mode: configuration.mode.rawValue)
            front = try makeFront(group, parts.balancers, source, transport)
            var inherited = inheritedSockets
            // Whoever is served as a client finds the pages there as well.
            try listeners.openPages(healthGroup, source, configuration, &inherited, log)
            try front.listen(on: configuration.listenClientURLs.map { ($0, inherited.address("proxy", $0)) })
            try inherited.requireAllTaken()
        } catch let error as EndpointsFile.Problem {
            return fail("\(error)", ExitCode.configuration)
        } catch let error as TLSError {
            return fail("cannot use the certificates: \(error)", ExitCode.configuration)
        } catch {
            return fail("cannot listen: \(error)", ExitCode.cannotListen)
        }
        for url in configuration.listenClientURLs {
            log.info("serving clients", ["address": .string(url.description), "mode": .string(configuration.mode.rawValue)])
        }
        observe(health, group)
        healthGroup.next().scheduleTask(in: Self.startTime) { NIOThreadPool.singleton.submit { _ in ProgramPages.giveBack() } }
        ProcessSignals.install { [self] wish in
            switch wish {
            case .stop:
                notifier.post(.stopping("draining", longest: Instant.Span(configuration.drainTimeout + .seconds(10))))
                end.finish(with: ExitCode.success)
            case .reload: reload(health, front, transport, group)
            }
        }
        let code = end.wait()
        notifier.stopObserving()
        log.info("draining", ["limit": .duration(configuration.drainTimeout)])
        front.stop(within: configuration.drainTimeout)
        listeners.close()
        finder?.stop()
        try? health.stop().wait()
        log.info("stopped", [:])
        return code
    }

    private func fail(_ reason: String, _ code: Int32) -> Int32 {
        log.fatal(reason, [:])
        notifier.post(.failed(ServiceFailure(reason, exitCode: code, errno: ExitCode.errno(for: code))))
        return code
    }

    // MARK: Parts

    private func startHealth(
        _ group: any EventLoopGroup, _ healthLoop: any EventLoop, _ transport: MemberTransport
    ) throws -> (health: HealthShell, balancers: [NIOLoopBound<LoopBalancer>], finder: EndpointFinder?) {
        let settings = BalancingSettings(configuration)
        let relay = ListenerHandOver()
        let balancers = try group.makeIterator().map { eventLoop in
            try eventLoop.submit { [configuration, metrics] in
                let budget = RetryBudget(
                    share: Double(configuration.retryPercent) / 100, perSecond: Double(configuration.retriesPerSecond))
                let balancer = LoopBalancer(
                    eventLoop: eventLoop, settings: settings, budget: budget, isReadOnly: configuration.isReadOnly,
                    seed: SystemRandom.number(), metrics: metrics, listener: relay)
                return NIOLoopBound(balancer, eventLoop: eventLoop)
            }.wait()
        }
        let file = KnownClusterFile(LinuxDisk(), directory: configuration.dataDirectory)
        let kept = file.read()
        if let problem = kept.problem { log.warn("the kept member list is not used", ["reason": .string(problem)]) }
        let finder = try endpointSource(healthLoop).map {
            EndpointFinder($0, interval: configuration.refreshInterval, log)
        }
        let found = finder?.start() ?? []
        let seeds =
            if finder != nil {
                found.isEmpty ? kept.known?.seeds.map { Seed($0) } ?? [] : found
            } else {
                try configuration.endpointsFile.isEmpty ? configuration.endpoints.map { Seed($0) } : endpointsFile.read()
            }
        let health = try healthLoop.submit { [self] in
            let prober = Prober(
                eventLoop: healthLoop, kind: configuration.probe, pagePort: UInt16(clamping: configuration.probePort),
                takesAnyAnswer: configuration.mode == .tcp, timeout: configuration.probeTimeout, security: transport,
                isOwn: OwnAddresses(configuration.listenClientURLs, healthLoop).contains)
            let monitor = HealthMonitor(
                settings, seeds: seeds, known: kept.known, seed: SystemRandom.number(), now: SystemClock.now())
            return HealthShell(
                eventLoop: healthLoop, monitor: monitor, settings: settings, prober: prober, balancers: balancers, log: log,
                metrics: metrics,
                store: { [log] known in
                    do throws(DiskError) { try file.write(known) } catch {
                        log.warn("the member list could not be kept", ["error": .error(error)])
                    }
                })
        }.wait()
        relay.connect(health)
        try health.start().wait()
        if !configuration.endpointsFile.isEmpty { watch(endpointsFile, health) }
        finder?.follow(from: found) { health.seedsChanged($0) }
        return (health, balancers, finder)
    }

    /// What is asked for the endpoints, unless they are known already.
    private func endpointSource(_ eventLoop: any EventLoop) throws -> (any EndpointSource)? {
        if let peers = configuration.peers {
            return try PeerSource(
                peers, directory: configuration.dataDirectory, eventLoop, Self.transport(peers.security, configuration, log), log)
        }
        guard !configuration.discoveryDomain.isEmpty else { return nil }
        return RecordSource(
            discovery: EndpointDiscovery(
                domain: configuration.discoveryDomain, suffix: configuration.discoveryName,
                allowsPlain: configuration.insecureDiscovery))
    }

    private var endpointsFile: EndpointsFile {
        EndpointsFile(configuration.endpointsFile, defaultScheme: configuration.memberSecurity.isUsed ? .https : .http)
    }

    /// Files are read on a thread of the pool: a network file system may take its time.
    private func watch(_ file: EndpointsFile, _ health: HealthShell) {
        health.eventLoop.scheduleRepeatedAsyncTask(initialDelay: .seconds(1), delay: .seconds(1)) { [log] _ in
            NIOThreadPool.singleton.runIfActive(eventLoop: health.eventLoop) {
                do {
                    if let seeds = try file.changed() { health.seedsChanged(seeds) }
                } catch {
                    log.warn("the file of endpoints is not used", ["error": .error(error)])
                }
            }
        }
    }

    private func makeFront(
        _ group: any EventLoopGroup, _ balancers: [NIOLoopBound<LoopBalancer>], _ source: PageSource,
        _ transport: MemberTransport
    ) throws -> any ProxyFront {
        let limit =
            configuration.maximumConnections == 0 ? System.connectionLimit : Int(clamping: configuration.maximumConnections)
        let gate = ConnectionGate(limit: limit)
        if let polling = group as? PollingEventLoopGroup { return try RelayFront(self, polling, balancers, gate) }
        return try ExchangeFront(self, group, balancers, gate, source, transport)
    }

}

/// Takes what event loops report before the shell is there.
private final class ListenerHandOver: HealthListener {
    private let health = Mutex<HealthShell?>(nil)

    func connect(_ shell: HealthShell) { health.withLock { $0 = shell } }

    func requestFailed(_ id: EndpointID, _ outcome: Outcome, successesBefore: Int) {
        health.withLock { $0 }?.requestFailed(id, outcome, successesBefore: successesBefore)
    }

    func suspected(_ id: EndpointID) { health.withLock { $0 }?.suspected(id) }
}

/// What serves clients.
protocol ProxyFront: Sendable {
    /// - Parameter listeners: each as configured, and where it really listens: systemd may have opened the socket.
    func listen(on listeners: [(url: EndpointURL, address: ListenAddress)]) throws
    /// Reads certificates again; why that failed, if it did.
    func reload() -> String?
    /// Takes no more connections, and ends those there are by `limit`.
    func stop(within limit: Duration)
}

extension System {
    /// Client connections this process may hold: half of its open files, because each may need one to an endpoint, less a few that
    /// the proxy needs itself.
    static var connectionLimit: Int {
        var limits = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limits) == 0 else { return 512 }
        return max(16, Int(clamping: limits.rlim_cur) / 2 - 64)
    }
}
