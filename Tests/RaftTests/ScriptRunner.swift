import Host

@testable import Raft

/// Runs the commands of a script on a cluster without faults and without haste: messages move, and time passes, only on command.
///
///     members voters=1,2,3 learners=4 strangers=5 [prevote=off] [checkquorum=off] [window=N] [bytes=N] [terms=1,1,2] [terms2=1,3]
///                                                             terms: of the entries after the first, for all or one member
///     campaign|wake|forget|crash|restart|hold|sync M          one member; hold keeps its writes from the disk until sync
///     elect M                  campaign and settle, in silence
///     propose M word...        read M word      change M [explicit|implicit] [+V] [~L] [-R]   (no steps: leave)
///     transfer M TO            compact M INDEX  stepdown M REASON      unreachable|snapshotfailed|snapshotsent M PEER
///     deliver [FROM->TO...]    one round of the messages on their way, all or these links' only
///     settle                   deliver until nothing is on its way     drop [FROM->TO...]
///     cut M / mend             M hears nobody and nobody hears M       pass MILLISECONDS   let time pass, wake and settle on the way,
///                                                                            silent about plain heartbeats
///     status [M...]            log M            counters M             snapshot M PEER
struct ScriptRunner {
    struct Member {
        let id: MemberID
        var node: RaftNode?
        var disk = SimulatedDisk()
        var machine = HistoryMachine()
        /// Writes are not synced until told.
        var isHeld = false
        var newestBatch: UInt64 = 0
        var waiting: [(messages: [Message], snapshot: Snapshot?)] = []
    }

    struct Misspelt: Error { let command: String }

    var members: [Member] = []
    var network: [Message] = []
    var cut: Set<MemberID> = []
    var now = Instant(nanoseconds: 100_000_000_000)
    var lines: [String] = []
    var template = RaftConfiguration(id: 1, seed: 1)

    mutating func run(_ command: String) throws -> [String] {
        lines = []
        let words = command.split(separator: " ").map(String.init)
        guard let name = words.first else { throw Misspelt(command: command) }
        do {
            try run(name, Array(words.dropFirst()))
        } catch let error as Refusal {
            lines.append("refused: \(error)")
        } catch let error as RaftError {
            lines.append("fatal: \(error)")
        }
        return lines
    }

    private mutating func run(_ name: String, _ arguments: [String]) throws {
        switch name {
        case "members": try create(arguments)
        case "deliver": try deliverRound(arguments)
        case "settle": while !network.isEmpty { try deliverRound([]) }
        case "drop":
            for message in network where Self.matches(message, arguments) {
                lines.append("lost: " + Transcript.describe(message))
            }
            network.removeAll { Self.matches($0, arguments) }
        case "elect":
            try run("campaign", arguments)
            try run("settle", [])
            lines = []
        case "mend": cut = []
        case "pass": try pass(.milliseconds(Int64(arguments[0]) ?? 0))
        case "status":
            let wanted = arguments.compactMap(MemberID.init)
            for member in members where wanted.isEmpty || wanted.contains(member.id) {
                lines += member.node.map { Transcript.describe($0.status) } ?? ["\(member.id) is down"]
            }
        default:
            guard let id = arguments.first.flatMap(MemberID.init), let position = members.firstIndex(where: { $0.id == id })
            else {
                throw Misspelt(command: name)
            }
            try run(name, position, Array(arguments.dropFirst()))
            try pump(position)
        }
    }

    private mutating func run(_ name: String, _ position: Int, _ arguments: [String]) throws {
        let peer = arguments.first.flatMap(MemberID.init) ?? 0
        switch name {
        case "campaign": members[position].node?.campaign(now: now)
        case "wake":
            now = max(now, members[position].node?.nextWake ?? now)
            members[position].node?.wake(now)
        case "forget": members[position].node?.forgetLeader()
        case "propose": try members[position].node?.propose(arguments.map { Array($0.utf8) })
        case "read": try members[position].node?.readIndex(Array(arguments[0].utf8))
        case "change": try members[position].node?.proposeConfigurationChange(Self.change(arguments))
        case "transfer": try members[position].node?.transferLeadership(to: peer, now: now)
        case "compact": compact(position, through: peer)
        case "stepdown": members[position].node?.stepDown(arguments[0] == "disk" ? .diskStalled : .requested, now: now)
        case "unreachable": members[position].node?.reportUnreachable(peer)
        case "snapshotsent": members[position].node?.reportSnapshot(peer, succeeded: true)
        case "snapshotfailed": members[position].node?.reportSnapshot(peer, succeeded: false)
        case "snapshot": supplySnapshot(from: position, to: peer)
        case "crash": crash(position)
        case "restart": try restart(position)
        case "hold": members[position].isHeld = true
        case "sync": try sync(position)
        case "cut": cut.insert(members[position].id)
        case "log": lines.append(members[position].node?.log.entries.map(Transcript.describe).joined(separator: " ") ?? "down")
        case "counters": lines += Self.counters(members[position].node?.status.counters ?? RaftCounters())
        default: throw Misspelt(command: name)
        }
    }

    // MARK: Members

    private mutating func create(_ arguments: [String]) throws {
        var values: [String: String] = [:]
        for argument in arguments {
            let halves = argument.split(separator: "=").map(String.init)
            values[halves[0]] = halves[1]
        }
        func list(_ name: String) -> [UInt64] { (values[name] ?? "").split(separator: ",").compactMap { UInt64($0) } }
        template.preVote = values["prevote"] != "off"
        template.checkQuorum = values["checkquorum"] != "off"
        template.advancesInitialElection = false
        template.maximumInflightAppends = list("window").first.map(Int.init) ?? 512
        template.maximumAppendBytes = list("bytes").first.map(Int.init) ?? 1 << 20
        let state = ConfState(voters: list("voters"), learners: list("learners"))
        for id in state.voters + state.learners + list("strangers") {
            var member = Member(id: id)
            if !list("strangers").contains(id) {
                found(&member, state, terms: values["terms\(id)"] == nil ? list("terms") : list("terms\(id)"))
            }
            members.append(member)
            try restart(members.count - 1)
        }
    }

    /// All founders share entry 1 of term 1, behind the beginning of the log.
    private func found(_ member: inout Member, _ state: ConfState, terms: [Term]) {
        member.disk.baseIndex = 1
        member.disk.baseTerm = 1
        member.disk.machine.applied = 1
        member.disk.machine.confState = state
        member.disk.hardState = HardState(term: max(1, terms.last ?? 1), commit: 1)
        for (offset, term) in terms.enumerated() {
            member.disk.entries.append(Entry(term: term, index: LogIndex(offset) + 2, data: Array("e".utf8)))
        }
    }

    private mutating func crash(_ position: Int) {
        members[position].node = nil
        members[position].disk = members[position].disk.afterPowerLoss
        members[position].waiting = []
        members[position].isHeld = false
    }

    private mutating func restart(_ position: Int) throws {
        template.id = members[position].id
        template.seed = members[position].id
        members[position].machine = members[position].disk.machine
        members[position].newestBatch = 0
        members[position].node = try RaftNode(configuration: template, restoring: members[position].disk.persistedState, now: now)
    }

    private mutating func compact(_ position: Int, through index: LogIndex) {
        members[position].disk.machine = members[position].machine
        members[position].disk.compact(through: index)
        members[position].node?.compactLog(through: index)
    }

    private mutating func supplySnapshot(from position: Int, to peer: MemberID) {
        guard let node = members[position].node, let term = node.term(at: members[position].machine.applied) else { return }
        let machine = members[position].machine
        let snapshot = Snapshot(index: machine.applied, term: term, confState: machine.confState, data: machine.bytes)
        if members[position].node?.supplySnapshot(snapshot, to: peer) != true { lines.append("no use for the snapshot") }
    }

    // MARK: The owner's turn

    private mutating func pump(_ position: Int) throws {
        while let effects = members[position].node?.takeEffects(), !effects.isEmpty {
            lines += Transcript.describe(effects, of: members[position].id)
            network += effects.messages
            members[position].disk.write(effects)
            members[position].newestBatch = effects.batch
            members[position].waiting.append((effects.messagesAfterSync, effects.snapshot))
            try apply(effects.committed, position)
            if !members[position].isHeld { try sync(position) }
        }
    }

    /// Makes everything written durable, and does what waits for it.
    private mutating func sync(_ position: Int) throws {
        members[position].isHeld = false
        let batch = members[position].newestBatch
        members[position].disk.sync(through: batch)
        members[position].node?.persisted(through: batch, now: now)
        let waiting = members[position].waiting
        members[position].waiting = []
        for (messages, snapshot) in waiting {
            network += messages
            guard let snapshot else { continue }
            members[position].machine = HistoryMachine(snapshot)
            members[position].node?.applied(through: snapshot.index)
            lines.append("\(members[position].id) installs snapshot \(snapshot.index)")
        }
    }

    private mutating func apply(_ entries: [Entry], _ position: Int) throws {
        guard let last = entries.last else { return }
        lines.append("\(members[position].id) applies " + entries.map(Transcript.describe).joined(separator: " "))
        for entry in entries {
            members[position].machine.apply(entry)
            guard entry.kind != .normal else { continue }
            let change = try ConfigurationChange(decoding: entry.kind, entry.data)
            guard let state = try members[position].node?.applyConfigurationChange(change, now: now) else { continue }
            members[position].machine.confState = state
            lines.append("\(members[position].id) has \(Transcript.describe(state))")
        }
        members[position].node?.applied(through: last.index)
    }

    // MARK: Messages and time

    private static func matches(_ message: Message, _ links: [String]) -> Bool {
        links.isEmpty || links.contains("\(message.from)->\(message.to)")
    }

    private mutating func deliverRound(_ links: [String]) throws {
        let round = network.filter { Self.matches($0, links) }
        network.removeAll { Self.matches($0, links) }
        for message in round {
            guard let position = members.firstIndex(where: { $0.id == message.to }), members[position].node != nil,
                !cut.contains(message.from), !cut.contains(message.to)
            else {
                lines.append("lost: " + Transcript.describe(message))
                continue
            }
            lines.append(Transcript.describe(message))
            try members[position].node?.step(message, now: now)
            try pump(position)
        }
    }

    private mutating func pass(_ span: Instant.Span) throws {
        let end = now + span
        while let time = members.compactMap(\.node?.nextWake).min(), time <= end {
            now = max(now, time)
            for position in members.indices where (members[position].node?.nextWake).map({ $0 <= now }) == true {
                members[position].node?.wake(now)
                try pump(position)
            }
            while !network.isEmpty { try deliverRound([]) }
        }
        now = end
        lines.removeAll { $0.contains("heartbeat") && !$0.contains("round") }
    }

    // MARK: Words

    private static func change(_ words: [String]) -> ConfigurationChange {
        var change = ConfigurationChange()
        for word in words {
            switch word {
            case "explicit": change.transition = .jointExplicit
            case "implicit": change.transition = .jointImplicit
            default:
                let kinds: [Character: ConfigurationChangeKind] = ["+": .addVoter, "~": .addLearner, "-": .remove, "=": .update]
                let kind = word.first.flatMap { kinds[$0] } ?? .update
                change.steps.append(ConfigurationChange.Step(kind: kind, member: MemberID(word.dropFirst()) ?? 0))
            }
        }
        return change
    }

    private static func counters(_ counters: RaftCounters) -> [String] {
        let named: [(String, UInt64)] = [
            ("misaddressed", counters.misaddressed), ("malformed", counters.malformed), ("outdated", counters.outdated),
            ("unknown member", counters.unknownMember), ("ignored votes", counters.ignoredVotes),
            ("conflicting leader", counters.conflictingLeader), ("dropped proposals", counters.droppedProposals),
            ("dropped reads", counters.droppedReads),
        ]
        return named.filter { $0.1 > 0 }.map { "\($0.0) \($0.1)" }
    }
}
