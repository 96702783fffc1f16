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
        /// The thread has nothing in hand and sleeps.
        var isParked = false
        var isStopping = false
        var failure: MemberFailure?
        var isStalled = false
        /// While parked: when the thread wakes by itself.
        var wake: Instant?
    }

    private let incoming = Mutex(Incoming())
    private let signal = WakeSignal()
    private let shared = SharedMember()
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
    /// The members that `peers` was told of.
    private let announced = Mutex<MembershipRecord?>(nil)
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

    var stall: Instant.Span? {
        guard !turns.isAtRest, let taken = turns.stall(at: SystemClock.now(), patience: electionTimeout) else { return nil }
        // An only voter has nobody to hand its clients to, so a short election timeout is no reason to refuse them early.
        return published.status.isOnlyVoter && taken < MemberThread.patienceAlone ? nil : taken
    }
    private static let patienceAlone = Instant.Span.seconds(1)

    func post(_ requests: [ClientRequest], mayTakeTurn: Bool) {
        var inbox = Inbox()
        inbox.requests = requests
        if tookBriefTurn(inbox) || mayTakeTurn && tookTurn(inbox) { return }
        add { $0.inbox.requests += requests }
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
            defer { state.isParked = false }
            return state.isParked
        }
        if wasAsleep { signal.wake() }
    }

    /// Takes a turn on the thread that `inbox` arrived on, if it is a brief one.
    private func tookBriefTurn(_ inbox: Inbox) -> Bool {
        guard inbox.isBrief else { return false }
        return tookInstead { member, _, now throws(MemberFailure) in
            guard let output = try member.briefTurn(inbox, now: now) else { return false }
            answer(output.answers, nil)
            if let wake = output.nextWake { wakeThread(by: wake) }
            return true
        }
    }

    /// Takes a whole turn on the thread that `inbox` arrived on, if nothing but this member's disk decides how long it takes, and that is
    /// quick.
    private func tookTurn(_ inbox: Inbox) -> Bool {
        var old: Published?
        let isTaken = tookInstead { member, pace, now throws(MemberFailure) in
            guard pace.isShort, member.isOnlyVoter else { return false }
            let output: TurnOutput
            (output, old) = try turn(member, inbox, &pace, now)
            carryOut(output)
            if let wake = output.nextWake { wakeThread(by: wake) }
            return true
        }
        withExtendedLifetime(old) {}
        return isTaken
    }

    /// Runs `body` on the calling thread if the member thread sleeps, so that what came before has been dealt with. Whether it took a turn.
    private func tookInstead(_ body: (Member, inout TurnPace, Instant) throws(MemberFailure) -> Bool) -> Bool {
        guard incoming.withLock({ $0.isParked }) else { return false }
        var isTaken = false
        shared.takeIfFree { member, pace in
            let now = SystemClock.now()
            // Still parked, with the lock held: it can take no turn before this one has ended.
            guard incoming.withLock({ $0.isParked && ($0.wake.map { $0 > now } ?? true) }) else { return }
            do throws(MemberFailure) {
                isTaken = try body(member, &pace, now)
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
        announce(published.status.membership, to: link)
        var nextWake: Instant? = SystemClock.now()
        shared.begin(member)
        while true {
            guard let inbox = try take(until: nextWake) else {
                shared.end()
                try settle(member, link)
                return try member.close()
            }
            var old: Published?
            try shared.take { (member, pace) throws(MemberFailure) in
                let output: TurnOutput
                (output, old) = try turn(member, inbox, &pace, SystemClock.now())
                carryOut(output)
                nextWake = output.nextWake
            }
            // The old state's last reference may go here, on this thread, and with it pages and nodes.
            withExtendedLifetime(old) {}
        }
    }

    /// A whole turn, on the thread that has the member. Also returns the state that was visible before.
    private func turn(
        _ member: Member, _ inbox: Inbox, _ pace: inout TurnPace, _ now: Instant
    ) throws(MemberFailure) -> (TurnOutput, Published?) {
        turns.began(now)
        let output = try member.turn(inbox, now: now)
        if output.syncedEntries > 0 { pace.wrote(for: SystemClock.now() - now) }
        let old = show(output)
        turns.ended()
        return (output, old)
    }

    private func announce(_ membership: MembershipRecord, to link: any PeerLink) {
        let isNews = announced.withLock { known in
            defer { known = membership }
            return known != membership
        }
        if isNews { link.update(membership) }
    }

    /// What a turn asks of others, in the order of turns. Nothing here waits for them.
    private func carryOut(_ output: TurnOutput) {
        if let group = output.commit { pages.commit(group, thenDefragment: output.defragments) }
        if let preparation = output.segmentPreparation { prepare(preparation) }
        if let installation = output.installation { pages.install(installation) }
        if let link = peers.withLock({ $0 }), let published = output.published {
            for snapshot in output.snapshots { link.send(snapshot) }
            announce(published.status.membership, to: link)
            if let question = output.versionQuestion { link.askVersions(question, published.status.membership) }
            if let question = output.hashQuestion { link.ask(question, published) }
        }
        for event in output.events { onEvent(event) }
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
            incoming.withLock { $0.isParked = $0.inbox.isEmpty }
            signal.wait(min(.milliseconds(20), (output.nextWake ?? deadline) - SystemClock.now()))
            incoming.withLock { $0.isParked = false }
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
    private func take(until firstWake: Instant?) throws(MemberFailure) -> Inbox? {
        incoming.withLock { $0.wake = firstWake }
        while true {
            pulse.beat()
            if incoming.withLock({ $0.isStalled }) { TestHooks.stallForever() }
            let (inbox, isStopping, failure, mustWait, wake) = incoming.withLock { state in
                let isDue = state.wake.map { $0 <= SystemClock.now() } ?? false
                let mustWait = state.inbox.isEmpty && !state.isStopping && state.failure == nil && !isDue
                state.isParked = mustWait
                defer { state.inbox = Inbox() }
                return (state.inbox, state.isStopping, state.failure, mustWait, state.wake)
            }
            if let failure { throw failure }
            if isStopping { return nil }
            if !mustWait { return inbox }
            signal.wait(wake.map { $0 - SystemClock.now() })
            incoming.withLock { $0.isParked = false }
        }
    }

    /// Makes a turn's state visible, and then its answers leave. Returns the state before.
    private func show(_ output: TurnOutput) -> Published? {
        guard let published = output.published else { return nil }
        let old = current.withLock { state in
            defer { state = published }
            return state
        }
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
