import ClientAPI
import Configuration
import Daemon
import GRPC
import HTTP2
import LinuxHost
import Member
import NIOCore
import Telemetry
import Watch

/// What every event loop's services are made with.
struct Serving: Sendable {
    let settings: MemberSettings
    let server: ServerConfiguration
    let limits: ClientLimits
    let access: AccessRules
    /// `--listen-client-http-urls` is given: client URLs answer gRPC only, and those answer everything else.
    let isSplit: Bool
    let pages: HealthPages
    let metrics: MemberMetrics
    /// One for each loop of clients, and one for the peers' loop.
    let counts: [LoopCounts]
    let progressInterval: Duration

    init(
        _ daemon: MemberDaemon, _ member: MemberThread, _ settings: MemberSettings, openReaders: @escaping @Sendable () -> Int
    ) {
        let configuration = daemon.configuration
        let log = daemon.log
        var server = ServerConfiguration()
        server.http2.apply(configuration)
        server.log = { record in log.note(record) }
        var limits = ClientLimits()
        limits.requestBytes = Int(clamping: configuration.maxRequestBytes)
        limits.transactionOperations = Int(clamping: configuration.maxTransactionOperations)
        limits.etcdVersion = settings.behavesAs.description
        limits.behavesAsMinor = settings.behavesAs.minor
        let counts = (0...MemberDaemon.loopCount).map { _ in LoopCounts() }
        let refresh = MetricsRefresh(daemon.metrics, member, counts, openReaders: openReaders)
        self.settings = settings
        self.server = server
        self.limits = limits
        access = AccessRules(origins: configuration.corsOrigins, hosts: configuration.hostWhitelist)
        isSplit = !configuration.listenClientHTTPURLs.isEmpty
        pages = HealthPages(
            port: member, registry: daemon.registry, health: daemon.metrics.health, etcdVersion: limits.etcdVersion,
            behavesAsMinor: limits.behavesAsMinor, version: daemon.version.version, refreshMetrics: { refresh.run() })
        metrics = daemon.metrics
        self.counts = counts
        progressInterval = configuration.effectiveWatchProgressNotifyInterval
    }
}

/// The services of one event loop.
final class LoopServices {
    private let dispatcher: GRPCDispatcher
    /// nil where only gRPC is answered.
    private let http: HealthRouter?
    /// For requests of the daemon's own.
    let link: LoopMember

    /// A loop's link to the member whose answers are all it hears.
    static func link(_ loop: ServerLoop, index: Int, _ member: MemberThread) -> LoopMember {
        let link = LoopMember(
            index: index, port: member, eventLoop: loop.eventLoop, salt: SystemRandom.number())
        let bound = NIOLoopBound(link, eventLoop: loop.eventLoop)
        member.attach(
            LoopMailbox(eventLoop: loop.eventLoop) { answers, _ in
                bound.value.deliver(answers)
                bound.value.endBurst()
            }, at: index)
        return link
    }

    /// - Parameters:
    ///   - shard: which part of metrics and counts this loop writes; a loop always writes the same.
    ///   - occupancy: of loops that may wait for the disk; knows this one under `index`.
    init(
        loop: ServerLoop, index: Int, shard: Int, member: MemberThread, serving: Serving, listener: HealthRouter.Listener,
        occupancy: LoopOccupancy? = nil
    ) {
        let link = LoopMember(
            index: index, port: member, eventLoop: loop.eventLoop, salt: SystemRandom.number(), occupancy: occupancy)
        let counts = serving.counts[shard]
        let watches = WatchService(member: link, eventLoop: loop.eventLoop, counts: counts, settings: WatchHub.Settings())
        let versions = ClientVersionCounter(serving.metrics.server.clientRequests)
        let calls = serving.metrics.grpc.shard(shard)
        let router = ClientRouter(
            member: link, watches: watches, limits: serving.limits, metrics: ClientMetrics(serving.metrics, counts),
            wallSeconds: { Int64(SystemClock.wallNanoseconds() / 1_000_000_000) },
            onStart: { procedure, stream in
                calls.started(procedure.rawValue)
                versions.count(procedure, stream)
            })
        self.link = link
        let isForGRPCOnly = listener == .client && serving.isSplit
        http =
            isForGRPCOnly ? nil : HealthRouter(serving.pages, member: link, listener: listener, access: serving.access)
        var grpc = GRPCConfiguration()
        grpc.maximumMessageBytes = serving.limits.requestBytes + 512 * 1024
        dispatcher = GRPCDispatcher(
            router: router, http: http, loop: loop, configuration: grpc, observer: CallObserver(calls))
        let bound = NIOLoopBound((link, watches, router), eventLoop: loop.eventLoop)
        let mailbox = LoopMailbox(eventLoop: loop.eventLoop) { answers, published in
            let (link, watches, router) = bound.value
            link.deliver(answers)
            if let published {
                watches.advance(to: published)
                router.advanceHealth()
            }
            // Answers may have caused new requests.
            link.endBurst()
        }
        watches.onWatchingChanged = { mailbox.setWatching($0) }
        member.attach(mailbox, at: index)
        let interval = TimeAmount(serving.progressInterval)
        loop.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in bound.value.1.progressTick() }
        let patience = serving.settings.requestTimeout
        let often = TimeAmount.nanoseconds(min(serving.settings.electionTimeout.nanoseconds / 2, 500_000_000))
        loop.eventLoop.scheduleRepeatedTask(initialDelay: often, delay: often) { _ in
            let (link, _, router) = bound.value
            link.lookForStall(requestTimeout: patience)
            router.advanceHealth()
        }
    }

    /// `first` sees HTTP/1 requests before the health pages do.
    func application(_ first: (HealthRouter) -> any HTTPRouter) -> ServerApplication {
        ServerApplication(http2: dispatcher, http1: http.map(first))
    }
}
