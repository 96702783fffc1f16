import EtcdAPI
import Host
import Member
import Raft

/// A quota that clients reach: NOSPACE is raised by who ran out of space and nobody else, after every refusal for want of space, and
/// lifted only when the file has been well below the quota for a while (or by a client); then writes work again.
final class QuotaChecker {
    private unowned let run: SimulationRun
    private let quota: Int64
    /// The most each member's file has been.
    private var largest: [MemberID: Int64] = [:]
    /// Since when a member's file holds less than nine tenths of the quota, and the last time this had lasted long enough.
    private var belowSince: [MemberID: Instant] = [:]
    private var eligible: [MemberID: Instant] = [:]
    /// Members that refused a write for want of space, and raised no alarm yet.
    private var owing: [MemberID] = []
    private(set) var raised = 0
    private(set) var lifted = 0

    /// `SpaceGuard.patience` on a clock that runs a twentieth fast.
    private static let patience = Instant.Span.seconds(28)

    static func quota(_ seed: UInt64) -> Int64 { [200, 300, 500][Int(seed / 8 % 3)] << 10 }

    init(_ run: SimulationRun) {
        self.run = run
        quota = QuotaChecker.quota(run.settings.seed)
        run.log.onAlarm = { [unowned self] in try sawAlarm($0, isClients: $1) }
        run.clients.onShortage = { [unowned self] member in
            if !owing.contains(member.id) { owing.append(member.id) }
        }
    }

    func ended(_ member: SimulatedMember) {
        owing.removeAll { $0 == member.id }
        belowSince[member.id] = nil
    }

    func published(_ member: SimulatedMember, _ status: MemberStatus) {
        let now = run.cluster.now
        largest[member.id] = max(largest[member.id] ?? 0, status.pageFileSize)
        guard Double(status.pageFileSizeInUse) < Double(quota) * 0.9 else {
            belowSince[member.id] = nil
            return
        }
        let since = belowSince[member.id] ?? now
        belowSince[member.id] = since
        if now - since >= QuotaChecker.patience { eligible[member.id] = now }
    }

    private func sawAlarm(_ request: AlarmRequest, isClients: Bool) throws {
        guard request.alarm == .nospace, !isClients else { return }
        let member = request.memberID
        if request.action == .activate {
            raised += 1
            owing.removeAll { $0 == member }
            // A growing file takes whole steps; half the quota is too little whatever the steps are.
            guard largest[member] ?? 0 >= quota / 2 else {
                throw Violation("quota", "m\(member) raises NOSPACE; its file has had \(largest[member] ?? 0) of \(quota) bytes")
            }
        } else if request.action == .deactivate {
            lifted += 1
            guard let last = eligible[member], run.cluster.now - last < .seconds(20) || run.leases.lastLeap != nil else {
                if run.leases.lastLeap != nil { return }
                throw Violation(
                    "quota", "m\(member) lifts NOSPACE; its file has not been below nine tenths of the quota for long")
            }
        }
    }

    /// Makes room as an operator does, and then everything works again.
    func relieve() throws {
        let cluster = run.cluster
        run.stopOperations()
        try cluster.run(for: .seconds(8))
        try run.throwEarly()
        guard owing.isEmpty || !run.log.model.shortOfSpace.isEmpty else {
            throw Violation("quota", "m\(owing[0]) refused a write for want of space and raised no alarm")
        }
        for _ in 0..<20 {
            guard let leader = cluster.leaders.first else {
                try cluster.run(for: .seconds(1))
                continue
            }
            let all = DeleteRangeRequest(key: [0], rangeEnd: [0])
            try run.clients.run(.propose(.deleteRange(all)), at: leader.id)
            try cluster.run(for: .milliseconds(500))
            let compaction = CompactionRequest(revision: run.log.model.revision, physical: true)
            try run.clients.run(.propose(.compaction(compaction), physical: true), at: leader.id)
            try cluster.run(for: .milliseconds(500))
            for member in cluster.members where member.isRunning { run.clients.call(.defragment, at: member.id) }
            for id in run.log.model.shortOfSpace.sorted() where !run.driver.membership.present.contains(where: { $0.id == id }) {
                // A member that was removed lifts nothing any more.
                let alarm = AlarmRequest(action: .deactivate, memberID: id, alarm: .nospace)
                try run.clients.run(.propose(.alarm(alarm)), at: leader.id)
            }
            try cluster.run(within: .seconds(5)) { [run] _ in run.log.model.shortOfSpace.isEmpty }
            try run.throwEarly()
            if run.log.model.shortOfSpace.isEmpty, isBelow { return }
        }
        guard run.log.model.shortOfSpace.isEmpty else {
            throw Violation("quota", "NOSPACE of \(run.log.model.shortOfSpace.sorted()) is not lifted after making room")
        }
        let sizes = run.driver.membership.present.compactMap(\.published?.status).map { status in
            "m\(status.memberID) \(status.pageFileSize), \(status.pageFileSizeInUse) in use"
        }
        throw Violation("quota", "files stay large after making room, for a quota of \(quota): \(sizes)")
    }

    private var isBelow: Bool {
        run.driver.membership.present.allSatisfy { ($0.published?.status.pageFileSize ?? 0) < quota * 9 / 10 }
    }
}
