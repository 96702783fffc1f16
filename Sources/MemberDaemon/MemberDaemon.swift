import Backend
import ClientAPI
import Configuration
import Daemon
import EtcdAPI
import Glibc
import HTTP2
import Host
import LinuxHost
import Member
import NIOCore
import NIOPosix
import PageStore
import Records
import Synchronization
import Systemd
import TLS
import Telemetry
import WAL

/// One member as a process: opens its directory, starts its threads, listens, and stops in order.
public final class MemberDaemon: Sendable {
    let configuration: MemberConfiguration
    let version: BuildVersion
    let log: Log
    let metrics: MemberMetrics
    let registry: MetricsRegistry
    let notifier = ServiceNotifier()
    /// Listening sockets that systemd opened.
    let inheritedSockets: InheritedSockets
    /// Their names, which are the kinds of listeners a member has.
    public static let socketNames = ["client", "peer", "metrics"]
    /// Reads the configuration again, for a reload.
    let rereadConfiguration: @Sendable () throws(ConfigurationError) -> MemberConfiguration
    private let processEnd = ProcessEnd()
    /// The member ended by itself, by a failure.
    private let hasFailed = Mutex(false)
    /// Who belonged to the cluster when this member joined it.
    private let known = Mutex<[MemberRecord]>([])

    public init(
        _ configuration: MemberConfiguration, version: BuildVersion, log: Log, inheritedSockets: InheritedSockets,
        rereadConfiguration: @escaping @Sendable () throws(ConfigurationError) -> MemberConfiguration
    ) {
        self.configuration = configuration
        self.inheritedSockets = inheritedSockets
        self.rereadConfiguration = rereadConfiguration
        self.version = version
        self.log = log
        registry = MetricsRegistry()
        metrics = MemberMetrics(
            registry, etcdVersion: configuration.compatibilityVersion.etcdVersion, version: version.version,
            methods: Procedure.allCases.map { GRPCMethod($0.service, $0.method, GRPCMethod.Kind($0.kind)) },
            grpcShards: MemberDaemon.loopCount + 1, extensive: configuration.metrics == .extensive)
    }

    /// Event loops for clients: one a core, at most four, as the member thread needs a core of its own.
    /// Asked once: the answer takes the system two files.
    static let loopCount = max(1, min(System.coreCount, 4))

    var remotes: [MemberRecord] { known.withLock { $0 } }
    func joins(_ members: [MemberRecord]) { known.withLock { $0 = members } }

    /// Runs until a signal or a failure; returns the exit code.
    public func run() -> Int32 {
        installSIGBUSHandler(exitCode: ExitCode.diskFailure)
        signal(SIGPIPE, SIG_IGN)
        let tls: MemberTLS
        do throws(TLSError) { tls = try MemberTLS(configuration, log) } catch {
            log.fatal("cannot use the certificates", ["error": .error(error)])
            sayFailure("cannot use the certificates: \(error)", ExitCode.configuration)
            notifier.finish()
            log.flush()
            return ExitCode.configuration
        }
        let network = PeerNetwork(tls, localAddress: localAddress(), log)
        defer { network.stop() }
        let opened: OpenedMember
        do throws(MemberFailure) { opened = try openDirectory(network) } catch {
            return report(error)
        }
        if let reason = refusalOfReleases(opened, network) { return report(.configuration(reason)) }
        let check: BootCorruptionCheck?
        do throws(MemberFailure) { check = try bootCheck(opened, network) } catch { return report(error) }
        if let reason = corruptionAtBoot(check, memberID: opened.settings.memberID) {
            log.fatal("the member does not serve data that is corrupt", ["error": .string(reason)])
            sayFailure(reason, ExitCode.corrupt)
            notifier.finish()
            log.flush()
            return ExitCode.corrupt
        }
        return serve(opened, tls, network)
    }

    /// Where connections to other members are to come from, if the configuration says so.
    private func localAddress() -> String? {
        guard configuration.featureGates.isEnabled(.setMemberLocalAddress) else { return nil }
        if let address = configuration.memberLocalAddress {
            log.info("setting member local address", ["LocalAddr": .string(address)])
            return address
        }
        log.warn("unable to set a member local address due to lack of suitable local addresses")
        return nil
    }

    private func serve(_ opened: consuming OpenedMember, _ tls: MemberTLS, _ network: PeerNetwork) -> Int32 {
        let settings = opened.settings
        let currentFile = CurrentPageFile(opened.pageFile)
        let committer = PageCommitter(opened.pageFile)
        let opening = opened.opening
        let pageThread = PageThread()
        let pool = NIOThreadPool(numberOfThreads: 2)
        pool.start()
        let reads = NIOThreadPool(numberOfThreads: 2)
        reads.start()
        let member = MemberThread(
            first: opened.firstPublished, electionTimeout: settings.electionTimeout, pages: pageThread, pool: pool, reads: reads,
            onEvent: { [self] in note($0, settings) },
            onEnd: { [self] in end(with: $0) })
        let group = MultiThreadedEventLoopGroup(numberOfThreads: MemberDaemon.loopCount)
        let front: ClientFront
        let peers: PeerFront
        do {
            var inherited = inheritedSockets
            let serving = Serving(self, member, settings) { currentFile.openReaders }
            peers = try PeerFront(self, network, member, serving, SnapshotDirectory(opening), pool, tls, &inherited)
            front = try ClientFront(self, member, group, serving, tls, &inherited)
            try inherited.requireAllTaken()
        } catch {
            return cannotListen(error)
        }
        let committerBox = SingleUse(committer)
        let pagesRunning = DaemonThread.start("page-file") { [self] in
            pageThread.run(committerBox.take(), opening, outcomes(for: member, currentFile))
        }
        let openedBox = SingleUseMember(opened)
        let memberRunning = DaemonThread.start("member") { member.run(openedBox.take()) }
        front.startServing()
        observe(
            member, pageThread, group,
            others: [("peers' event loop", network.eventLoop), ("accepting", front.acceptor.eventLoop)])
        if configuration.readyWhen == .serving { notifier.post(.ready) }
        ProcessSignals.install { [self] wish in
            switch wish {
            case .stop: stopAsked()
            case .reload: reload(member, pageThread, group, tls)
            }
        }
        let code = processEnd.wait()
        notifier.stopObserving()
        log.info("closing the member", ["name": .string(configuration.name)])
        if hasFailed.withLock({ $0 }) {
            // Nobody is left to answer or to hand over to, and the page file's thread may never return from a broken disk.
            front.stop(within: MemberDaemon.farewell)
        } else {
            hangUp(peers, front, settings)
            member.stop()
            memberRunning.join()
            pageThread.stop()
            pagesRunning.join()
            peers.stop()
            try? group.syncShutdownGracefully()
            try? pool.syncShutdownGracefully()
            try? reads.syncShutdownGracefully()
        }
        log.info("closed the member", ["name": .string(configuration.name)])
        notifier.finish()
        log.flush()
        return code
    }

    private func cannotListen(_ error: any Error) -> Int32 {
        log.fatal("cannot listen", ["error": .error(error)])
        sayFailure("cannot listen: \(error)", ExitCode.cannotListen)
        notifier.finish()
        log.flush()
        return ExitCode.cannotListen
    }

    /// What the page file's thread tells.
    private func outcomes(for member: MemberThread, _ currentFile: CurrentPageFile) -> PageThread.Outcomes {
        PageThread.Outcomes(
            committed: { member.committed($0) },
            installed: { snapshot in
                currentFile.replace(snapshot.pageFile)
                member.installed(snapshot)
            },
            failed: { [log] reason in
                log.error("the page file failed", ["error": .string(reason)])
                member.fail(reason)
            })
    }

    /// A stop's part that others notice.
    private func hangUp(_ peers: PeerFront, _ front: ClientFront, _ settings: MemberSettings) {
        notifier.post(.progress("handing leadership over"))
        peers.handOver(within: settings.requestTimeout)
        notifier.post(.progress("closing clients' connections"))
        front.stop(within: .seconds(5))
        notifier.post(.progress("closing the data directory"))
    }

    /// How long answers that are on their way may take when the member has failed.
    private static let farewell = Duration.milliseconds(200)

    // MARK: end

    private func stopAsked() {
        notifier.post(.stopping("stopping", longest: .seconds(30)))
        processEnd.finish(with: ExitCode.success)
    }

    private func end(with failure: MemberFailure?) {
        guard let failure else { return }
        hasFailed.withLock { $0 = true }
        log.fatal("the member stops", ["error": .error(failure)])
        sayFailure("\(failure)", failure.exitCode)
        processEnd.finish(with: failure.exitCode)
    }

    private func sayFailure(_ reason: String, _ code: Int32) {
        notifier.post(.failed(ServiceFailure(reason, exitCode: code, errno: ExitCode.errno(for: code))))
    }

    private func report(_ failure: MemberFailure) -> Int32 {
        log.fatal("cannot open the data directory", ["data-dir": .string(configuration.dataDirectory), "error": .error(failure)])
        sayFailure("cannot open the data directory: \(failure)", failure.exitCode)
        notifier.finish()
        log.flush()
        return failure.exitCode
    }

    private func note(_ event: MemberEvent, _ settings: MemberSettings) {
        MemberEventLog(
            log: log, metrics: metrics, settings: settings, clusterVersion: configuration.compatibilityVersion.etcdVersion
        )
        .note(event)
        switch event {
        case .ready where configuration.readyWhen == .quorum: notifier.post(.ready)
        case .removed:
            sayFailure("this member was removed from the cluster", ExitCode.removed)
            processEnd.finish(with: ExitCode.removed)
        default: break
        }
    }
}

/// The page file of the moment, for metrics: a leader's snapshot replaces it.
private final class CurrentPageFile: Sendable {
    private let file: Mutex<PageFile>
    init(_ file: PageFile) { self.file = Mutex(file) }
    func replace(_ newFile: PageFile) { file.withLock { $0 = newFile } }
    var openReaders: Int { file.withLock { $0 }.openReaders }
}

/// A value handed to exactly one other thread.
private final class SingleUse<Value>: @unchecked Sendable {
    // Set before the thread that takes it is started, and taken once: the start is the hand-over.
    private var value: Value?
    init(_ value: Value) { self.value = value }
    func take() -> Value {
        defer { value = nil }
        return value!
    }
}

/// The same for an opened member, which cannot be copied.
private final class SingleUseMember: @unchecked Sendable {
    // As above.
    private var value: OpenedMember?
    init(_ value: consuming OpenedMember) { self.value = consume value }
    func take() -> OpenedMember { value.take()! }
}

extension GRPCMethod.Kind {
    init(_ kind: Procedure.Kind) {
        self =
            switch kind {
            case .unary: .unary
            case .clientStream: .clientStream
            case .serverStream: .serverStream
            case .bidirectional: .bidirectionalStream
            }
    }
}
