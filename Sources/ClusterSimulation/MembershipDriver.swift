import Host
import Member
import Raft
import Records
import Simulation

/// Changes who belongs to the cluster, one step after the other, each asked for until it is done.
final class MembershipDriver {
    enum Step: Equatable {
        case add(MemberID, isLearner: Bool)
        case promote(MemberID)
        case remove(MemberID)
    }

    private unowned let cluster: SimulatedCluster
    private let clients: Clients
    private var steps: [Step] = []
    private var nextID: MemberID
    /// Machines that belong to no member: removed, or not added yet.
    private var outside: Set<MemberID> = []
    private var damaged: [MemberID] = []

    init(_ cluster: SimulatedCluster, _ clients: Clients) {
        self.cluster = cluster
        self.clients = clients
        nextID = MemberID(cluster.options.founders + 1)
        cluster.schedule(after: .milliseconds(400)) { [unowned self] in try tick() }
    }

    var isIdle: Bool { steps.isEmpty && damaged.isEmpty }

    /// Members that belong to the cluster and are there.
    var present: [SimulatedMember] { cluster.members.filter { !$0.isGone && !outside.contains($0.id) } }

    private var isWhole: Bool { present.count >= 3 && present.allSatisfy(\.isRunning) && isIdle }

    /// Whether one may be lost for good. A change of the membership counts, as in etcd, for whoever has applied it: where the others do
    /// not know yet that somebody was removed, the majority they wait for may lack one member already.
    private var canSpareOne: Bool {
        let ids = present.map(\.id).sorted()
        return isWhole && present.allSatisfy { $0.published?.status.membership.members.map(\.id).sorted() == ids }
    }

    func strike(_ fault: Fault, _ member: SimulatedMember) throws {
        switch fault.kind {
        case .visitor(let isLearner):
            guard isIdle, present.allSatisfy(\.isRunning) else { return }
            let id = newMachine()
            steps = [.add(id, isLearner: isLearner)]
            let isPromoted = isLearner && fault.number % 2 == 0
            if isPromoted { steps.append(.promote(id)) }
            // A learner that stayed would take the only place there is for learners.
            let isKept = (isPromoted || !isLearner) && fault.number % 3 == 0 && present.count >= 3
            steps.append(.remove(isKept ? member.id : id))
        case .replacement:
            guard isWhole else { return }
            steps = [.remove(member.id), .add(newMachine(), isLearner: false)]
        case .lostDisk:
            guard canSpareOne else { return }
            if cluster.options.bug == .emptyComeback {
                try cluster.wipe(member.id)
                return try cluster.start(member.id)
            }
            try lose(member)
        case .bitFlip(let number):
            guard canSpareOne else { return }
            try flip(member, number)
        default: break
        }
    }

    private func newMachine() -> MemberID {
        let id = nextID
        nextID += 1
        cluster.addMember(id)
        outside.insert(id)
        return id
    }

    private func lose(_ member: SimulatedMember) throws {
        try cluster.wipe(member.id)
        outside.insert(member.id)
        steps = [.remove(member.id), .add(newMachine(), isLearner: false)]
    }

    /// Turns one bit of what the log holds. The member finds out when it starts, or the bit meant nothing.
    private func flip(_ member: SimulatedMember, _ number: Int) throws {
        try cluster.stop(member.id, .kept)
        let directory = DataDirectory("/data").walPath
        guard let name = try? member.disk.list(directory).last(where: { $0.hasSuffix(".wal") }),
            var bytes = member.disk.contents(directory + "/" + name), let last = bytes.lastIndex(where: { $0 != 0 })
        else { return }
        bytes[number % (last + 1)] ^= 1 << UInt8(number % 8)
        member.disk.setContents(directory + "/" + name, bytes)
        member.isExpectedToFail = true
        damaged.append(member.id)
        try cluster.start(member.id)
        member.isExpectedToFail = false
        if member.isRunning { damaged.removeAll { $0 == member.id } } else { try replaceDamaged() }
    }

    /// Members that could not start because their files are damaged get new machines.
    func replaceDamaged() throws {
        guard let id = damaged.first, steps.isEmpty else { return }
        damaged.removeFirst()
        try lose(cluster.member(id))
    }

    // MARK: steps

    private func tick() throws {
        cluster.schedule(after: .milliseconds(400)) { [unowned self] in try tick() }
        try replaceDamaged()
        guard let step = steps.first else { return }
        // What one member has applied is committed; without the member it adds there might never be a leader to ask. Whoever is removed
        // does not count: it is switched off, and the others have to know.
        if present.contains(where: { !isAbout($0, step) && $0.published.map { isDone(step, $0.status.membership) } ?? false }) {
            steps.removeFirst()
            return try finish(step)
        }
        guard let leader = cluster.leaders.first else { return }
        switch step {
        case .add(let id, let isLearner):
            var record = cluster.options.record(id)
            record.isLearner = isLearner
            clients.call(.changeMembership(.add(record)), at: leader.id)
        case .promote(let id): clients.call(.changeMembership(.promote(id)), at: leader.id)
        case .remove(let id): clients.call(.changeMembership(.remove(id)), at: leader.id)
        }
    }

    private func isAbout(_ member: SimulatedMember, _ step: Step) -> Bool { step == .remove(member.id) }

    private func isDone(_ step: Step, _ membership: MembershipRecord) -> Bool {
        switch step {
        case .add(let id, _): membership.members.contains { $0.id == id }
        case .promote(let id): membership.members.contains { $0.id == id && !$0.isLearner }
        case .remove(let id): membership.removed.contains(id)
        }
    }

    private func finish(_ step: Step) throws {
        cluster.say { "membership: \(step) done" }
        switch step {
        case .add(let id, _):
            outside.remove(id)
            try cluster.start(id)
        case .promote: break
        case .remove(let id):
            outside.insert(id)
            if let member = cluster.members.first(where: { $0.id == id }), member.isRunning, id % 2 == 0 {
                // Some are switched off by their operator, the others have to find out.
                try cluster.stop(id)
            }
        }
    }
}
