import Host
import MVCC
import Member
import Membership
import PageStore
import Raft
import Records
import Simulation
import WAL

/// What happens between members: messages, snapshots with their databases, and what senders learn of them.
extension SimulatedCluster {
    func send(_ parcel: Parcel, at time: Instant? = nil) {
        counts.messages += 1
        observer?.sent(parcel.message, self)
        var parcel = parcel
        parcel.mayRepeatProposals = options.bug == .repeatedProposal
        let arrivals = network.arrivals(of: parcel, now: time ?? now)
        for time in arrivals where time.nanoseconds != .max { queue.schedule(.deliver(parcel), at: time) }
        if arrivals.isEmpty {
            counts.lostMessages += 1
            reportLoss(of: parcel.message)
        }
    }

    func send(_ snapshot: OutgoingSnapshot, from member: SimulatedMember) throws {
        var database: [UInt8] = []
        var stream = SnapshotStream(snapshot.pages)
        do throws(PageFileError) { while let chunk = try stream.next() { database += chunk } } catch {
            throw Violation("member-failed", "m\(member.id) cannot read the database it sends: \(error)")
        }
        send(Parcel(message: snapshot.message, database: database))
    }

    /// Transports notice some losses, and always what became of a snapshot.
    private func reportLoss(of message: Message) {
        if message.kind == .snapshot {
            report(.snapshot(message.to, succeeded: false), to: message.from, after: .milliseconds(30))
        } else if Int.random(in: 0..<5, using: &random) == 0 {
            report(.unreachable(message.to), to: message.from, after: .milliseconds(1))
        }
    }

    /// Lets a member know, should it still be the same process by then.
    private func report(_ report: PeerReport, to id: MemberID, after span: Instant.Span) {
        guard let member = members.first(where: { $0.id == id }) else { return }
        let life = member.life
        schedule(after: span) { [unowned self, unowned member] in
            guard member.life == life, let process = member.process, process.inbox.reports.count < 256 else { return }
            process.inbox.reports.append(report)
            scheduleTurn(member, at: now)
        }
    }

    /// Frees a clogged direction: everything it kept arrives at once.
    public func unclog(_ from: MemberID, _ to: MemberID) {
        for parcel in network.unclog(from, to) { unclogged(parcel) }
    }

    func unclogged(_ parcel: Parcel) { queue.schedule(.deliver(parcel), at: now) }

    func deliver(_ parcel: Parcel) throws {
        let message = parcel.message
        guard let member = members.first(where: { $0.id == message.to }), let process = member.process,
            process.inbox.messages.count < 4096
        else { return reportLoss(of: message) }
        if process.published.status.membership.removed.contains(message.from) {
            return report(.removed, to: message.from, after: .milliseconds(1))
        }
        note(.message, message.to, UInt64(message.kind.rawValue) &+ message.index &* 64)
        if let database = parcel.database, let index = message.snapshot?.index {
            guard try receive(database, at: index, member, process) else { return reportLoss(of: message) }
            report(.snapshot(message.to, succeeded: true), to: message.from, after: .milliseconds(1))
        }
        process.inbox.messages.append(message)
        scheduleTurn(member, at: now)
    }

    /// Stores the database that comes with a snapshot; false when the receiver's disk did not take it.
    private func receive(
        _ database: [UInt8], at index: LogIndex, _ member: SimulatedMember, _ process: MemberProcess
    ) throws -> Bool {
        let directory = SnapshotDirectory(disk(of: member), path: DataDirectory("/data").snapshotPath)
        do throws(SnapshotError) {
            counts.databasesReceived += 1
            var received = try directory.receiveDatabase(at: index, number: UInt64(counts.databasesReceived))
            var failure: SnapshotError?
            database.withUnsafeBytes { bytes in
                do throws(SnapshotError) { try received.append(bytes) } catch { failure = error }
            }
            if let failure { throw failure }
            _ = try received.finish()
            return true
        } catch {
            // A daemon reports the loss and goes on; what follows shows whether its disk still works.
            if member.crashOnDiskFault != nil { try died(member, "\(error)", failures: process.injectedFailuresAtStart) }
            return false
        }
    }

    /// Changes with every life of the other one and every cut.
    func connection(of id: MemberID, to other: MemberID) -> UInt64? {
        guard let life = runningMember(other)?.life, let connection = network.connection(id, other) else { return nil }
        return UInt64(life) << 32 | connection
    }

    /// Asks every other member which release it runs; those that cannot be reached do not answer.
    func askVersions(_ question: UInt64, for member: SimulatedMember) {
        guard let process = member.process else { return }
        if options.bug == .kindsAskedOnce, question > 1 { return }
        var versions: [MemberID: PeerVersions] = [:]
        for other in process.published.status.membership.members where other.id != member.id {
            let isReachable = !network.isBlocked(member.id, other.id) && !network.isBlocked(other.id, member.id)
            let running = members.first { $0.id == other.id && $0.isRunning && $0.pausedUntil <= now }
            guard isReachable, running != nil else { continue }
            versions[other.id] = PeerVersions(server: options.settings(other.id).behavesAs, cluster: nil, isQuorate: true)
        }
        let span = Instant.Span(nanoseconds: Int64.random(in: 1_000_000...20_000_000, using: &random))
        report(.versions(question: question, versions), to: member.id, after: span)
    }

    /// Takes every hash at once, and tells of them a while later.
    func askHashes(_ question: HashQuestion, for member: SimulatedMember) {
        guard let process = member.process else { return }
        var reports: [HashAnswers.Report] = []
        for other in process.published.status.membership.members where other.id != member.id {
            let isReachable = !network.isBlocked(member.id, other.id) && !network.isBlocked(other.id, member.id)
            let running = members.first { $0.id == other.id && $0.isRunning && $0.pausedUntil <= now }
            var answer = HashAnswer.unreachable(reason: "it does not run")
            if isReachable, let published = running?.published { answer = HashAnswer(of: published, at: question.revision) }
            reports.append(HashAnswers.Report(member: other.id, isQuorate: true, answer: answer))
        }
        let own = question.wantsOwn ? try? process.published.view.hashKeyValues(at: question.revision) : nil
        let span = Instant.Span(nanoseconds: Int64.random(in: 1_000_000...200_000_000, using: &random))
        report(.hashes(HashAnswers(round: question.round, own: own, others: reports)), to: member.id, after: span)
    }
}

extension HashAnswer {
    /// As the peer port answers.
    fileprivate init(of published: Published, at revision: Int64) {
        if let stored = published.status.storedHashes.first(where: { $0.revision == revision }) {
            self = .hash(stored)
            return
        }
        do throws(StoreError) { self = .hash(try published.view.hashKeyValues(at: revision)) } catch {
            self =
                switch error {
                case .compacted: .compacted
                case .futureRevision: .behind
                default: .unreachable(reason: "\(error)")
                }
        }
    }
}
