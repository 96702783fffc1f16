import Glibc
import Host
import Member
import Raft
import Records
import Simulation

/// Carries out a plan of faults, keeps the cluster healable, and heals it.
final class FaultDriver {
    private unowned let cluster: SimulatedCluster
    private let clients: Clients
    private let leases: LeaseChecker
    private var isOver = false
    weak var proxies: ProxyWorkload?
    let membership: MembershipDriver
    private(set) var struck = 0
    private(set) var scene: OldTermScene?
    private var weather = 0
    private var starts = 0

    init(_ cluster: SimulatedCluster, _ clients: Clients, _ leases: LeaseChecker) {
        self.cluster = cluster
        self.clients = clients
        self.leases = leases
        membership = MembershipDriver(cluster, clients)
    }

    func schedule(_ faults: [Fault]) {
        let start = cluster.now
        for fault in faults {
            cluster.schedule(at: start + fault.begin) { [unowned self] in try strike(fault) }
        }
    }

    // MARK: whom

    private var present: [SimulatedMember] { membership.present }

    private func find(_ target: FaultTarget) -> SimulatedMember? {
        let running = present.filter(\.isRunning)
        let leader = cluster.leaders.first
        switch target {
        case .leader: return leader ?? running.first
        case .follower(let number):
            let followers = running.filter { $0 !== leader }
            return followers.isEmpty ? nil : followers[number % followers.count]
        case .any(let number): return running.isEmpty ? nil : running[number % running.count]
        }
    }

    private func other(_ number: Int, than member: SimulatedMember) -> SimulatedMember? {
        let others = present.filter { $0 !== member }
        return others.isEmpty ? nil : others[number % others.count]
    }

    // MARK: striking

    private func strike(_ fault: Fault) throws {
        guard !isOver, let member = find(fault.target) else { return }
        struck += 1
        cluster.say { "\(fault.description): m\(member.id)" }
        switch fault.kind {
        case .powerLoss, .powerLossAtEffect, .powerLossAtDiskCall, .blackout, .election, .diskError, .fullDisk, .slowDisk:
            try strikeDisk(fault, member)
        case .isolation, .cutLink, .cloggedLink, .weather: strikeNetwork(fault, member)
        case .pause: member.pausedUntil = max(member.pausedUntil, cluster.now + fault.length)
        case .clockLeap(let span):
            leases.lastLeap = cluster.now
            cluster.changeClock(of: member) { $0.leap(span) }
        case .clockRate(let thousandths):
            cluster.changeClock(of: member) { $0.setRate(thousandths * 1_000_000, now: cluster.now) }
        case .moveLeader(let number):
            if let to = other(number, than: member) { clients.call(.moveLeader(to: to.id), at: member.id) }
        case .defragmentation: clients.call(.defragment, at: member.id)
        case .commitPages: clients.call(.commitPages, at: member.id)
        case .replacement, .visitor, .lostDisk, .bitFlip: try membership.strike(fault, member)
        case .oldTerm:
            scene = OldTermScene(cluster, clients, members: present)
            try scene?.begin()
        case .upstream(let temper): proxies?.strike(fault, temper)
        }
    }

    private func strikeDisk(_ fault: Fault, _ member: SimulatedMember) throws {
        switch fault.kind {
        case .powerLoss(let unsynced):
            try cluster.stop(member.id, unsynced)
        case .powerLossAtEffect(let count, let unsynced):
            member.effectsLeft = count
            member.crashAfterEffects = unsynced
        case .powerLossAtDiskCall(let ordinal, let operations, let unsynced):
            member.crashOnDiskFault = unsynced
            // Only a page can be half written: the log's files are allocated before, and no crash tears a sector.
            let half = ordinal % 3 == 0 ? ordinal * 37 % 700 : nil
            member.disk.inject(
                DiskFault(
                    operations, pathSuffix: half == nil ? "" : "/db", ordinal: ordinal, storedBytes: half, isLasting: true))
        case .election(let unsynced): try strikeElection(unsynced, fault)
        case .blackout(let unsynced):
            for member in present where member.isRunning { try cluster.stop(member.id, unsynced) }
        case .diskError(let ordinal, let operations, let code):
            member.disk.inject(DiskFault(operations, ordinal: ordinal, code: code))
        case .fullDisk: member.disk.inject(DiskFault(.allocating, code: ENOSPC, isLasting: true))
        case .slowDisk(let span):
            member.diskDelay = span
            later(fault) { member.diskDelay = Instant.Span(nanoseconds: 0) }
        default: break
        }
        later(fault) { [unowned self] in try restart(member) }
    }

    private func strikeElection(_ unsynced: UnsyncedWrites, _ fault: Fault) throws {
        guard let leader = cluster.leaders.first, present.count > 2 else { return }
        try cluster.stop(leader.id, unsynced)
        cluster.schedule(after: .milliseconds(150)) { [unowned self] in if !isOver { try restart(leader) } }
        for voter in present where voter.isRunning {
            voter.crashAfterVote = { [unowned self] voter, candidate in
                guard !isOver else { return }
                for other in present { other.crashAfterVote = nil }
                try cluster.stop(voter.id, unsynced)
                cluster.schedule(after: .milliseconds(40)) { [unowned self] in if !isOver { try restart(voter) } }
                for other in cluster.members where other.id != candidate {
                    cut(other.id, candidate, fault)
                    cut(candidate, other.id, fault)
                }
            }
        }
    }

    private func later(_ fault: Fault, _ body: @escaping () throws -> Void) {
        cluster.schedule(after: fault.length) { [unowned self] in if !isOver { try body() } }
    }

    /// The disk works again, and whoever is down starts.
    private func restart(_ member: SimulatedMember) throws {
        if member.crashOnDiskFault == nil { member.disk.clearFaults() }
        for member in present where !member.isRunning {
            // One start in four does not get far.
            if starts % 4 == 3 {
                member.crashOnDiskFault = .torn
                member.disk.inject(DiskFault(.changing, ordinal: 1 + starts % 17, isLasting: true))
            }
            starts += 1
            try cluster.start(member.id)
        }
        try membership.replaceDamaged()
    }

    private func strikeNetwork(_ fault: Fault, _ member: SimulatedMember) {
        let network = cluster.network
        switch fault.kind {
        case .isolation(let inbound, let outbound):
            for other in cluster.members where other !== member {
                if inbound { cut(other.id, member.id, fault) }
                if outbound { cut(member.id, other.id, fault) }
            }
        case .cutLink(let number, let bothWays):
            guard let other = other(number, than: member) else { return }
            cut(member.id, other.id, fault)
            if bothWays { cut(other.id, member.id, fault) }
        case .cloggedLink(let number):
            guard let other = other(number, than: member) else { return }
            network.clog(member.id, other.id)
            cluster.schedule(after: fault.length) { [unowned cluster] in cluster.unclog(member.id, other.id) }
        case .weather(let faults):
            network.faults = faults
            weather += 1
            let number = weather
            later(fault) { [unowned self] in if weather == number { network.faults = NetworkFaults() } }
        default: break
        }
    }

    private func cut(_ from: MemberID, _ to: MemberID, _ fault: Fault) {
        cluster.network.block(from, to)
        cluster.schedule(after: fault.length) { [unowned cluster] in cluster.network.unblock(from, to) }
    }

    // MARK: healing

    /// Every fault ends, and every member that belongs to the cluster runs.
    func heal() throws {
        isOver = true
        scene = nil
        cluster.network.faults = NetworkFaults()
        cluster.network.clear().forEach { cluster.unclogged($0) }
        for member in cluster.members {
            member.pausedUntil = Instant(nanoseconds: 0)
            member.diskDelay = Instant.Span(nanoseconds: 0)
            member.effectsLeft = nil
            member.crashOnDiskFault = nil
            member.crashAfterVote = nil
            member.disk.clearFaults()
        }
        for member in present {
            if member.isRunning { cluster.scheduleTurn(member, at: cluster.now) } else { try cluster.start(member.id) }
        }
        cluster.say { "healed" }
    }
}
