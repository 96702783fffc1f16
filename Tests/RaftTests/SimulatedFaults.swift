import Host

@testable import Raft

/// What clients ask of a simulated cluster, and what fate does to it.
extension ClusterSimulation {
    mutating func runClient() throws {
        guard clientsActive else { return }
        let position = Int.random(in: members.indices, using: &random)
        guard let node = members[position].node else { return }
        if chance(35) {
            try askRead(position)
        } else {
            let payloads = (0..<Int.random(in: 1...5, using: &random)).map { _ in nextBytes() }
            // Leaders take most of the proposals, or little would happen.
            let target =
                node.role == .leader || chance(30) ? position : members.firstIndex { $0.node?.role == .leader } ?? position
            _ = try? members[target].node?.propose(payloads)
            try pump(target)
        }
    }

    mutating func nextBytes() -> [UInt8] {
        nextPayload += 1
        return (0..<8).map { UInt8(truncatingIfNeeded: nextPayload >> (8 * $0)) }
    }

    private mutating func askRead(_ position: Int) throws {
        if bug == .readsWithoutQuorum, let node = members[position].node, node.role == .leader {
            try checker.sawRead(at: node.commit, floor: checker.maximumCommit, by: node.id)
        }
        let context = nextBytes()
        guard (try? members[position].node?.readIndex(context)) != nil else { return }
        members[position].reads.append((context, checker.maximumCommit))
        if members[position].reads.count > 50 { members[position].reads.removeFirst() }
        try pump(position)
    }

    mutating func runNemesis() throws {
        guard nemesisActive else { return }
        let position = Int.random(in: members.indices, using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<14: crash(position)
        case 14..<26:
            crash(position)
            try start(position)
        case 26..<46: try restartOne()
        case 46..<54: partition()
        case 54..<64: blocked = []
        case 64..<72: try changeMembership()
        case 72..<81: compact(position)
        case 81..<85: try transfer(position)
        case 85..<94: worsen()
        case 94..<96:
            members[position].node?.campaign(now: now)
            try pump(position)
        case 96..<98:
            members[position].node?.forgetLeader()
            try pump(position)
        default:
            members[position].node?.stepDown(.requested, now: now)
            try pump(position)
        }
    }

    private mutating func restartOne() throws {
        let down = members.indices.filter { members[$0].node == nil }
        guard let position = down.randomElement(using: &random) else { return }
        try start(position)
    }

    /// Cuts the members in two, or one pair in one direction.
    private mutating func partition() {
        if chance(30) {
            let from = MemberID(Int.random(in: 1...members.count, using: &random))
            let to = MemberID(Int.random(in: 1...members.count, using: &random))
            blocked.append((from, to))
            return
        }
        let side = members.map { _ in Bool.random(using: &random) }
        blocked = []
        for a in members.indices {
            for b in members.indices where side[a] != side[b] { blocked.append((members[a].id, members[b].id)) }
        }
    }

    mutating func worsen() {
        faults.drop = [0, 2, 10, 30].randomElement(using: &random) ?? 0
        faults.duplicate = [0, 5, 20].randomElement(using: &random) ?? 0
        faults.slowMessage = [0, 1, 10].randomElement(using: &random) ?? 0
        faults.slowSync = [0, 2, 20].randomElement(using: &random) ?? 0
        faults.applyLag = [0, 10, 50].randomElement(using: &random) ?? 0
    }

    private mutating func compact(_ position: Int) {
        guard let node = members[position].node else { return }
        let durable = members[position].disk.machine.applied
        let keep = LogIndex(Int.random(in: 0...20, using: &random))
        guard durable > keep + node.firstIndex, durable <= node.applied else { return }
        members[position].node?.compactLog(through: durable - keep)
        members[position].disk.compact(through: durable - keep)
    }

    private mutating func transfer(_ position: Int) throws {
        let target = MemberID(Int.random(in: 1...members.count, using: &random))
        try? members[position].node?.transferLeadership(to: target, now: now)
        try pump(position)
    }

    private mutating func changeMembership() throws {
        guard let position = members.firstIndex(where: { $0.node?.role == .leader }) else { return }
        var change = ConfigurationChange()
        if chance(70) {
            let transitions: [ConfigurationChange.Transition] = [.auto, .auto, .jointImplicit, .jointExplicit]
            change.transition = transitions.randomElement(using: &random) ?? .auto
            let kinds: [ConfigurationChangeKind] = [.addVoter, .addVoter, .addLearner, .remove, .update]
            change.steps = (0..<Int.random(in: 1...3, using: &random)).map { _ in
                ConfigurationChange.Step(
                    kind: kinds.randomElement(using: &random) ?? .update,
                    member: MemberID(Int.random(in: 1...members.count, using: &random)))
            }
        }
        _ = try? members[position].node?.proposeConfigurationChange(change)
        try pump(position)
    }

    // MARK: Peace

    /// Ends all faults and lets everybody come back.
    mutating func heal() throws {
        nemesisActive = false
        clientsActive = false
        faults = Faults()
        blocked = []
        for position in members.indices where members[position].node == nil { try start(position) }
    }

    private func members(of state: ConfState) -> [MemberID] { state.voters + state.votersOutgoing + state.learners }

    /// Without quorum checks nobody is protected from members that were removed and do not know it; their owners would stop them.
    private mutating func stopStrangers() {
        var belonging: Set<MemberID> = []
        // Whoever the newest members still count on belongs, and whoever those count on.
        var next = members.max { $0.machine.applied < $1.machine.applied }.map { [$0.id] } ?? []
        while let id = next.popLast() {
            guard belonging.insert(id).inserted, let member = members.first(where: { $0.id == id }) else { continue }
            next += members(of: member.machine.confState)
        }
        for position in members.indices where !belonging.contains(members[position].id) { crash(position) }
    }

    /// A member that was removed or demoted may hold more of the log than the voters who do not know of it yet, and need its
    /// vote; it may not campaign itself. That price of changes that take effect when applied is known, and the same in etcd's
    /// raft.
    private var isHeldUpByFormerVoter: Bool {
        let nodes = members.compactMap(\.node)
        return nodes.contains { former in
            former.lastIndex > 0 && !former.cluster.voters.contains(former.id)
                && nodes.contains { voter in
                    voter.cluster.voters.contains(voter.id) && voter.cluster.voters.contains(former.id)
                        && !former.log.isCovered(byLogEndingAt: voter.log.lastIndex, term: voter.log.lastTerm)
                }
        }
    }

    /// After a while of peace the cluster must work: one leader, and a new proposal applied by everybody who belongs to it.
    mutating func checkLiveness() throws {
        for _ in 0..<(checkQuorum ? 0 : 3) {
            try run(until: now + .milliseconds(1000))
            stopStrangers()
        }
        try run(until: now + .milliseconds(2000))
        let leaders = members.indices.filter { members[$0].node?.role == .leader }
        let terms = members.map { $0.node?.term ?? 0 }
        let newest = leaders.max { terms[$0] < terms[$1] }
        guard let leading = newest, let node = members[leading].node else {
            heldUp = isHeldUpByFormerVoter
            if heldUp { return }
            throw Violation(description: "no leader after healing")
        }
        let payload = nextBytes()
        guard case .appended(let range, _) = try members[leading].node?.propose([payload]) else {
            throw Violation(description: "the leader took no proposal after healing")
        }
        try pump(leading)
        try run(until: now + .milliseconds(300))
        for member in members where members(of: node.confState).contains(member.id) {
            guard member.machine.applied >= range.lowerBound else {
                throw Violation(
                    description:
                        "\(member.id) applied \(member.machine.applied) of \(range.lowerBound) after healing, leader \(node.id)")
            }
        }
    }
}
