import Host
import Simulation

@testable import Raft

/// A whole cluster in virtual time, on a network and disks that do their worst. Everything follows from the seed.
struct ClusterSimulation {
    enum Event {
        case deliver(Message)
        case wake(MemberID, life: Int)
        case synced(MemberID, life: Int, batch: UInt64)
        case apply(MemberID, life: Int)
        case client
        case nemesis
    }

    /// How bad the world is. Probabilities in percent.
    struct Faults {
        var drop = 0
        var duplicate = 0
        var slowMessage = 0
        var slowSync = 0
        var applyLag = 0
    }

    var members: [SimulatedMember]
    let founders: Int
    var checker = SafetyChecker()
    var events = EventQueue<Event>()
    var now = Instant(nanoseconds: 10_000_000_000)
    var random: SeededRandom
    var faults = Faults()
    /// Pairs (from, to) that hear nothing.
    var blocked: [(MemberID, MemberID)] = []
    var bug: SeededBug?
    var clientsActive = true
    var nemesisActive = true
    let preVote: Bool
    let checkQuorum: Bool
    var nextPayload: UInt64 = 0
    var delivered = 0
    var answeredReads = 0
    /// Messages that were to change nothing, and did not.
    var routine = 0
    /// There was no leader after healing, for a reason that is known.
    var heldUp = false

    static let base: LogIndex = 1

    init(founders: Int, spares: Int, seed: UInt64, bug: SeededBug? = nil) throws {
        self.founders = founders
        self.bug = bug
        random = SeededRandom(seed: seed)
        preVote = Int.random(in: 0..<4, using: &random) > 0
        checkQuorum = Int.random(in: 0..<4, using: &random) > 0
        members = (1...founders + spares).map { SimulatedMember(id: MemberID($0)) }
        // Founders start from a common snapshot that names them; spares know nobody.
        let confState = ConfState(voters: (1...founders).map { MemberID($0) })
        for position in 0..<founders {
            members[position].disk.baseIndex = Self.base
            members[position].disk.baseTerm = 1
            members[position].disk.hardState = HardState(term: 1, commit: Self.base)
            members[position].disk.machine.applied = Self.base
            members[position].disk.machine.confState = confState
        }
        for position in members.indices { try start(position) }
        worsen()
        events.schedule(.client, at: now)
        events.schedule(.nemesis, at: now)
    }

    // MARK: Life and death

    mutating func start(_ position: Int) throws {
        var configuration = RaftConfiguration(id: members[position].id, seed: random.next())
        configuration.heartbeatInterval = .milliseconds(10)
        configuration.electionTimeout = .milliseconds(100)
        configuration.preVote = preVote
        configuration.checkQuorum = checkQuorum
        configuration.maximumAppendBytes = 200
        configuration.maximumInflightAppends = 4
        configuration.maximumApplyBytes = 400
        configuration.maximumUncommittedBytes = 2000
        let node = try RaftNode(configuration: configuration, restoring: members[position].disk.persistedState, now: now)
        try checker.sawRestart(of: node)
        members[position].node = node
        members[position].machine = members[position].disk.machine
        members[position].life += 1
        members[position].applyQueue = []
        members[position].waiting = []
        members[position].reads = []
        members[position].wakeScheduled = nil
        members[position].lastSync = now
        try pump(position)
    }

    mutating func crash(_ position: Int) {
        members[position].node = nil
        members[position].disk.crash(&random)
    }

    // MARK: The owner's turn

    /// Obeys a member's effects until it has no more.
    mutating func pump(_ position: Int) throws {
        while members[position].node != nil {
            guard let effects = members[position].node?.takeEffects(), !effects.isEmpty else { break }
            try obey(effects, position)
        }
        scheduleWake(position)
    }

    private mutating func obey(_ effects: Effects, _ position: Int) throws {
        guard let node = members[position].node else { return }
        let id = members[position].id
        if node.role == .leader { try checker.sawLeader(node) }
        try checker.sawEntries(effects.entries, of: node)
        checker.sawCommit(node)
        for message in effects.messages { try send(message) }
        try finishReads(effects.readStates, position)
        var written = effects
        if bug == .forgetsVote { written.hardState?.vote = 0 }
        members[position].disk.write(written)
        if effects.mustSync { scheduleSync(effects.batch, position) }
        if bug == .answersBeforeSync {
            for message in effects.messagesAfterSync { try send(message) }
        } else if !effects.messagesAfterSync.isEmpty {
            members[position].waiting.append((effects.batch, effects.messagesAfterSync, nil))
        }
        if bug == .countsItselfBeforeSync, node.role == .leader, effects.mustSync {
            members[position].node?.persisted(through: effects.batch, now: now)
        }
        if let snapshot = effects.snapshot {
            members[position].applyQueue = []
            members[position].waiting.append((effects.batch, [], snapshot))
        }
        for follower in effects.snapshotsWanted { supplySnapshot(to: follower, from: position) }
        if !effects.committed.isEmpty {
            members[position].applyQueue += effects.committed
            let lag = chance(faults.applyLag) ? Int64.random(in: 1...60, using: &random) : 0
            events.schedule(.apply(id, life: members[position].life), at: now + .milliseconds(lag))
        }
    }

    private mutating func scheduleSync(_ batch: UInt64, _ position: Int) {
        let slow = chance(faults.slowSync)
        let delay = Instant.Span(nanoseconds: Int64.random(in: 10_000...(slow ? 120_000_000 : 2_000_000), using: &random))
        let time = max(members[position].lastSync, now + delay)
        members[position].lastSync = time
        events.schedule(.synced(members[position].id, life: members[position].life, batch: batch), at: time)
    }

    private mutating func scheduleWake(_ position: Int) {
        guard let time = members[position].node?.nextWake else { return }
        if let scheduled = members[position].wakeScheduled, scheduled <= time, scheduled > now { return }
        members[position].wakeScheduled = time
        events.schedule(.wake(members[position].id, life: members[position].life), at: max(now, time))
    }

    private mutating func supplySnapshot(to follower: MemberID, from position: Int) {
        guard let node = members[position].node, let term = node.term(at: members[position].machine.applied) else { return }
        let machine = members[position].machine
        let snapshot = Snapshot(index: machine.applied, term: term, confState: machine.confState, data: machine.bytes)
        members[position].node?.supplySnapshot(snapshot, to: follower)
    }

    private mutating func finishReads(_ states: [ReadState], _ position: Int) throws {
        for state in states {
            guard let open = members[position].reads.firstIndex(where: { $0.context == state.context }) else { continue }
            let floor = members[position].reads.remove(at: open).floor
            answeredReads += 1
            try checker.sawRead(at: state.index, floor: floor, by: members[position].id)
        }
    }

    // MARK: The network

    mutating func chance(_ percent: Int) -> Bool { percent > 0 && Int.random(in: 0..<100, using: &random) < percent }

    private mutating func send(_ message: Message) throws {
        try checker.sawSent(message)
        let isBlocked = blocked.contains { $0 == (message.from, message.to) }
        let copies = isBlocked || chance(faults.drop) ? 0 : (chance(faults.duplicate) ? 2 : 1)
        for _ in 0..<copies {
            let longest: Int64 = chance(faults.slowMessage) ? 150_000_000 : 3_000_000
            let delay = Instant.Span(nanoseconds: Int64.random(in: 200_000...longest, using: &random))
            events.schedule(.deliver(message), at: now + delay)
        }
        if copies == 0 { reportLoss(of: message) }
    }

    /// Transports notice some losses, and always what became of a snapshot.
    private mutating func reportLoss(of message: Message) {
        guard let sender = members.firstIndex(where: { $0.id == message.from }) else { return }
        if message.kind == .snapshot {
            members[sender].node?.reportSnapshot(message.to, succeeded: false)
        } else if chance(20) {
            members[sender].node?.reportUnreachable(message.to)
        }
    }

    private mutating func deliver(_ message: Message) throws {
        guard let position = members.firstIndex(where: { $0.id == message.to }), members[position].node != nil else {
            reportLoss(of: message)
            return
        }
        delivered += 1
        let before = members[position].node.flatMap { $0.isRoutine(message) ? $0.standing : nil }
        try members[position].node?.step(message, now: now)
        if let before {
            routine += 1
            guard members[position].node?.standing == before else {
                throw Violation(description: "\(message.kind) to \(message.to) was no routine in \(before)")
            }
        }
        try pump(position)
        if message.kind == .snapshot, let sender = members.firstIndex(where: { $0.id == message.from }) {
            members[sender].node?.reportSnapshot(message.to, succeeded: true)
            try pump(sender)
        }
    }

    // MARK: Events

    /// Runs until the given time.
    mutating func run(until end: Instant) throws {
        while let time = events.nextTime, time <= end, let event = events.pop() {
            now = max(now, time)
            try handle(event)
        }
        now = max(now, end)
    }

    private func alive(_ id: MemberID, _ life: Int) -> Int? {
        members.firstIndex { $0.id == id && $0.life == life && $0.node != nil }
    }

    private mutating func handle(_ event: Event) throws {
        switch event {
        case .deliver(let message):
            try deliver(message)
        case .wake(let id, let life):
            guard let position = alive(id, life) else { return }
            members[position].wakeScheduled = nil
            members[position].node?.wake(now)
            try pump(position)
        case .synced(let id, let life, let batch):
            guard let position = alive(id, life) else { return }
            try finishSync(batch, position)
        case .apply(let id, let life):
            guard let position = alive(id, life) else { return }
            try applyQueued(position)
        case .client:
            try runClient()
            events.schedule(.client, at: now + Instant.Span(nanoseconds: Int64.random(in: 500_000...8_000_000, using: &random)))
        case .nemesis:
            try runNemesis()
            events.schedule(.nemesis, at: now + .milliseconds(Int64.random(in: 5...120, using: &random)))
        }
    }

    private mutating func finishSync(_ batch: UInt64, _ position: Int) throws {
        members[position].disk.sync(through: batch)
        members[position].node?.persisted(through: batch, now: now)
        while let first = members[position].waiting.first, first.batch <= batch {
            members[position].waiting.removeFirst()
            for message in first.messages { try send(message) }
            if let snapshot = first.snapshot { try install(snapshot, position) }
        }
        try pump(position)
    }

    private mutating func install(_ snapshot: Snapshot, _ position: Int) throws {
        members[position].machine = HistoryMachine(snapshot)
        members[position].node?.applied(through: snapshot.index)
        if let node = members[position].node {
            try checker.sawApplied(members[position].machine, entryTerm: snapshot.term, by: node)
        }
    }

    private mutating func applyQueued(_ position: Int) throws {
        let entries = members[position].applyQueue
        members[position].applyQueue = []
        for entry in entries {
            members[position].machine.apply(entry)
            if entry.kind != .normal {
                let change = try ConfigurationChange(decoding: entry.kind, entry.data)
                if let state = try members[position].node?.applyConfigurationChange(change, now: now) {
                    members[position].machine.confState = state
                }
            }
            if let node = members[position].node {
                try checker.sawApplied(members[position].machine, entryTerm: entry.term, by: node)
            }
            members[position].node?.applied(through: entry.index)
        }
        if chance(30), bug != .countsItselfBeforeSync {
            let machine = members[position].machine
            guard machine.applied <= members[position].disk.lastIndex else {
                throw Violation(description: "\(members[position].id) applied \(machine.applied), which is not on its disk")
            }
            members[position].disk.machine = machine
        }
        try pump(position)
    }
}

extension RaftNode {
    /// What no routine message may change.
    fileprivate var standing: [UInt64] {
        [term, vote, UInt64(role.rawValue), leader, commit, applied, lastIndex, self.term(at: lastIndex) ?? 0, firstIndex]
    }
}
