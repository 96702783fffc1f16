import EtcdAPI
import Host
import MVCC
import Member
import PageStore
import Raft
import Records
import Simulation

/// Checks that look at a whole member: hashes, page files, and everything at the end.
extension SimulationRun {
    /// Equal at equal revision and compact revision, whoever is asked and whenever.
    func checkHash(of member: SimulatedMember, _ process: MemberProcess) throws {
        // Where nothing lives it depends on how far compaction is, in etcd too.
        guard !log.model.values([0], [0], at: process.published.view.currentRevision).isEmpty else { return }
        let hash = try process.published.view.hashKeyValues(at: 0)
        let place = HashPlace(revision: hash.revision, compactRevision: hash.compactRevision)
        if let known = hashes[place], known != hash.hash {
            throw Violation("hash", "m\(member.id) at revision \(hash.revision), compacted at \(hash.compactRevision)")
        }
        hashes[place] = hash.hash
    }

    /// What a crash left is a sound page file, if it is one at all.
    func checkPageFile(of member: SimulatedMember) throws {
        let path = DataDirectory("/data").pageFilePath
        guard let size = member.disk.size(path), size > 4 * cluster.options.pageSize else { return }
        var options = PageFileOptions()
        options.access = .read
        options.isReadOnly = true
        let file: PageFile
        do { file = try PageFile.open(disk: member.disk.copy(), path: path, options: options) } catch {
            throw Violation("page-file", "m\(member.id) after it ended: \(error)")
        }
        let report = try file.beginRead().check()
        // The other meta page may be half written.
        let problems = report.problems.filter { if case .meta = $0.kind { false } else { true } }
        guard problems.isEmpty else { throw Violation("page-file", "m\(member.id) after it ended: \(problems)") }
    }

    /// What the members are doing, as one number: how much of what can be has been seen.
    func noteState() {
        var state: UInt64 = 0
        for member in cluster.members {
            var own: UInt64 = 0
            if let status = member.published?.status {
                own = 1 + UInt64(status.role.rawValue) * 2 + (status.leader == 0 ? 1 : 0)
                own = own * 2 + (status.isCompacting ? 1 : 0)
                own = own * 4 + min(3, UInt64(status.commitIndex - min(status.commitIndex, status.appliedIndex)))
                own = own * 2 + (member.process?.pageJobs.isEmpty == false ? 1 : 0)
                own = own * 2 + (member.pausedUntil > cluster.now ? 1 : 0)
                let behind = log.lastIndex - min(log.lastIndex, status.appliedIndex)
                own = own * 4 + (behind == 0 ? 0 : behind < 5 ? 1 : behind < 60 ? 2 : 3)
            }
            state = state &* 1_000_003 &+ own
        }
        states.insert(state)
    }

    // MARK: the end

    /// Everything works again: a leader is found, writes succeed, everybody catches up, and all hold the same.
    func heal() throws {
        try driver.heal()
        proxies?.heal()
        let limit = Instant.Span.seconds(40)
        let isBack = try cluster.run(within: limit) { $0.leaders.first?.published?.status.isReady == true }
        try throwEarly()
        guard isBack else { throw Violation("liveness", "no leader within \(limit.seconds) s after healing: \(summary)") }
        try quota?.relieve()
        try checkWrite()
        let isSettled = try cluster.run(within: limit) { _ in self.driver.membership.isIdle }
        try throwEarly()
        guard isSettled else { throw Violation("liveness", "membership does not settle: \(summary)") }
        stopOperations()
        leases.times.becameWhole(now: cluster.now)
        scheduleLeaseChecks()
        for session in sessions { reattach(session) }
        try proxies?.checkAfterHealing()
        let isLevel = try cluster.run(within: limit) { _ in self.isLevel }
        try throwEarly()
        guard isLevel else { throw Violation("liveness", "members do not catch up: \(summary)") }
        try cluster.run(for: .milliseconds(500))
        try throwEarly()
        try checkLeasesEnd()
        if settings.seed % 3 == 1 { try checkTimesAcrossElections() }
        try checkSessions()
        try checkMemory()
        for member in belonging { try compare(member) }
    }

    var belonging: [SimulatedMember] { driver.membership.present }

    var isLevel: Bool {
        belonging.allSatisfy { $0.process.map { $0.publishedIndex == log.lastIndex } ?? false }
    }

    var summary: String {
        cluster.members.map { member in
            guard let status = member.published?.status else { return "m\(member.id) down (\(member.failure ?? "stopped"))" }
            return "m\(member.id) \(status.role) term \(status.term) leader \(status.leader) applied \(status.appliedIndex)"
        }.joined(separator: ", ") + "; log \(log.lastIndex)"
    }

    private func checkWrite() throws {
        for attempt in 0..<20 {
            guard let leader = cluster.leaders.first else {
                try cluster.run(for: .seconds(1))
                continue
            }
            let before = clients.counts.acknowledged
            let put = PutRequest(key: Array("healed".utf8), value: Array("\(attempt)".utf8))
            try clients.run(.propose(.put(put)), at: leader.id)
            if try cluster.run(within: .seconds(2), until: { [clients] _ in clients.counts.acknowledged > before }) { return }
            try throwEarly()
        }
        throw Violation("liveness", "no write succeeds after healing: \(summary)")
    }

    /// Nobody renews any more, so every lease has to end.
    private func checkLeasesEnd() throws {
        let isDone = try cluster.run(within: .seconds(40)) { _ in self.log.model.leases.isEmpty && self.isLevel }
        try throwEarly()
        guard isDone else { throw Violation("lease-late", "leases \(log.model.leases) do not end: \(summary)") }
    }

    /// Nobody asks any more, so when all requests have timed out nothing of them may be left.
    private func checkMemory() throws {
        proxies?.close()
        try cluster.run(for: .seconds(10))
        try throwEarly()
        for member in belonging {
            guard let process = member.process else { continue }
            let streams = sessions.count { $0.at == member.id && $0.life == member.life }
            try memory.checkIdle(member, process, streams: streams)
        }
    }

    private func checkSessions() throws {
        for _ in 0..<3 {
            for session in sessions {
                session.isWritable = true
                // A watch that was compacted goes on from there.
                let belongs = belonging.contains { $0.id == session.at }
                if !belongs || session.isCancelled { reattach(session) }
            }
            for member in cluster.members { if let process = member.process { try deliver(process) } }
        }
        try throwEarly()
        for session in sessions {
            guard session.expected(upTo: .max).isEmpty else {
                throw Violation("watch", "session \(session.number) was not told of everything: next \(session.next ?? 0)")
            }
        }
    }

    /// The member holds what the model holds: values, history, leases.
    private func compare(_ member: SimulatedMember) throws {
        guard let process = member.process else { return }
        let view = process.published.view
        let newest = view.currentRevision
        for revision in Set([max(1, view.compactRevision), newest, (max(1, view.compactRevision) + newest) / 2]) {
            try clients.check(
                range: RangeRequest(key: [0], rangeEnd: [0], revision: revision), on: process.published, floor: nil)
        }
        try checkHash(of: member, process)
        if let hash = log.model.hash, hash != hashes[HashPlace(revision: newest, compactRevision: view.compactRevision)] {
            throw Violation("hash", "m\(member.id) at revision \(newest): not what the model's is")
        }
        let report = try process.committer.file.beginRead().check()
        guard report.isSound else { throw Violation("page-file", "m\(member.id): \(report)") }
        guard process.published.status.leaseCount == log.model.leases.count else {
            throw Violation("leases", "m\(member.id) has \(process.published.status.leaseCount)")
        }
    }
}
