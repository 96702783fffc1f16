import EtcdAPI
import Host
import Membership
import Raft
import Records

/// What a member owes to the others: agreeing on a version, handing leadership over, leaving when it was removed.
extension Member {
    /// Between two looks at the versions the members run (etcd's `monitorVersionInterval`).
    static let versionInterval = Instant.Span.seconds(4)
    /// A member that learns of its removal stays for a moment, so that its last answers leave (as etcd does).
    static let removalDelay = Instant.Span.seconds(1)
    /// Clusters of earlier versions replicate what this member cannot apply.
    static let lowestVersion = ClusterVersion(3, 5)

    // MARK: the cluster's version

    func watchVersions(_ now: Instant) {
        guard isPublished else { return }
        if machine.membership.members.count == 1 { return agree(among: []) }
        // Whoever is at the other end of a new connection is asked at once.
        let isSomebodyNew = !machine.leases.isEmpty && others.contains { isConnected($0) && kind(of: $0) == nil }
        guard now >= versionsDue || (isSomebodyNew && now >= kinds.repetitionDue) else { return }
        versionsDue = now + Member.versionInterval
        askKinds(now)
    }

    func heard(_ answers: [MemberID: PeerVersions], to question: UInt64, now: Instant) {
        kinds.heard(answers, to: question)
        guard raft.role == .leader, isPublished, settling == nil else { return }
        agree(among: others.map { answers[$0]?.server })
    }

    /// By what the others run, nil where they do not answer.
    private func agree(among versions: [ClusterVersion?]) {
        let rule = ClusterVersionRule(behavingAs: settings.behavesAs)
        let record = machine.membership.record
        if let next = rule.next(present: record.clusterVersion, others: versions, downgrade: record.downgrade) {
            proposeOwn(.clusterVersion(next))
        }
        if rule.isOver(record.downgrade, others: versions) { proposeOwn(.endDowngrade) }
    }

    // MARK: leadership

    func moveLeader(to target: MemberID, _ reply: ReplyAddress, now: Instant) {
        guard raft.role == .leader else { return refuse(reply, .notLeader) }
        guard machine.membership.voters.contains(where: { $0.id == target }) else { return refuse(reply, .badLeaderTransferee) }
        transfer(to: target, reply, now: now)
    }

    /// Before a stop: whoever holds the most of the log leads next. Answered when this member leads no longer, or cannot help it.
    func handOver(_ reply: ReplyAddress, tried: [MemberID] = [], now: Instant) {
        let candidates =
            raft.role == .leader
            ? raft.status.peers.filter { peer in
                peer.id != settings.memberID && !peer.isLearner && peer.isRecentlyActive && isConnected(peer.id)
                    && !tried.contains(peer.id)
            } : []
        guard let best = candidates.max(by: { ($0.match, $1.id) < ($1.match, $0.id) }) else {
            return output.answers.append((reply, .done))
        }
        transfer(to: best.id, reply, beforeStop: tried + [best.id], now: now)
    }

    func isConnected(_ member: MemberID) -> Bool { connectedSince.map { $0(member) != nil } ?? true }

    private func transfer(to target: MemberID, _ reply: ReplyAddress, beforeStop tried: [MemberID]? = nil, now: Instant) {
        if target != settings.memberID { writeRemainingTimesBeforeHandover(now: now) }
        do throws(Refusal) { try raft.transferLeadership(to: target, now: now) } catch {
            return refuse(reply, EtcdError(error))
        }
        // Raft gives the target an election timeout; only a client waits longer, as it does with etcd.
        let patience = tried == nil ? settings.requestTimeout : settings.electionTimeout
        moves.append(LeaderMove(target: target, reply: reply, deadline: now + patience, triedBeforeStop: tried))
    }

    func refuse(_ reply: ReplyAddress, _ error: EtcdError) { output.answers.append((reply, .refused(error))) }

    func answerMoves(now: Instant) {
        let open = moves
        moves.removeAll(keepingCapacity: true)
        for move in open {
            if raft.leader == move.target {
                output.answers.append((move.reply, .done))
            } else if let tried = move.triedBeforeStop, raft.role == .leader, hasFailed(move) {
                handOver(move.reply, tried: tried, now: now)
            } else if move.deadline <= now {
                refuse(move.reply, .timeout)
            } else {
                moves.append(move)
            }
        }
    }

    /// Whether it is of no use to wait: the target may be stopping as well.
    private func hasFailed(_ move: LeaderMove) -> Bool {
        raft.status.transferTarget != move.target || !isConnected(move.target)
    }

    /// A leader that stood still for longer than an election timeout may have been replaced without knowing it.
    func stepDownAfterStall(now: Instant) {
        defer { turnStart = now }
        let pause = now - turnStart
        guard raft.role == .leader, !isOnlyVoter, pause > settings.electionTimeout else { return }
        raft.stepDown(.diskStalled, now: now)
        output.events.append(.stalled(pause))
    }

    /// A leader whose page file takes longer than an election timeout for one commit, and than is usual there, lets another member lead,
    /// before what it cannot commit fills its memory. It goes on as a follower: the log is the truth, and its disk is fine.
    func leaveLeadershipIfPageFileHangs(now: Instant) {
        guard let due = pageFileHangDue, due <= now, let began = commitWatch.began, giveLeadershipAway(now: now) else { return }
        output.events.append(.stalled(now - began))
    }

    /// When a commit that is under way has taken too long for a leader of others.
    var pageFileHangDue: Instant? {
        guard raft.role == .leader, !isOnlyVoter, let due = commitWatch.hangs(electionTimeout: settings.electionTimeout) else {
            return nil
        }
        return max(due, unfitHandOverDue)
    }

    /// While leadership is on its way elsewhere nothing can be proposed, so a leader that is not fit for it does not try all the time.
    private static let handOverPause = Instant.Span.seconds(10)

    /// To whoever holds the most of the log and is sound. False where nobody is there for it, or not now.
    func giveLeadershipAway(now: Instant) -> Bool {
        guard now >= unfitHandOverDue else { return false }
        unfitHandOverDue = now + Member.handOverPause
        let candidates = raft.status.peers.filter {
            $0.id != settings.memberID && !$0.isLearner && $0.isRecentlyActive
                && !machine.alarms.isRaised(.corrupt, against: $0.id)
        }
        guard let best = candidates.max(by: { ($0.match, $1.id) < ($1.match, $0.id) }) else { return false }
        return (try? raft.transferLeadership(to: best.id, now: now)) != nil
    }

    func leadershipChanged(_ change: LeadershipChange, now: Instant) {
        output.events.append(.leadership(change))
        if change.leader != 0, change.leader != knownLeader {
            knownLeader = change.leader
            leaderElected = now
            reads.askAgain(now)
        }
        kinds.forget()
        if change.role == .leader {
            versionsDue = now
            // Passed on to the leader before, it may be lost; until it is published a leader asks nobody what they are.
            ownRequests = ownRequests.filter { $0.value.request != .publish }
            return
        }
        machine.leases.demote()
        // Whoever leads next sees to leases and versions anew.
        if change.stepDownReason != nil { ownRequests = ownRequests.filter { $0.value.request == .publish } }
    }

    /// Why a request of this deadline was not answered in time, as etcd tells it.
    func timeoutError(_ deadline: Instant) -> EtcdError {
        guard let leaderElected else { return .timeout }
        let began = deadline + Instant.Span(nanoseconds: -settings.requestTimeout.nanoseconds)
        let lost = leaderElected + Instant.Span(nanoseconds: -2 * settings.electionTimeout.nanoseconds)
        return began > lost && began < leaderElected ? .timeoutDueToLeaderFail : .timeout
    }

    // MARK: removal

    /// A leader stays until another has taken over, or the others might never learn that the removal is committed.
    func noteRemoval(_ now: Instant) {
        guard let removedAt, !isGone else { return }
        let patience = Instant.Span(nanoseconds: Member.removalDelay.nanoseconds + 10 * settings.electionTimeout.nanoseconds)
        guard now >= (raft.role == .leader ? removedAt + patience : removedAt + Member.removalDelay) else { return }
        isGone = true
        output.events.append(.removed)
    }

    /// A leader wakes for its heartbeats anyway.
    var removalWake: Instant? { isGone || raft.role == .leader ? nil : removedAt.map { $0 + Member.removalDelay } }
}

/// A client waits for another member to lead.
struct LeaderMove {
    let target: MemberID
    let reply: ReplyAddress
    let deadline: Instant
    /// Of a leader that stops: everybody it has tried to hand over to. Nil when a client asked.
    let triedBeforeStop: [MemberID]?
}
