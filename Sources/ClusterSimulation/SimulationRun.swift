import EtcdAPI
import Host
import Member
import PageStore
import Raft
import Records
import Simulation

/// What one run is; two runs of equal settings are equal to the last bit.
public struct RunSettings: Sendable {
    public var seed: UInt64
    /// How long faults and clients go on; healing comes on top.
    public var span = Instant.Span.seconds(20)
    public var profile = FaultProfile.everything
    public var bug: SeededBug?
    /// Numbers of the faults and operations to leave out; shrinking adds to them.
    public var withoutFaults: Set<Int> = []
    public var withoutOperations: Set<Int> = []
    /// Members at the beginning, 1 to 9; by the seed, when nothing is said.
    public var founders: Int?
    /// Between two operations of a client, on average; by the seed, when nothing is said.
    public var operationGap: Instant.Span?
    /// Whether some of the clients come through proxies; by the seed, when nothing is said.
    public var withProxies: Bool?

    /// Every eighth seed has a quota that its clients reach, unless there are proxies.
    var hasQuota: Bool { seed % 8 == 6 && withProxies != true && bug?.isOfProxies != true }

    /// Every fourth seed with all faults has proxies.
    var hasProxies: Bool { withProxies ?? (seed % 4 == 3 && profile == .everything || bug?.isOfProxies == true) }

    /// Every fifth seed begins with figure 8 of the Raft paper.
    var hasOldTermScene: Bool {
        seed % 5 == 2 && span >= .seconds(15) && (profile == .everything || profile == .disks) && (founders ?? 3) == 3
    }

    public init(seed: UInt64) { self.seed = seed }
}

/// How a run ended.
public struct RunOutcome: Sendable {
    public var violation: String?
    /// The violation's kind.
    public var kind: String?
    public var digest: UInt64
    public var cluster: ClusterCounts
    public var clients: ClientCounts
    public var faults: Int
    public var operations: Int
    /// One more than the largest number of an operation, of the clients and of those behind proxies.
    public var operationNumbers: Int
    public var proxyOperationNumbers: Int
    public var virtualTime: Instant.Span
    public var watchEvents: Int
    public var expirations: Int
    public var hashes: Int
    public var proxies: ProxyCounts
    /// Different combinations of what members were doing that were seen.
    public var states: Set<UInt64>
}

/// One run: a cluster, its clients and watchers, faults, and everybody who checks. Ends at the first violation.
public final class SimulationRun: ClusterObserver {
    let settings: RunSettings
    let cluster: SimulatedCluster
    let log: LogChecker
    let leases: LeaseChecker
    let elections = ElectionChecker()
    let clients: Clients
    let driver: FaultDriver
    let plan: FaultPlan
    let profile: WorkloadProfile
    let operationGap: Int64
    private(set) var proxies: ProxyWorkload?
    private(set) var quota: QuotaChecker?
    let memory: MemoryChecker
    var sessions: [WatchSession] = []
    var random: SeededRandom
    var hashes: [HashPlace: UInt32] = [:]
    var states: Set<UInt64> = []
    private var early: (any Error)?
    private(set) var operations = 0
    private var nextOperation = 0
    private(set) var isHealed = false
    /// The largest index and revision each member has shown in its present life.
    private var shown: [MemberID: (life: Int, index: LogIndex, revision: Int64)] = [:]

    struct HashPlace: Hashable {
        let revision: Int64
        let compactRevision: Int64
    }

    public init(_ settings: RunSettings, trace: ((Instant, String) -> Void)? = nil) throws {
        self.settings = settings
        var random = SeededRandom(seed: settings.seed)
        var options = SimulationRun.drawOptions(settings, &random)
        options.bug = settings.bug
        profile = WorkloadProfile(&random)
        let gap: Int64 = [4_000_000, 15_000_000, 60_000_000][Int.random(in: 0..<3, using: &random)]
        operationGap = settings.operationGap?.nanoseconds ?? gap
        self.random = random
        var plan = FaultPlan(
            seed: settings.seed, span: settings.span, profile: settings.profile, hasScene: settings.hasOldTermScene)
        if settings.hasProxies { plan.addUpstreams(seed: settings.seed, span: settings.span) }
        self.plan = plan
        log = LogChecker(smallestTTL: 2)
        cluster = try SimulatedCluster(options, started: false)
        leases = LeaseChecker(electionTimeout: options.settings(1).electionTimeout)
        memory = MemoryChecker(catchUpEntries: options.settings(1).catchUpEntries)
        clients = Clients(cluster, log, leases)
        driver = FaultDriver(cluster, clients, leases)
        cluster.trace = trace
        cluster.observer = self
        // A clock may run a twentieth fast.
        leases.fastestPercent = 106
        if settings.hasQuota { quota = QuotaChecker(self) }
        if settings.hasProxies { proxies = ProxyWorkload(self, seed: settings.seed) }
        driver.proxies = proxies
        log.onGrant = { [unowned self] id, ttl, request in leases.granted(id, ttl: ttl, requestID: request, now: cluster.now) }
        log.onClientRevocation = { [unowned self] in try leases.revokedByClient($0, now: cluster.now) }
        log.onRevocation = { [unowned self] in try leases.ended($0, now: cluster.now) }
        log.onCheckpoint = { [unowned self] in leases.times.wrote($0, left: $1) }
    }

    private static func drawOptions(_ settings: RunSettings, _ random: inout SeededRandom) -> ClusterOptions {
        let founders = [1, 3, 3, 3, 3, 3, 3, 5, 5, 2][Int.random(in: 0..<10, using: &random)]
        let snapshotCount: UInt64 = [15, 60, 400, 10_000][Int.random(in: 0..<4, using: &random)]
        let commitMilliseconds: Int64 = [5, 100, 100, 700][Int.random(in: 0..<4, using: &random)]
        let preVote = Int.random(in: 0..<5, using: &random) > 0
        let appendBytes = [1 << 20, 1 << 20, 3000, 200][Int.random(in: 0..<4, using: &random)]
        let segmentSize = [40, 256, 1024][Int.random(in: 0..<3, using: &random)] << 10
        let members = settings.founders.map { min(9, max(1, $0)) } ?? (settings.hasOldTermScene ? 3 : founders)
        var options = ClusterOptions(founders: members, seed: settings.seed) {
            $0.snapshotCount = snapshotCount
            $0.catchUpEntries = max(5, snapshotCount / 4)
            $0.commitInterval = .milliseconds(commitMilliseconds)
            $0.preVote = preVote
            $0.quota = settings.hasQuota ? QuotaChecker.quota(settings.seed) : nil
            $0.maximumAppendBytes = settings.hasOldTermScene ? OldTermScene.appendBytes : appendBytes
            if settings.seed % 3 == 0 {
                $0.corruption.compactionInterval = .milliseconds(300)
                $0.corruption.scanInterval = .milliseconds(1100)
            }
        }
        options.segmentSize = segmentSize
        return options
    }

    /// Faults planned, those left out too.
    var faultCount: Int { plan.faults.count }
    /// What is planned, for people.
    var faultTexts: [String] { plan.faults.filter { !settings.withoutFaults.contains($0.number) }.map(\.description) }

    /// Runs to the end or the first violation.
    public func run() -> RunOutcome {
        var violation: Violation?
        do { try runAll() } catch let found as Violation { violation = found } catch {
            violation = Violation("error", "\(error)")
        }
        if let violation { cluster.say { "VIOLATION \(violation)" } }
        defer { proxies?.close() }
        return RunOutcome(
            violation: violation?.description, kind: violation?.kind, digest: cluster.digest, cluster: cluster.counts,
            clients: clients.counts, faults: driver.struck, operations: operations,
            operationNumbers: nextOperation, proxyOperationNumbers: proxies?.nextCall ?? 0,
            virtualTime: cluster.now - Instant(nanoseconds: 10_000_000_000),
            watchEvents: sessions.reduce(0) { $0 + $1.eventCount }, expirations: leases.expirations, hashes: hashes.count,
            proxies: proxies?.counts ?? ProxyCounts(), states: states)
    }

    private func runAll() throws {
        for member in cluster.members { try cluster.start(member.id) }
        driver.schedule(plan.faults.filter { !settings.withoutFaults.contains($0.number) })
        scheduleOperation(0, at: cluster.now)
        scheduleSessions()
        proxies?.begin()
        try cluster.run(for: settings.span)
        try throwEarly()
        try heal()
    }

    func stopOperations() { isHealed = true }

    func throwEarly() throws {
        if let early { throw early }
        for session in sessions { if let failure = session.failure { throw failure } }
    }

    // MARK: clients

    private func scheduleOperation(_ number: Int, at time: Instant) {
        cluster.schedule(at: time) { [unowned self] in
            if isHealed { return }
            nextOperation = number + 1
            if !settings.withoutOperations.contains(number) { try operate(number) }
            let gap = Instant.Span(nanoseconds: operationGap / 4 + Int64(operationDraw(number) % UInt64(operationGap) * 3 / 2))
            scheduleOperation(number + 1, at: cluster.now + gap)
        }
    }

    private func operationDraw(_ number: Int) -> UInt64 {
        var random = SeededRandom(seed: settings.seed &+ UInt64(number) &* 77)
        return random.next() >> 8
    }

    private func operate(_ number: Int) throws {
        let running = cluster.members.filter(\.isRunning)
        guard !running.isEmpty else { return }
        let choice = operationDraw(number)
        let leader = cluster.leaders.first
        let member = choice % 3 == 0 ? running[Int(choice / 3 % UInt64(running.count))] : leader ?? running[0]
        guard let published = member.published else { return }
        operations += 1
        var draw = OperationDraw(
            profile: profile, seed: settings.seed, number: number, revision: published.view.currentRevision)
        try clients.run(draw.draw(), at: member.id)
    }

    // MARK: observing

    public func started(_ member: SimulatedMember, _ cluster: SimulatedCluster) throws {
        try elections.started(member.id, in: member.published?.status.term ?? 0)
        proxies?.memberStarted(member)
    }

    public func wiped(_ member: SimulatedMember) { elections.forgot(member.id) }

    public func sent(_ message: Raft.Message, _ cluster: SimulatedCluster) {
        guard early == nil else { return }
        do { try elections.sent(message) } catch { early = error }
        driver.scene?.sent(message)
    }

    public func ended(_ member: SimulatedMember, _ cluster: SimulatedCluster) throws {
        shown[member.id] = nil
        for session in sessions where session.at == member.id { session.detach(from: nil) }
        proxies?.memberEnded(member)
        quota?.ended(member)
        try checkPageFile(of: member)
    }

    public func saw(_ event: MemberEvent, _ member: SimulatedMember, _ cluster: SimulatedCluster) {
        if case .dataDiffers(let difference) = event { early = early ?? Violation("false-alarm", "m\(member.id): \(difference)") }
        guard settings.bug == .oldLeaderRevokes, case .leadership(let change) = event else { return }
        if change.role == .leader {
            for (lease, ttl) in log.model.leases { clients.noteLease(lease, ttl: ttl, at: member.id) }
        } else if change.stepDownReason != nil {
            clients.revokeByOldKnowledge(member)
        }
    }

    public func applying(_ entry: Entry, _ member: SimulatedMember, _ cluster: SimulatedCluster) {
        guard early == nil else { return }
        do { try log.sawApplying(entry, by: member.id) } catch { early = error }
        // A leader's first entry: its leases count from here.
        if entry.kind == .normal, entry.data.isEmpty, let status = member.process?.member.status, status.role == .leader,
            status.term == entry.term
        {
            if settings.bug == .remainingTimesLost { member.process?.member.forgetRemainingTimes() }
            leases.times.promoted(now: cluster.now)
        }
    }

    public func answered(
        _ reply: ReplyAddress, _ answer: MemberAnswer, _ member: SimulatedMember, _ cluster: SimulatedCluster
    ) throws {
        try throwEarly()
        try clients.answered(reply.request, answer, member)
    }

    public func published(_ member: SimulatedMember, _ cluster: SimulatedCluster) throws {
        try throwEarly()
        guard let process = member.process else { return }
        let index = process.publishedIndex
        let view = process.published.view
        guard index <= log.lastIndex else {
            throw Violation("agreement", "m\(member.id) shows index \(index), which nobody applied")
        }
        guard view.currentRevision == log.revisions[Int(index)], view.compactRevision == log.compactRevisions[Int(index)] else {
            throw Violation(
                "state",
                "m\(member.id) at index \(index) shows revision \(view.currentRevision), compacted at \(view.compactRevision); "
                    + "it is \(log.revisions[Int(index)]), compacted at \(log.compactRevisions[Int(index)])")
        }
        if let before = shown[member.id], before.life == member.life {
            guard before.index <= index, before.revision <= view.currentRevision else {
                throw Violation("state", "m\(member.id) goes back to index \(index) from \(before.index)")
            }
        }
        shown[member.id] = (member.life, index, view.currentRevision)
        let status = process.published.status
        if status.role == .leader {
            try elections.leads(member.id, status.term)
        }
        try memory.check(member, process)
        quota?.published(member, status)
        noteState()
        if Int.random(in: 0..<40, using: &random) == 0 { try checkHash(of: member, process) }
    }
}
