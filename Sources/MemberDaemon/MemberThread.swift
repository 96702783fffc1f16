import Backend
import ClientAPI
import Host
import LinuxHost
import Member
import NIOCore
import NIOPosix
import PageStore
import Raft
import Records
import Synchronization
import Systemd
import WAL

/// The way to the other members, as the member thread sees it. None of it blocks.
protocol PeerLink: AnyObject, Sendable {
    func send(_ messages: [Raft.Message])
    func send(_ snapshot: OutgoingSnapshot)
    /// Who belongs to the cluster now.
    func update(_ membership: MembershipRecord)
    /// Since when messages to and from a member get through; nil while they do not.
    func connectedSince(_ member: MemberID) -> Instant?
    /// A number that stays while the same process is at the other end; nil while messages do not get through.
    func connection(with member: MemberID) -> UInt64?
    /// Asks everybody for their version, and reports under the question's number.
    func askVersions(_ question: UInt64, _ membership: MembershipRecord)
    /// Asks everybody for a hash of their data, and reports.
    func ask(_ question: HashQuestion, _ published: Published)
    func askLeader(_ question: LeaderQuestion, _ status: MemberStatus, on eventLoop: any EventLoop)
        -> EventLoopFuture<MemberAnswer>
}

/// The thread that owns the member, and how the rest of the process talks to it.
final class MemberThread: MemberPort {
    private struct Incoming {
        var inbox = Inbox()
        /// The thread has nothing in hand: it sleeps, or looks out for work.
        var isParked = false
        /// It sleeps.
        var isAsleep = false
        var isStopping = false
        var failure: MemberFailure?
        var isStalled = false
        /// While parked: when the thread wakes by itself.
        var wake: Instant?
    }

    private let incoming = Mutex(Incoming())
    private let signal = WakeSignal()
    /// Changes whenever something came in, for a thread that looks out for it.
    private let arrivals = Atomic<UInt64>(0)
    private let shared = SharedMember()
    private let isAlone = Atomic(false)
    private let current: Mutex<Published>
    private let mailboxes = Mutex<[LoopMailbox?]>([])
    private let pages: PageThread
    private let pool: NIOThreadPool
    /// Reads pages for long ranges.
    private let reads: NIOThreadPool
    private let onEvent: @Sendable (MemberEvent) -> Void
    private let onEnd: @Sendable (MemberFailure?) -> Void
    let pulse = LoopPulse("member thread")
    private let peers = Mutex<(any PeerLink)?>(nil)
    /// Messages of other members that wait for the next turn (etcd's `maxPendingProposals` holds as many).
    private static let largestMessageCount = 4096
    /// Since when the present turn has been under way.
    let turns = WorkProgress()
    private let electionTimeout: Instant.Span

    /// `onEnd` is called once, on the member thread, when it stops: with the reason if it is a failure.
    init(
        first: Published, electionTimeout: Instant.Span, pages: PageThread, pool: NIOThreadPool, reads: NIOThreadPool,
        onEvent: @escaping @Sendable (MemberEvent) -> Void,
        onEnd: @escaping @Sendable (MemberFailure?) -> Void
    ) {
        current = Mutex(first)
        self.electionTimeout = electionTimeout
        self.pages = pages
        self.pool = pool
        self.reads = reads
        self.onEvent = onEvent
        self.onEnd = onEnd
    }

    // MARK: from any thread

    var published: Published { current.withLock { $0 } }

    /// Whether threads may look out for work before they sleep: not on a single core, and not where a request has to wait for other members
    /// anyway, which may be on the same cores.
    var mayLinger: Bool { isAlone.load(ordering: .relaxed) }

    var stall: Instant.Span? {
        guard !turns.isAtRest, let taken = turns.stall(at: SystemClock.now(), patience: electionTimeout) else { return nil }
        // An only voter has nobody to hand its clients to, so a short election timeout is no reason to refuse them early.
        return published.status.isOnlyVoter && taken < MemberThread.patienceAlone ? nil : taken
    }
    private static let patienceAlone = Instant.Span.seconds(1)

    func post(_ requests: [ClientRequest]) {
        var inbox = Inbox()
        inbox.requests = requests
        if !tookBriefTurn(inbox) { add { $0.inbox.requests += requests } }
    }
    func committed(_ commit: PageCommit) { add { $0.inbox.commits.append(commit) } }
    func fail(_ reason: String) { fail(.store(reason)) }
    private func fail(_ failure: MemberFailure) { add { if $0.failure == nil { $0.failure = failure } } }
    /// Makes the thread come round, without a turn if there is nothing to do.
    func nudge() { add { _ in } }
    func stallForTest() { add { $0.isStalled = true } }
    func stop() { add { $0.isStopping = true } }
    func installed(_ snapshot: InstalledSnapshot) { add { $0.inbox.installations.append(snapshot) } }
    func report(_ report: PeerReport) { add { $0.inbox.reports.append(report) } }

    /// How many were taken: a member that stands still must not fill the memory with its peers' words.
    func receive(_ messages: [Raft.Message]) -> Int {
        var inbox = Inbox()
        inbox.messages = messages
        if tookBriefTurn(inbox) { return messages.count }
        var taken = 0
        add { state in
            taken = min(messages.count, max(0, MemberThread.largestMessageCount - state.inbox.messages.count))
            state.inbox.messages += messages.prefix(taken)
        }
        return taken
    }

    /// Before the thread starts.
    /// Members heard from lately, this one among them.
    var membersUp: Int {
        guard let link = peers.withLock({ $0 }) else { return 1 }
        let status = published.status
        return 1 + status.membership.members.count { $0.id != status.memberID && link.connectedSince($0.id) != nil }
    }
    func connect(_ link: any PeerLink) { peers.withLock { $0 = link } }

    func askLeader(_ question: LeaderQuestion, on eventLoop: any EventLoop) -> EventLoopFuture<MemberAnswer> {
        guard let link = peers.withLock({ $0 }) else { return eventLoop.makeSucceededFuture(.refused(.noLeader)) }
        return link.askLeader(question, published.status, on: eventLoop)
    }

    private func add(_ change: (inout Incoming) -> Void) {
        let wasAsleep = incoming.withLock { state in
            change(&state)
            defer { (state.isParked, state.isAsleep) = (false, false) }
            return state.isAsleep
        }
        arrivals.wrappingAdd(1, ordering: .releasing)
        if wasAsleep { signal.wake() }
    }

    /// Takes a turn on the thread that `inbox` arrived on, if it is a brief one and the member thread sleeps, so that what came before
    /// has been dealt with.
    private func tookBriefTurn(_ inbox: Inbox) -> Bool {
        guard inbox.isBrief, incoming.withLock({ $0.isParked }) else { return false }
        var isTaken = false
        shared.takeIfFree { member in
            let now = SystemClock.now()
            // Still parked, with the lock held: it can take no turn before this one has ended.
            guard incoming.withLock({ $0.isParked && ($0.wake.map { $0 > now } ?? true) }) else { return }
            do throws(MemberFailure) {
                guard let output = try member.briefTurn(inbox, now: now) else { return }
                isTaken = true
                answer(output.answers, nil)
                if let wake = output.nextWake { wakeThread(by: wake) }
            } catch {
                isTaken = true
                fail(error)
            }
        }
        return isTaken
    }

    /// Has the thread sleep no longer than until `wake`.
    private func wakeThread(by wake: Instant) {
        let isLate = incoming.withLock { state in
            guard state.wake.map({ wake < $0 }) ?? true else { return false }
            state.wake = wake
            return true
        }
        if isLate { add { _ in } }
    }

    func background<Value: Sendable>(
        on eventLoop: any EventLoop, _ body: @escaping @Sendable () throws -> Value
    ) -> EventLoopFuture<Value> {
        pool.runIfActive(eventLoop: eventLoop, body)
    }

    func read<Value: Sendable>(
        on eventLoop: any EventLoop, _ body: @escaping @Sendable () throws -> Value
    ) -> EventLoopFuture<Value> {
        reads.runIfActive(eventLoop: eventLoop, body)
    }

    /// Loops are numbered by whoever makes them; answers name the number.
    func attach(_ mailbox: LoopMailbox, at index: Int) {
        mailboxes.withLock { boxes in
            while boxes.count <= index { boxes.append(nil) }
            boxes[index] = mailbox
        }
    }

    // MARK: the thread itself

    /// Runs turns until told to stop or the member fails.
    func run(_ opened: consuming OpenedMember) {
        do throws(MemberFailure) {
            let member = try Member(opened, now: SystemClock.now())
            try loop(member)
            onEnd(nil)
        } catch {
            shared.end()
            onEnd(error)
        }
    }

    private func loop(_ member: Member) throws(MemberFailure) {
        guard let link = peers.withLock({ $0 }) else { preconditionFailure("the peers are connected before the member runs") }
        member.sendEarly = { link.send($0) }
        member.connectedSince = { link.connectedSince($0) }
        member.connection = { link.connection(with: $0) }
        var known = published.status.membership
        link.update(known)
        var nextWake: Instant? = SystemClock.now()
        var lingering = Lingering()
        var lingers = false
        shared.begin(member)
        while true {
            guard let inbox = try take(until: nextWake, &lingering, lingers) else {
                shared.end()
                try settle(member, link)
                return try member.close()
            }
            lingers = mayLinger && lingering.done(requests: inbox.requests.count) { ThreadUsage.coreLosses }
            let output = try turn(inbox)
            if let group = output.commit { pages.commit(group, thenDefragment: output.defragments) }
            if let preparation = output.segmentPreparation { prepare(preparation) }
            if let installation = output.installation { pages.install(installation) }
            for snapshot in output.snapshots { link.send(snapshot) }
            if let membership = output.published?.status.membership, membership != known {
                known = membership
                link.update(known)
            }
            if let question = output.versionQuestion { link.askVersions(question, known) }
            if let question = output.hashQuestion, let published = output.published { link.ask(question, published) }
            for event in output.events { onEvent(event) }
            nextWake = output.nextWake
        }
    }

    private func turn(_ inbox: Inbox) throws(MemberFailure) -> TurnOutput {
        var output = TurnOutput()
        var old: Published?
        try shared.take { (member) throws(MemberFailure) in
            let now = SystemClock.now()
            turns.began(now)
            output = try member.turn(inbox, now: now)
            old = show(output)
            turns.ended()
        }
        // The old state's last reference may go here, on this thread, and with it pages and nodes.
        withExtendedLifetime(old) {}
        return output
    }

    /// How long a stop waits for what the member does before it.
    private static let settlingTime = Instant.Span.seconds(5)

    /// Turns until the directory may be given to etcd.
    private func settle(_ member: Member, _ link: any PeerLink) throws(MemberFailure) {
        member.settle()
        let deadline = SystemClock.now() + MemberThread.settlingTime
        var now = SystemClock.now()
        while now < deadline {
            let (inbox, failure) = incoming.withLock { state in
                defer { state.inbox = Inbox() }
                return (state.inbox, state.failure)
            }
            if let failure { throw failure }
            turns.began(now)
            let output = try member.turn(inbox, now: now)
            _ = show(output)
            turns.ended()
            if let group = output.commit { pages.commit(group, thenDefragment: output.defragments) }
            if let question = output.versionQuestion { link.askVersions(question, published.status.membership) }
            if output.isSettled { return }
            incoming.withLock { $0.isAsleep = $0.inbox.isEmpty }
            signal.wait(min(.milliseconds(20), (output.nextWake ?? deadline) - SystemClock.now()))
            incoming.withLock { $0.isAsleep = false }
            pulse.beat()
            now = SystemClock.now()
        }
    }

    private func prepare(_ preparation: SegmentPreparation) {
        pool.submit { [self] state in
            guard state == .active else { return }
            let prepared = try? preparation.run()
            add { $0.inbox.segments.append(prepared) }
        }
    }

    /// What has arrived, after waiting while there is nothing; nil when it is time to stop.
    private func take(
        until firstWake: Instant?, _ lingering: inout Lingering, _ mayLinger: Bool
    ) throws(MemberFailure) -> Inbox? {
        incoming.withLock { $0.wake = firstWake }
        var lingers = mayLinger
        while true {
            pulse.beat()
            if incoming.withLock({ $0.isStalled }) { TestHooks.stallForever() }
            let seen = arrivals.load(ordering: .acquiring)
            let (inbox, isStopping, failure, mustWait, wake) = incoming.withLock { state in
                let isDue = state.wake.map { $0 <= SystemClock.now() } ?? false
                let mustWait = state.inbox.isEmpty && !state.isStopping && state.failure == nil && !isDue
                state.isParked = mustWait
                state.isAsleep = mustWait && !lingers
                defer { state.inbox = Inbox() }
                return (state.inbox, state.isStopping, state.failure, mustWait, state.wake)
            }
            if let failure { throw failure }
            if isStopping { return nil }
            if !mustWait { return inbox }
            if lingers {
                if lookOut(seen, until: wake) { lingering.wasRewarded() } else { lingering.wasDisappointed() }
                lingers = false
            } else {
                signal.wait(wake.map { $0 - SystemClock.now() })
            }
            incoming.withLock { ($0.isParked, $0.isAsleep) = (false, false) }
        }
    }

    /// Waits a short while for something to come in, without sleeping. Whether it came.
    private func lookOut(_ seen: UInt64, until wake: Instant?) -> Bool {
        let end = SystemClock.now() + Instant.Span(nanoseconds: Lingering.longest)
        let last = min(end, wake ?? end)
        while arrivals.load(ordering: .acquiring) == seen {
            guard SystemClock.now() < last else { return false }
            ThreadUsage.spinHint()
        }
        return true
    }

    /// Makes a turn's state visible, and then its answers leave. Returns the state before.
    private func show(_ output: TurnOutput) -> Published? {
        guard let published = output.published else { return nil }
        let old = current.withLock { state in
            defer { state = published }
            return state
        }
        isAlone.store(MemberDaemon.loopCount > 1 && published.status.isOnlyVoter, ordering: .relaxed)
        answer(output.answers, published)
        return old
    }

    private func answer(_ answers: [(ReplyAddress, MemberAnswer)], _ published: Published?) {
        guard published != nil || !answers.isEmpty else { return }
        let boxes = mailboxes.withLock { $0 }
        var byLoop = [[LoopMailbox.Answer]](repeating: [], count: boxes.count)
        for (address, answer) in answers where address.loop < boxes.count {
            byLoop[address.loop].append((address.request, answer))
        }
        for (index, box) in boxes.enumerated() { box?.deliver(byLoop[index], published) }
    }
}
