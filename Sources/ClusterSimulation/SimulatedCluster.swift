import Backend
import EtcdAPI
import Host
import Member
import PageStore
import Raft
import Records
import Simulation

/// Told of everything a cluster does; what it throws ends the run.
public protocol ClusterObserver: AnyObject {
    /// A member's disk was lost.
    func wiped(_ member: SimulatedMember)
    func started(_ member: SimulatedMember, _ cluster: SimulatedCluster) throws
    /// An entry is about to be applied, in the middle of a turn.
    func applying(_ entry: Entry, _ member: SimulatedMember, _ cluster: SimulatedCluster)
    /// A message leaves, in the middle of a turn.
    func sent(_ message: Raft.Message, _ cluster: SimulatedCluster)
    func saw(_ event: MemberEvent, _ member: SimulatedMember, _ cluster: SimulatedCluster)
    /// After every turn whose outcome the member's clients can see.
    func published(_ member: SimulatedMember, _ cluster: SimulatedCluster) throws
    /// Before it starts again; the disk holds what is left.
    func ended(_ member: SimulatedMember, _ cluster: SimulatedCluster) throws
    func answered(_ reply: ReplyAddress, _ answer: MemberAnswer, _ member: SimulatedMember, _ cluster: SimulatedCluster) throws
}

/// A cluster of real members in virtual time. Everything follows from the options' seed and the calls made.
///
/// A turn happens at one moment; what it sends, publishes and answers leaves when its syncs are done. Groups for the page file
/// are carried out later, beside the turns.
public final class SimulatedCluster {
    public let options: ClusterOptions
    public internal(set) var now = Instant(nanoseconds: 10_000_000_000)
    public private(set) var members: [SimulatedMember] = []
    public let network: VirtualNetwork
    public weak var observer: (any ClusterObserver)?
    /// One line for each thing worth reading; nil costs nothing.
    public var trace: ((Instant, String) -> Void)?
    /// Mixed over everything that happens: equal digests mean equal runs.
    public private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325
    public internal(set) var counts = ClusterCounts()
    var random: SeededRandom
    var queue = EventQueue<Event>()
    private var nextCall: UInt64 = 0
    private var answers: [UInt64: MemberAnswer] = [:]

    indirect enum Event {
        case deliver(Parcel)
        case turn(SimulatedMember, life: Int)
        case release(SimulatedMember, life: Int, TurnOutput)
        case pageJob(SimulatedMember, life: Int)
        case call(() throws -> Void)
    }

    /// Founds the cluster and starts its members.
    public init(_ options: ClusterOptions, started: Bool = true) throws {
        self.options = options
        random = SeededRandom(seed: options.seed)
        network = VirtualNetwork(seed: options.seed ^ 0x6e65_7477_6f72_6b00)
        let ids = (1...options.founders).map { MemberID($0) }
        let records = ids.map(options.record)
        for id in ids { addMember(id, initialMembers: records) }
        if started { for id in ids { try start(id) } }
    }

    // MARK: members

    public func member(_ id: MemberID) -> SimulatedMember {
        guard let found = members.first(where: { $0.id == id }) else { preconditionFailure("there is no member \(id)") }
        return found
    }

    /// A machine that lost everything it had.
    func wipe(_ id: MemberID) throws {
        if member(id).isRunning { try stop(id, .kept) }
        member(id).disk = FaultyDisk(sparesReads: true)
        observer?.wiped(member(id))
    }

    func runningMember(_ id: MemberID) -> SimulatedMember? { members.first { $0.id == id && $0.isRunning } }

    /// A machine with an empty disk, to be started as a member that joins.
    @discardableResult
    public func addMember(_ id: MemberID, initialMembers: [MemberRecord] = []) -> SimulatedMember {
        let clock = MemberClock(now: now, reading: now + .milliseconds(Int64.random(in: 0...100_000, using: &random)))
        let member = SimulatedMember(id, initialMembers: initialMembers, clock: clock)
        members.append(member)
        return member
    }

    /// Running members that believe to lead, the newest term first.
    public var leaders: [SimulatedMember] {
        members.filter { $0.published?.status.role == .leader }.sorted {
            ($0.published?.status.term ?? 0) > ($1.published?.status.term ?? 0)
        }
    }

    /// Starts the member's process. A start that fails is recorded in ``SimulatedMember/failure``.
    public func start(_ id: MemberID) throws {
        let member = member(id)
        guard member.process == nil else { return }
        member.life += 1
        member.failure = nil
        let failures = member.disk.injectedFailures
        let salt = options.bug == .repeatedRequestIDs ? 0 : options.salt(id, life: member.life)
        do {
            var opening = MemberOpening(
                settings: options.settings(id), disk: disk(of: member), directory: DataDirectory("/data"),
                initialMembers: member.initialMembers, salt: salt)
            opening.segmentSize = options.segmentSize
            opening.pageFileOptions.access = .read
            opening.pageFileOptions.pageSize = options.pageSize
            opening.pageFileOptions.growthStep = 64 << 10
            var opened = try member.disk.failingReads { () throws(MemberFailure) -> OpenedMember in try opening.open() }
            if options.bug == .forgottenVote { opened.forgetVote() }
            member.notices = opened.notices
            let first = opened.firstPublished
            let committer = PageCommitter(opened.pageFile)
            let machines = opened.opening
            let value = try Member(opened, now: member.clock.reading(now))
            let process = MemberProcess(
                value, machines, committer: committer, first: first, now: now,
                requestIDs: RequestIDs(memberID: id, salt: salt, lane: 1), failures: failures)
            value.sendEarly = { [unowned self, unowned member, unowned process] in sendEarly($0, member, process) }
            value.onApplying = { [unowned self, unowned member] in observer?.applying($0, member, self) }
            value.connection = { [unowned self] in connection(of: id, to: $0) }
            member.process = process
        } catch {
            return try died(member, "\(error)", failures: failures)
        }
        counts.starts += 1
        note(.start, id, UInt64(member.life))
        say { "m\(id) starts, life \(member.life): \(member.notices)" }
        try observer?.started(member, self)
        scheduleTurn(member, at: now)
    }

    /// The power fails, or only the process dies (`kept`).
    public func stop(_ id: MemberID, _ unsynced: UnsyncedWrites = .kept) throws {
        let member = member(id)
        member.process = nil
        member.crashOnDiskFault = nil
        member.effectsLeft = nil
        member.pausedUntil = now
        member.disk.clearFaults()
        member.disk.crash(unsynced, choosing: &random)
        counts.stops += 1
        note(.stop, id, 0)
        say { "m\(id) stops; of unsynced writes \(unsynced)" }
        try observer?.ended(member, self)
    }

    /// Ends a process that cannot go on. That is a violation unless its disk was told to fail.
    func died(_ member: SimulatedMember, _ reason: String, failures: Int) throws {
        if let unsynced = member.crashOnDiskFault, member.disk.injectedFailures > failures {
            say { "m\(member.id) loses power: \(reason)" }
            return try stop(member.id, unsynced)
        }
        guard member.disk.injectedFailures > failures || member.isExpectedToFail else {
            throw Violation("member-failed", "m\(member.id) with a healthy disk: \(reason)")
        }
        member.failure = reason
        say { "m\(member.id) gives up: \(reason)" }
        try stop(member.id, .mixed)
    }

    // MARK: time

    public func run(for span: Instant.Span) throws { try run(until: now + span) }

    public func run(until end: Instant) throws {
        while let time = queue.nextTime, time <= end { try step() }
        now = max(now, end)
    }

    /// Runs until the condition holds; false when it does not within the time.
    @discardableResult
    public func run(within span: Instant.Span, until isReached: (SimulatedCluster) -> Bool) throws -> Bool {
        let end = now + span
        while !isReached(self) {
            guard let time = queue.nextTime, time <= end else {
                now = max(now, end)
                return isReached(self)
            }
            try step()
        }
        return true
    }

    /// Calls `body` at a time to come.
    public func schedule(at time: Instant, _ body: @escaping () throws -> Void) {
        queue.schedule(.call(body), at: max(now, time))
    }
    public func schedule(after span: Instant.Span, _ body: @escaping () throws -> Void) { schedule(at: now + span, body) }

    private func step() throws {
        guard let time = queue.nextTime, let event = queue.pop() else { return }
        now = max(now, time)
        counts.events += 1
        switch event {
        case .call(let body): try body()
        case .deliver(let parcel): try deliver(parcel)
        case .turn(let member, let life): try takeTurn(member, life)
        case .release(let member, let life, let output): try release(output, member, life)
        case .pageJob(let member, let life): try doPageJob(member, life)
        }
    }

    // MARK: turns

    /// Its timers are found due at other true times from now on.
    func changeClock(of member: SimulatedMember, _ change: (inout MemberClock) -> Void) {
        change(&member.clock)
        if let wake = member.process?.nextWake { scheduleTurn(member, at: member.clock.time(of: wake)) }
    }

    func scheduleTurn(_ member: SimulatedMember, at time: Instant) {
        guard let process = member.process else { return }
        let time = max(time, now, process.busyUntil, member.pausedUntil)
        if let scheduled = process.turnAt, scheduled <= time { return }
        process.turnAt = time
        queue.schedule(.turn(member, life: member.life), at: time)
    }

    private func takeTurn(_ member: SimulatedMember, _ life: Int) throws {
        guard member.life == life, let process = member.process, process.turnAt == now else { return }
        process.turnAt = nil
        guard member.pausedUntil <= now, process.busyUntil <= now, !process.owesOutput else {
            return scheduleTurn(member, at: now)
        }
        var inbox = Inbox()
        swap(&inbox, &process.inbox)
        try checkRest(inbox, member, process)
        member.turnKind.begin(inbox, isLeader: process.published.status.role == .leader)
        process.operationsBeforeTurn = member.disk.operationCount
        let sync = Instant.Span(nanoseconds: Int64.random(in: options.syncTime, using: &random) + member.diskDelay.nanoseconds)
        process.syncEnd = now + sync
        process.indexBeforeTurn = process.member.storeIndex
        counts.turns += 1
        let reads = member.disk.readCount
        let output: TurnOutput
        do {
            output = try member.disk.failingReads { () throws(MemberFailure) -> TurnOutput in
                try turn(of: process, inbox, now: member.clock.reading(now))
            }
        } catch {
            return try died(member, "\(error)", failures: process.injectedFailuresAtStart)
        }
        let hasWritten = member.disk.operationCount > process.operationsBeforeTurn
        process.busyUntil = (hasWritten ? process.syncEnd : now) + Instant.Span(nanoseconds: 20_000)
        if member.disk.readCount > reads { process.busyUntil = process.busyUntil + member.diskDelay }
        counts.entries += output.syncedEntries
        process.owesOutput = true
        queue.schedule(.release(member, life: life, output), at: process.busyUntil)
    }

    /// Turns that a member may take within a second for nobody.
    private static let mostIdleTurns = 2000

    /// A member that has nothing to do sleeps. Compaction goes on from turn to turn.
    private func checkRest(_ inbox: Inbox, _ member: SimulatedMember, _ process: MemberProcess) throws {
        if now - process.idleTurns.since > .seconds(1) { process.idleTurns = (0, now) }
        guard inbox.isEmpty, !process.published.status.isCompacting else { return }
        process.idleTurns.count += 1
        guard process.idleTurns.count > Self.mostIdleTurns else { return }
        throw Violation("spinning", "m\(member.id) takes turn after turn with nothing to do")
    }

    /// A brief one where a daemon could take one: nothing else is due.
    private func turn(of process: MemberProcess, _ inbox: Inbox, now: Instant) throws(MemberFailure) -> TurnOutput {
        if let wake = process.nextWake, wake > now, !inbox.isEmpty, let output = try process.member.briefTurn(inbox, now: now) {
            counts.briefTurns += 1
            process.nextWake = min(wake, output.nextWake ?? wake)
            return output
        }
        let output = try process.member.turn(inbox, now: now)
        process.nextWake = output.nextWake
        return output
    }

    /// Messages leave in the middle of a turn: at once, or after the sync they had to wait for.
    private func sendEarly(_ messages: [Raft.Message], _ member: SimulatedMember, _ process: MemberProcess) {
        let hasWritten = member.disk.operationCount > process.operationsBeforeTurn
        for message in messages { send(Parcel(message: message), at: hasWritten ? process.syncEnd : now) }
        guard let armed = member.crashAfterVote,
            let vote = messages.first(where: { $0.kind == .voteResponse && !$0.reject })
        else { return }
        member.crashAfterVote = nil
        schedule(at: process.syncEnd) { [unowned member] in if member.isRunning { try armed(member, vote.to) } }
    }

    /// What a turn asked for, in the order in which a daemon does it. The power may fail between any two.
    private func release(_ output: TurnOutput, _ member: SimulatedMember, _ life: Int) throws {
        guard member.life == life, let process = member.process else { return }
        process.owesOutput = false
        if let published = output.published {
            guard try mayGoOn(member) else { return }
            try publish(published, member, process)
        }
        for (address, answer) in output.answers {
            guard try mayGoOn(member) else { return }
            try take(answer, address, member)
        }
        if let group = output.commit {
            guard try mayGoOn(member) else { return }
            add(.commit(group, defragments: output.defragments), member, process)
        }
        if let installation = output.installation {
            guard try mayGoOn(member) else { return }
            add(.install(installation), member, process)
        }
        for snapshot in output.snapshots {
            guard try mayGoOn(member) else { return }
            try send(snapshot, from: member)
        }
        if let question = output.versionQuestion { askVersions(question, for: member) }
        if let question = output.hashQuestion { askHashes(question, for: member) }
        for event in output.events { sawEvent(event, member) }
        if member.isGone { return try stop(member.id) }
        if !process.inbox.isEmpty { scheduleTurn(member, at: now) }
        if let wake = process.nextWake { scheduleTurn(member, at: member.clock.time(of: wake)) }
    }

    private func mayGoOn(_ member: SimulatedMember) throws -> Bool {
        guard let left = member.effectsLeft else { return true }
        if left == 0 {
            try stop(member.id, member.crashAfterEffects)
            return false
        }
        member.effectsLeft = left - 1
        return true
    }

    private func publish(_ published: Published, _ member: SimulatedMember, _ process: MemberProcess) throws {
        process.publishedBefore = process.published
        process.published = published
        process.publishedIndex = process.member.storeIndex
        let status = published.status
        note(.published, member.id, status.appliedIndex &* 31 &+ UInt64(published.view.currentRevision) &* 7 &+ status.term)
        try observer?.published(member, self)
        guard !process.hub.isEmpty else { return }
        process.hub.advance(to: published.view, term: status.term)
        do { while try process.hub.step() {} } catch { throw Violation("watch", "m\(member.id): \(error)") }
    }

    // MARK: messages and requests

    /// Hands a request to a member; its answer is told to the observer, and kept for ``answer(_:)``.
    @discardableResult
    public func call(_ command: MemberCommand, on id: MemberID) -> UInt64 {
        nextCall += 1
        guard let process = member(id).process else { return nextCall }
        process.inbox.requests.append(ClientRequest(command, reply: ReplyAddress(loop: Int(id), request: nextCall)))
        scheduleTurn(member(id), at: now)
        return nextCall
    }

    /// Puts a request through the log by way of a member.
    @discardableResult
    public func propose(
        _ request: InternalRaftRequest.Request, on id: MemberID, afterCompaction: Bool = false
    ) -> (call: UInt64, requestID: UInt64) {
        let requestID = member(id).process?.requestIDs.next() ?? 0
        let payload = InternalRaftRequest(header: RequestHeader(id: requestID), request: request).encoded()
        return (call(.propose(payload: payload, id: requestID, afterCompaction: afterCompaction), on: id), requestID)
    }

    public func answer(_ call: UInt64) -> MemberAnswer? { answers[call] }

    private func take(_ answer: MemberAnswer, _ address: ReplyAddress, _ member: SimulatedMember) throws {
        counts.answers += 1
        note(.answer, member.id, address.request)
        if let observer { try observer.answered(address, answer, member, self) } else { answers[address.request] = answer }
    }

    private func sawEvent(_ event: MemberEvent, _ member: SimulatedMember) {
        if let observer { observer.saw(event, member, self) } else { member.events.append(event) }
        if case .leadership(let change) = event, change.role == .leader { counts.elections += 1 }
        if case .snapshotSaved = event { counts.snapshots += 1 }
        if case .snapshotInstalled = event { counts.installations += 1 }
        if case .removed = event { member.isGone = true }
        say { "m\(member.id) \(event)" }
    }

    // MARK: what is left of a run

    enum Happening: UInt64 { case start = 1, stop, published, message, answer }

    func note(_ what: Happening, _ member: MemberID, _ value: UInt64) {
        for word in [what.rawValue, member, value, now.nanoseconds] { digest = (digest ^ word) &* 0x0000_0100_0000_01b3 }
    }

    func say(_ text: () -> String) { if let trace { trace(now, text()) } }
}

/// What happened in a run, for people who wonder whether it was worth it.
public struct ClusterCounts: Equatable, Sendable {
    public var events = 0
    public var turns = 0
    /// Among them those that needed neither disk nor state.
    public var briefTurns = 0
    public var starts = 0
    public var stops = 0
    public var messages = 0
    public var lostMessages = 0
    public var answers = 0
    public var entries = 0
    public var commits = 0
    public var elections = 0
    public var snapshots = 0
    public var installations = 0
    public var databasesReceived = 0
}
