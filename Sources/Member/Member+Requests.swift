import Bytes
import EtcdAPI
import Host
import Lease
import MVCC
import Membership
import Raft
import Records
import StateMachine

extension Member {
    /// Committed entries not applied yet, past which proposals are refused (etcd's `maxGapBetweenApplyAndCommitIndex`).
    static let largestApplyGap: UInt64 = 5000

    /// Changes that wait for the page file, past which proposals are refused: a hung page file must not fill the memory.
    static let largestBacklog = (changes: 1_000_000, bytes: 256 << 20)

    private var isPageFileTooFarBehind: Bool {
        machine.store.openByteCount >= Member.largestBacklog.bytes
            || machine.store.openChangeCount >= Member.largestBacklog.changes
    }

    func accept(_ requests: [ClientRequest], now: Instant) {
        for request in requests {
            if case .propose(let payload, let id, let afterCompaction) = request.command {
                if raft.commit > raft.applied + Member.largestApplyGap || isPageFileTooFarBehind || parked.isFull {
                    refuse(request.reply, .tooManyRequests)
                    continue
                }
                waiting.add(
                    id, WaitingRequests.Request(reply: request.reply, afterCompaction: afterCompaction),
                    deadline: now + settings.requestTimeout)
                parked.add(ParkedProposals.Proposal(id: id, payload: payload))
            } else {
                handle(request, now: now)
            }
        }
        askForReads(now)
        proposeParked()
    }

    /// Proposes what has come, and what waited for a leader.
    func proposeParked() {
        guard !parked.isEmpty else { return }
        let proposals = parked.take { waiting.contains($0) }
        guard !proposals.isEmpty else { return }
        do throws(Refusal) { try raft.propose(proposals.map(\.payload)) } catch {
            switch error {
            case .noLeader, .notLeader, .transferringLeadership: for proposal in proposals { parked.add(proposal) }
            case .tooManyUncommittedBytes, .tooManyPendingReads, .notMember, .changePending, .invalidChange, .notVoter:
                for proposal in proposals {
                    machine.counts.failedProposals += 1
                    if let request = waiting.take(proposal.id) { refuse(request.reply, EtcdError(error)) }
                }
            }
        }
    }

    private func handle(_ request: ClientRequest, now: Instant) {
        switch request.command {
        case .propose: preconditionFailure("proposals are taken together")
        case .renewLease(let id): renewals.append((id, request.reply))
        case .leaseTimeToLive(let id, let keys): answer(request, times(of: id, keys: keys, now: now))
        case .listLeases: answer(request, .leases(machine.leases.list(now: now)))
        case .changeMembership(let change): changeMembership(change, request.reply, now: now)
        case .moveLeader(let target): moveLeader(to: target, request.reply, now: now)
        case .handOverLeadership: handOver(request.reply, now: now)
        case .readIndex: reads.add(request.reply, deadline: now + settings.requestTimeout)
        case .commitPages: waitingForCommit.append((groupToWaitFor(), request.reply))
        case .defragment: waitingForDefragmentation.append(request.reply)
        }
    }

    private func answer(_ request: ClientRequest, _ answer: MemberAnswer) {
        output.answers.append((request.reply, answer))
    }

    /// What a member that does not lead says to requests for leaders.
    private var whyNotLeading: EtcdError { raft.leader == 0 ? .noLeader : .notLeader }

    /// Answers renewals that can be; one whose lease is being revoked, or has a checkpoint to be cleared first, waits its turn.
    ///
    /// The next leader gives every lease an election timeout on top, for what this one may renew unbeknownst to it. So nothing is
    /// renewed unless a quorum was heard of within that time; within half of it, for answers may have been on their way for long.
    func answerRenewals(now: Instant) {
        guard !renewals.isEmpty else { return }
        let waiting = renewals
        renewals.removeAll(keepingCapacity: true)
        guard raft.role == .leader else {
            for (_, reply) in waiting { refuse(reply, whyNotLeading) }
            return
        }
        let span = Instant.Span(nanoseconds: settings.electionTimeout.nanoseconds / 2)
        guard raft.hasHeardQuorum(within: span, now: now) else {
            renewals = waiting
            return
        }
        for (id, reply) in waiting {
            switch machine.leases.renewal(of: id, now: now) {
            case .renewed(let ttl):
                machine.counts.leasesRenewed += 1
                output.answers.append((reply, .leaseRenewed(ttl: ttl)))
            case .notFound: output.answers.append((reply, .refused(.leaseNotFound)))
            case .checkpointed:
                proposeOwn(.checkpoint([LeaseCheckpoint(id: id, remainingTTL: 0)]))
                renewals.append((id, reply))
            case .ending, .notLeading: renewals.append((id, reply))
            }
        }
    }

    private func times(of id: Int64, keys: Bool, now: Instant) -> MemberAnswer {
        guard raft.role == .leader else { return .refused(whyNotLeading) }
        guard machine.leases.isLeading else { return .refused(.leaderChanged) }
        guard let lease = machine.leases.lease(id, now: now) else { return .refused(.leaseNotFound) }
        return .leaseTimes(
            remaining: lease.remaining.nanoseconds / 1_000_000_000, granted: lease.ttl,
            keys: keys ? machine.leases.keys(of: id) : [])
    }

    private func changeMembership(_ request: MembershipRequest, _ reply: ReplyAddress, now: Instant) {
        if case .promote(let id) = request, let refusal = whyNotInSync(id) {
            refuse(reply, refusal)
            return
        }
        let change: ConfigurationChange
        do throws(MembershipRefusal) { change = try configurationChange(request) } catch {
            refuse(reply, EtcdError(error))
            return
        }
        if settings.strictReconfiguration, let refusal = whyUnhealthy(request, now: now) { return refuse(reply, refusal) }
        // Before another member can hold the log: it may be Go.
        if case .add = request { resetRemainingTimes() }
        do throws(Refusal) { _ = try raft.proposeConfigurationChange(change) } catch {
            refuse(reply, EtcdError(error))
            return
        }
        waiting.add(
            change.id, WaitingRequests.Request(reply: reply, afterCompaction: false), deadline: now + settings.requestTimeout)
    }

    /// A learner may vote once it holds nine tenths of what the leader holds (etcd's `readyPercentThreshold`).
    private func whyNotInSync(_ id: MemberID) -> EtcdError? {
        guard raft.role == .leader else { return whyNotLeading }
        let peers = raft.status.peers
        guard let learner = peers.first(where: { $0.id == id }) else { return .memberNotFound }
        guard let own = peers.first(where: { $0.id == settings.memberID }) else { return nil }
        return Double(learner.match) < Double(own.match) * 0.9 ? .learnerNotReady : nil
    }

    /// A member that was heard of only a moment ago may be gone again the next (etcd's `HealthInterval`).
    private static let healthInterval = Instant.Span.seconds(5)

    /// Additions want as many voters connected for a while as will be a quorum with the new one counted among those that are down
    /// (since etcd 3.5.30; all of them before); removals want a quorum of the others to be, unless the removed one is down already.
    private func whyUnhealthy(_ request: MembershipRequest, now: Instant) -> EtcdError? {
        guard let connectedSince else { return nil }
        let since = now + Instant.Span(nanoseconds: -Member.healthInterval.nanoseconds)
        let voters = machine.membership.voters.map(\.id)
        let connected = voters.count { id in id == settings.memberID || connectedSince(id).map { $0 <= since } ?? false }
        switch request {
        case .add: return voters.count == 1 || connected >= (voters.count + 1) / 2 + 1 ? nil : .unhealthy
        case .remove(let id):
            guard voters.contains(id), id == settings.memberID || connectedSince(id) != nil else { return nil }
            return connected - 1 < 1 + (voters.count - 1) / 2 ? .unhealthy : nil
        case .update, .promote: return nil
        }
    }

    private func configurationChange(_ request: MembershipRequest) throws(MembershipRefusal) -> ConfigurationChange {
        var change = ConfigurationChange(id: requestIDs.next())
        switch request {
        case .add(let member):
            if settings.strictReconfiguration, !member.isLearner { try machine.membership.checkAddingVoter() }
            change.steps = [.init(kind: member.isLearner ? .addLearner : .addVoter, member: member.id)]
            change.context = MemberChangeContext(member: member).json
        case .remove(let id):
            if settings.strictReconfiguration { try machine.membership.checkRemovingVoter(id) }
            change.steps = [.init(kind: .remove, member: id)]
        case .update(let id, let urls):
            change.steps = [.init(kind: .update, member: id)]
            change.context = MemberRecord(id: id, peerURLs: urls).json
        case .promote(let id):
            guard machine.membership.member(id) != nil else { throw .idNotFound }
            if settings.strictReconfiguration { try machine.membership.checkPromoting(id) }
            change.steps = [.init(kind: .addVoter, member: id)]
            change.context = MemberChangeContext(member: MemberRecord(id: id), isPromotion: true).json
        }
        return change
    }

    /// Without a leader the question stays, and is asked when there is one.
    func askForReads(_ now: Instant) {
        while let question = reads.dueQuestion(now) {
            guard (try? raft.readIndex(question)) == nil else { continue }
            return
        }
    }

    func answerReads(_ now: Instant) {
        for reply in reads.takeAnswerable(applied: raft.applied) { output.answers.append((reply, .done)) }
        reads.expire(now) { refuse($0, .timeout) }
    }
}

extension EtcdError {
    /// Raft's refusals as clients know them.
    init(_ refusal: Refusal) {
        self =
            switch refusal {
            case .noLeader: .noLeader
            case .notLeader: .notLeader
            case .transferringLeadership: .leaderChanged
            case .tooManyUncommittedBytes, .tooManyPendingReads: .tooManyRequests
            case .notMember: .memberNotFound
            case .changePending: .unhealthy
            case .invalidChange: .unhealthy
            case .notVoter: .badLeaderTransferee
            }
    }

    init(_ refusal: MembershipRefusal) {
        self =
            switch refusal {
            case .idRemoved: .memberNotFound
            case .idExists: .memberExist
            case .idNotFound: .memberNotFound
            case .peerURLExists: .peerURLExist
            case .tooManyLearners: .tooManyLearners
            case .notALearner: .memberNotLearner
            case .notEnoughStarted: .memberNotEnoughStarted
            case .malformed: .memberBadURLs
            }
    }
}
