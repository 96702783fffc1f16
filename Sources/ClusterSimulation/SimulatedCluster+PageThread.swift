import Backend
import Host
import Member
import Simulation

/// The thread that owns the page file: one job after the other, beside the member's turns.
extension SimulatedCluster {
    func add(_ job: MemberProcess.PageJob, _ member: SimulatedMember, _ process: MemberProcess) {
        if case .commit(let group, _) = job, options.bug == .indexBeforeData {
            try? BugSwitches.commitIndexAlone(group, to: process.committer.file)
        }
        process.pageJobs.append(job)
        if process.pageJobs.count == 1 { schedulePageJob(member) }
    }

    private func schedulePageJob(_ member: SimulatedMember) {
        let span = Instant.Span(nanoseconds: Int64.random(in: 100_000...4_000_000, using: &random))
        let end = now + span + member.diskDelay + member.pageDelay
        queue.schedule(.pageJob(member, life: member.life), at: max(end, member.pausedUntil))
    }

    func doPageJob(_ member: SimulatedMember, _ life: Int) throws {
        guard member.life == life, let process = member.process, let job = process.pageJobs.first else { return }
        do {
            try member.disk.failingReads { try carryOut(job, process) }
        } catch {
            return try died(member, "page file: \(error)", failures: process.injectedFailuresAtStart)
        }
        process.pageJobs.removeFirst()
        if !process.pageJobs.isEmpty { schedulePageJob(member) }
        scheduleTurn(member, at: now)
    }

    private func carryOut(_ job: MemberProcess.PageJob, _ process: MemberProcess) throws {
        switch job {
        case .commit(let group, let defragments): try commit(group, defragments: defragments, process)
        case .install(let installation):
            let installed = try installation.carryOut(process.opening)
            process.committer = PageCommitter(installed.pageFile)
            process.inbox.installations.append(installed)
        }
    }

    private func commit(_ group: CommitGroup, defragments: Bool, _ process: MemberProcess) throws {
        var commit = try process.committer.commit(group)
        if defragments { commit = try process.committer.defragment(after: group.number) }
        process.inbox.commits.append(commit)
        counts.commits += 1
    }
}
