import Host
import Testing

@testable import Raft

/// One member at a time, held against the sentences of the Raft paper and thesis and against what peers of etcd send.
struct PaperRuleTests {
    private let start = Instant(nanoseconds: 100_000_000_000)

    /// A member of {1, 2, 3} (or others) with the given terms in its log after entry 1 of term 1.
    private func node(
        _ id: MemberID = 1, voters: [MemberID] = [1, 2, 3], learners: [MemberID] = [], terms: [Term] = [], term: Term = 1,
        vote: MemberID = 0, commit: LogIndex = 1, configure: (inout RaftConfiguration) -> Void = { _ in }
    ) throws -> RaftNode {
        var configuration = RaftConfiguration(id: id, seed: id)
        configuration.advancesInitialElection = false
        configuration.preVote = false
        configure(&configuration)
        let entries = terms.enumerated().map { Entry(term: $1, index: LogIndex($0) + 2, data: [1]) }
        return try RaftNode(
            configuration: configuration,
            restoring: PersistedState(
                hardState: HardState(term: term, vote: vote, commit: commit),
                confState: ConfState(voters: voters, learners: learners), snapshotIndex: 1, snapshotTerm: 1, entries: entries,
                applied: 1),
            now: start)
    }

    /// Takes effects and makes them durable until there are none. Returns all messages.
    @discardableResult
    private func settle(_ node: inout RaftNode) -> [Message] {
        var messages: [Message] = []
        while true {
            let effects = node.takeEffects()
            if effects.isEmpty { return messages }
            messages += effects.messages
            if effects.mustSync { node.persisted(through: effects.batch, now: start) }
            messages += effects.messagesAfterSync
            if let snapshot = effects.snapshot { node.applied(through: snapshot.index) }
            if let last = effects.committed.last { node.applied(through: last.index) }
        }
    }

    private func leader(
        voters: [MemberID] = [1, 2, 3], terms: [Term] = [], configure: (inout RaftConfiguration) -> Void = { _ in }
    ) throws -> RaftNode {
        var node = try node(voters: voters, terms: terms, term: max(1, terms.last ?? 1), configure: configure)
        node.campaign(now: start)
        settle(&node)
        for voter in voters.dropFirst() where node.role != .leader {
            try node.step(Message(kind: .voteResponse, to: 1, from: voter, term: node.term), now: start)
        }
        try #require(node.role == .leader)
        settle(&node)
        return node
    }

    // MARK: 5.1 Terms

    @Test(arguments: [
        MessageKind.append, .heartbeat, .appendResponse, .heartbeatResponse, .vote, .voteResponse, .timeoutNow,
        .readIndexResponse,
    ])
    func aHigherTermMakesAFollower(kind: MessageKind) throws {
        var node = try leader { $0.checkQuorum = false }
        let entries = kind == .readIndexResponse ? [Entry(term: 0, index: 0)] : []
        try node.step(Message(kind: kind, to: 1, from: 2, term: 9, index: 0, entries: entries), now: start)
        #expect(node.term >= 9 && node.role != .leader)
    }

    @Test func aLowerTermIsIgnored() throws {
        var node = try node(term: 5)
        try node.step(Message(kind: .vote, to: 1, from: 2, term: 4, logTerm: 9, index: 9), now: start)
        #expect(settle(&node).isEmpty && node.status.counters.outdated == 1 && node.term == 5)
    }

    @Test func aLeaderKnowsWhetherAQuorumAnsweredLately() throws {
        var node = try leader()
        #expect(!node.hasHeardQuorum(within: .seconds(1), now: start))
        let response = Message(kind: .heartbeatResponse, to: 1, from: 2, term: node.term)
        try node.step(response, now: start + .seconds(1))
        #expect(node.hasHeardQuorum(within: .milliseconds(500), now: start + .milliseconds(1500)))
        #expect(!node.hasHeardQuorum(within: .milliseconds(500), now: start + .milliseconds(1501)))
        #expect(try leader(voters: [1]).hasHeardQuorum(within: .milliseconds(1), now: start + .seconds(9)))
        #expect(try !self.node().hasHeardQuorum(within: .seconds(1), now: start))
    }

    // MARK: 5.2 Election

    @Test func aVoteIsGivenOnceATerm() throws {
        var node = try node(term: 1)
        try node.step(Message(kind: .vote, to: 1, from: 2, term: 2, logTerm: 1, index: 1), now: start)
        try node.step(Message(kind: .vote, to: 1, from: 3, term: 2, logTerm: 1, index: 1), now: start)
        try node.step(Message(kind: .vote, to: 1, from: 2, term: 2, logTerm: 1, index: 1), now: start)
        #expect(settle(&node).map(\.reject) == [false, true, false])
    }

    @Test func aVoteSurvivesARestart() throws {
        var node = try node(term: 2, vote: 3)
        try node.step(Message(kind: .vote, to: 1, from: 2, term: 2, logTerm: 1, index: 1), now: start)
        #expect(settle(&node).map(\.reject) == [true])
    }

    @Test func votesLeaveOnlyAfterTheSync() throws {
        var voter = try node()
        try voter.step(Message(kind: .vote, to: 1, from: 2, term: 2, logTerm: 1, index: 1), now: start)
        let effects = voter.takeEffects()
        #expect(effects.messages.isEmpty && effects.mustSync && effects.hardState == HardState(term: 2, vote: 2, commit: 1))
        #expect(effects.messagesAfterSync.map(\.kind) == [.voteResponse])

        // Nor when only the vote is new.
        var late = try node(term: 2)
        try late.step(Message(kind: .vote, to: 1, from: 2, term: 2, logTerm: 1, index: 1), now: start)
        let vote = late.takeEffects()
        #expect(vote.messages.isEmpty && vote.mustSync && vote.messagesAfterSync.map(\.kind) == [.voteResponse])

        var candidate = try node()
        candidate.campaign(now: start)
        let asked = candidate.takeEffects()
        #expect(asked.messages.isEmpty && asked.messagesAfterSync.map(\.kind) == [.vote, .vote])
    }

    /// The term of a leader just heard of is not durable: not even the answer to its heartbeat may tell of it.
    @Test func whateverTellsOfANewTermWaits() throws {
        var node = try node()
        try node.step(Message(kind: .heartbeat, to: 1, from: 2, term: 7), now: start)
        let effects = node.takeEffects()
        #expect(effects.messages.isEmpty && effects.messagesAfterSync.map(\.kind) == [.heartbeatResponse])
        node.persisted(through: effects.batch, now: start)
        try node.step(Message(kind: .heartbeat, to: 1, from: 2, term: 7), now: start)
        #expect(node.takeEffects().messages.map(\.kind) == [.heartbeatResponse])
    }

    @Test func electionTimeoutsAreRandomAndWithinBounds() throws {
        var seen: Set<Int64> = []
        for seed in UInt64(1)...200 {
            let node = try node { $0.seed = seed }
            let patience = try #require(node.nextWake) - start
            #expect(patience >= .milliseconds(1000) && patience < .milliseconds(1700))
            seen.insert(patience.nanoseconds / 100_000_000)
        }
        #expect(seen == Set(10...16))
    }

    @Test func initialAdvanceLeavesAboutOneHeartbeat() throws {
        let node = try node { $0.advancesInitialElection = true }
        let wait = try #require(node.nextWake) - start
        #expect(wait >= .milliseconds(100) && wait < .milliseconds(800))
        let alone = try self.node(voters: [1])
        #expect(alone.nextWake == start, "the only voter need not wait for anybody")
    }

    // MARK: 5.3 Replication

    @Test func anAppendMustMatchItsPredecessor() throws {
        var node = try node(terms: [1, 2], term: 2)
        for (index, term, refused) in [(LogIndex(3), Term(2), false), (3, 1, true), (4, 2, true), (2, 1, false), (1, 1, false)] {
            try node.step(Message(kind: .append, to: 1, from: 2, term: 2, logTerm: term, index: index), now: start)
            #expect(settle(&node).map(\.reject) == [refused])
        }
    }

    @Test func conflictingEntriesAreReplacedAndEqualOnesKept() throws {
        var node = try node(terms: [1, 2, 2], term: 3)
        try node.step(
            Message(kind: .append, to: 1, from: 2, term: 3, logTerm: 1, index: 1, entries: [Entry(term: 1, index: 2, data: [1])]),
            now: start)
        #expect(node.lastIndex == 4, "a short append of what is known cuts nothing off")
        try node.step(
            Message(kind: .append, to: 1, from: 2, term: 3, logTerm: 1, index: 2, entries: [Entry(term: 3, index: 3)]), now: start
        )
        #expect(node.lastIndex == 3 && node.term(at: 3) == 3)
        let effects = node.takeEffects()
        #expect(effects.entries.map(\.index) == [3])
    }

    @Test func theCommitIndexIsBoundedByWhatMatches() throws {
        var node = try node(terms: [1, 1, 1])
        try node.step(Message(kind: .append, to: 1, from: 2, term: 1, logTerm: 1, index: 2, commit: 4), now: start)
        #expect(node.commit == 2)
        try node.step(Message(kind: .heartbeat, to: 1, from: 2, term: 1, commit: 1), now: start)
        #expect(node.commit == 2, "it never falls")
    }

    // MARK: 5.4 Safety

    @Test func votesGoOnlyToLogsAsComplete() throws {
        for (index, term, granted) in [(LogIndex(3), Term(2), true), (4, 2, true), (2, 2, false), (9, 1, false), (1, 3, true)] {
            var node = try node(terms: [1, 2], term: 3)
            try node.step(Message(kind: .vote, to: 1, from: 2, term: 4, logTerm: term, index: index), now: start)
            #expect(settle(&node).map(\.reject) == [!granted], "log of \(index)/\(term)")
        }
    }

    /// Figure 8: an entry of an older term is not committed by counting copies.
    @Test func olderTermsAreCommittedOnlyAlongWithTheLeadersOwn() throws {
        var node = try leader(terms: [2, 2])
        #expect(node.lastIndex == 4)
        try node.step(Message(kind: .appendResponse, to: 1, from: 2, term: node.term, index: 3), now: start)
        #expect(node.commit == 1)
        try node.step(Message(kind: .appendResponse, to: 1, from: 2, term: node.term, index: 4), now: start)
        #expect(node.commit == 4)
    }

    @Test func aLeaderCountsItselfByWhatIsDurable() throws {
        var node = try leader()
        for follower: MemberID in [2, 3] {
            try node.step(
                Message(kind: .appendResponse, to: 1, from: follower, term: node.term, index: node.lastIndex), now: start)
        }
        settle(&node)
        try node.propose([[1], [2]])
        let effects = node.takeEffects()
        #expect(effects.messages.map(\.entries.count) == [2, 2], "its appends do not wait")
        try node.step(Message(kind: .appendResponse, to: 1, from: 2, term: node.term, index: node.lastIndex), now: start)
        #expect(node.commit < node.lastIndex)
        node.persisted(through: effects.batch, now: start)
        #expect(node.commit == node.lastIndex)
    }

    @Test func appliedIsNeverAheadOfTheDisk() throws {
        var node = try leader()
        try node.propose([[1]])
        let effects = node.takeEffects()
        for follower: MemberID in [2, 3] {
            try node.step(
                Message(kind: .appendResponse, to: 1, from: follower, term: node.term, index: node.lastIndex), now: start)
        }
        #expect(node.commit == node.lastIndex)
        #expect(!node.takeEffects().committed.contains { $0.index == node.lastIndex })
        node.persisted(through: effects.batch, now: start)
        #expect(node.takeEffects().committed.last?.index == node.lastIndex)
    }

    // MARK: 7 Snapshots

    /// Also of a log that reaches beyond the snapshot, but differs from it.
    @Test func aSnapshotReplacesTheLog() throws {
        var node = try node(terms: [1, 1, 1, 1, 1])
        let snapshot = Snapshot(index: 4, term: 3, confState: ConfState(voters: [1, 2]), data: [7])
        try node.step(Message(kind: .snapshot, to: 1, from: 2, term: 3, snapshot: snapshot), now: start)
        let effects = node.takeEffects()
        #expect(effects.snapshot == snapshot && effects.entries.isEmpty && effects.mustSync && effects.committed.isEmpty)
        #expect(effects.hardState == HardState(term: 3, vote: 0, commit: 4))
        #expect(effects.messagesAfterSync.map(\.index) == [4] && effects.messages.isEmpty)
        #expect(node.firstIndex == 5 && node.lastIndex == 4 && node.confState.voters == [1, 2])
        node.persisted(through: effects.batch, now: start)
        #expect(node.status.durableIndex == 4)
        try node.step(
            Message(kind: .append, to: 1, from: 2, term: 3, logTerm: 3, index: 4, entries: [Entry(term: 3, index: 5)], commit: 5),
            now: start)
        let next = node.takeEffects()
        #expect(next.entries.map(\.index) == [5] && next.committed.isEmpty)
        node.persisted(through: next.batch, now: start)
        #expect(node.takeEffects().committed.isEmpty, "until the state machine has the snapshot")
        let campaigns = node.campaign(now: start)
        #expect(!campaigns)
        node.applied(through: 4)
        #expect(node.takeEffects().committed.map(\.index) == [5])
    }

    /// A log that holds the snapshot's last entry holds all of it.
    @Test func aSnapshotOfWhatIsHereOnlyTellsTheCommitIndex() throws {
        var node = try node(terms: [1, 1, 1])
        let snapshot = Snapshot(index: 3, term: 1, confState: ConfState(voters: [1, 2, 3]))
        try node.step(Message(kind: .snapshot, to: 1, from: 2, term: 1, snapshot: snapshot), now: start)
        let effects = node.takeEffects()
        #expect(effects.snapshot == nil && node.lastIndex == 4 && effects.committed.map(\.index) == [2, 3])
        #expect(effects.messages.map(\.index) == [3])
    }

    /// A new leader does not know whether the changes in its log are applied; until all of it is, it takes none.
    @Test func aNewLeaderTakesNoChangeBeforeItsLogIsApplied() throws {
        var node = try leader(terms: [1, 1])
        let change = ConfigurationChange(steps: [.init(kind: .addLearner, member: 9)])
        #expect(throws: Refusal.changePending(index: 3)) { try node.proposeConfigurationChange(change) }
        try node.step(Message(kind: .appendResponse, to: 1, from: 2, term: node.term, index: node.lastIndex), now: start)
        settle(&node)
        try node.proposeConfigurationChange(change)
        #expect(throws: Refusal.changePending(index: node.lastIndex)) { try node.proposeConfigurationChange(change) }
    }

    // MARK: Limits

    @Test func uncommittedBytesAreBounded() throws {
        var node = try leader { $0.maximumUncommittedBytes = 10 }
        try node.propose([[UInt8](repeating: 0, count: 50)])
        #expect(throws: Refusal.tooManyUncommittedBytes) { try node.propose([[1]]) }
        try node.propose([[]])
        settle(&node)
        try node.step(Message(kind: .appendResponse, to: 1, from: 2, term: node.term, index: node.lastIndex), now: start)
        #expect(node.status.uncommittedBytes == 0)
        try node.propose([[1]])
    }

    @Test func committedEntriesAreHandedOutInBoundedPieces() throws {
        var node = try node(voters: [1], terms: [1, 1, 1, 1], commit: 5) { $0.maximumApplyBytes = 60 }
        #expect(node.takeEffects().committed.map(\.index) == [2, 3])
        #expect(node.takeEffects().committed.isEmpty, "until those are applied")
        node.applied(through: 2)
        #expect(node.takeEffects().committed.map(\.index) == [4])
        node.applied(through: 4)
        #expect(node.takeEffects().committed.map(\.index) == [5])
    }

    @Test func pendingReadsAreBounded() throws {
        var node = try leader { $0.maximumPendingReads = 2 }
        try node.readIndex([1])
        try node.readIndex([2])
        #expect(throws: Refusal.tooManyPendingReads) { try node.readIndex([3]) }
        try node.step(Message(kind: .readIndex, to: 1, from: 2, entries: [Entry(term: 0, index: 0, data: [4])]), now: start)
        #expect(node.status.counters.droppedReads == 1)
    }

    @Test func forwardedProposalsAreCutIntoMessages() throws {
        var node = try node { $0.maximumAppendBytes = 60 }
        try node.step(Message(kind: .heartbeat, to: 1, from: 2, term: 1), now: start)
        settle(&node)
        #expect(try node.propose([[1], [2], [3], [UInt8](repeating: 0, count: 100)]) == .forwarded(to: 2))
        #expect(node.takeEffects().messages.map(\.entries.count) == [2, 1, 1])
    }

    // MARK: Restart

    @Test func aRestartChecksWhatItFinds() throws {
        func restore(_ state: PersistedState) throws {
            _ = try RaftNode(configuration: RaftConfiguration(id: 1, seed: 1), restoring: state, now: start)
        }
        let entries = [Entry(term: 1, index: 5), Entry(term: 2, index: 6)]
        #expect(throws: RaftError.commitOutOfRange(commit: 7, last: 6)) {
            try restore(
                PersistedState(
                    hardState: HardState(term: 2, commit: 7), snapshotIndex: 4, snapshotTerm: 1, entries: entries, applied: 4))
        }
        #expect(throws: RaftError.appliedOutOfRange(applied: 7, first: 4, last: 6)) {
            try restore(PersistedState(snapshotIndex: 4, snapshotTerm: 1, entries: entries, applied: 7))
        }
        #expect(throws: RaftError.appliedOutOfRange(applied: 3, first: 4, last: 6)) {
            try restore(PersistedState(snapshotIndex: 4, snapshotTerm: 1, entries: entries, applied: 3))
        }
        #expect(throws: RaftError.brokenLog(index: 5)) {
            try restore(PersistedState(snapshotIndex: 3, snapshotTerm: 1, entries: entries, applied: 3))
        }
        #expect(throws: RaftError.brokenLog(index: 6)) {
            try restore(
                PersistedState(snapshotIndex: 4, snapshotTerm: 1, entries: [entries[0], Entry(term: 0, index: 6)], applied: 4))
        }
        #expect(throws: RaftError.invalidConfiguration("member id is zero")) {
            _ = try RaftNode(configuration: RaftConfiguration(id: 0, seed: 1), restoring: PersistedState(), now: start)
        }
    }

    @Test func aTornHardStateIsMadeUpFor() throws {
        var node = try node(terms: [1, 4], term: 2, vote: 3)
        #expect(node.term == 4, "an entry proves its term")
        #expect(node.takeEffects().hardState == HardState(term: 4, vote: 0, commit: 1))

        // Two changes in the log: the first was applied by the leader that proposed the second.
        var entries = [Entry(term: 1, index: 2, data: [1])]
        for (index, member) in [(LogIndex(3), MemberID(8)), (4, 9)] {
            let (kind, data) = ConfigurationChange(steps: [.init(kind: .addLearner, member: member)]).encoded()
            entries.append(Entry(term: 1, index: index, kind: kind, data: data))
        }
        let restored = try RaftNode(
            configuration: RaftConfiguration(id: 1, seed: 1),
            restoring: PersistedState(
                hardState: HardState(term: 1, commit: 1), confState: ConfState(voters: [1, 2, 3]), snapshotIndex: 1,
                snapshotTerm: 1,
                entries: entries, applied: 1), now: start)
        #expect(restored.commit == 3)
    }

    @Test func noCampaignBeforeACommittedChangeIsApplied() throws {
        let (kind, data) = ConfigurationChange(steps: [.init(kind: .remove, member: 3)]).encoded()
        var node = try RaftNode(
            configuration: RaftConfiguration(id: 1, seed: 1),
            restoring: PersistedState(
                hardState: HardState(term: 1, commit: 2), confState: ConfState(voters: [1, 2, 3]), snapshotIndex: 1,
                snapshotTerm: 1,
                entries: [Entry(term: 1, index: 2, kind: kind, data: data)], applied: 1), now: start)
        let campaigns1 = node.campaign(now: start)
        #expect(!campaigns1)
        try node.applyConfigurationChange(ConfigurationChange(decoding: kind, data), now: start)
        node.applied(through: 2)
        let campaigns2 = node.campaign(now: start)
        #expect(campaigns2)
    }

    // MARK: Leases and time

    @Test func voteRequestsAreIgnoredWhileALeaderIsAlive() throws {
        var node = try node()
        try node.step(Message(kind: .heartbeat, to: 1, from: 2, term: 1), now: start)
        settle(&node)
        let request = Message(kind: .vote, to: 1, from: 3, term: 9, logTerm: 9, index: 9)
        try node.step(request, now: start + .milliseconds(999))
        #expect(node.term == 1 && node.status.counters.ignoredVotes == 1)
        var forced = request
        forced.context = Array("CampaignTransfer".utf8)
        var obedient = node
        try obedient.step(forced, now: start + .milliseconds(999))
        #expect(obedient.term == 9, "unless the leader itself asked for it")
        try node.step(request, now: start + .milliseconds(1000))
        #expect(node.term == 9)
    }

    @Test func aLeaderThatSleptTooLongIsNotProtected() throws {
        var node = try leader()
        let request = Message(kind: .vote, to: 1, from: 3, term: 9, logTerm: 9, index: 9)
        try node.step(request, now: start + .milliseconds(999))
        #expect(node.role == .leader)
        try node.step(request, now: start + .milliseconds(1000))
        #expect(node.role == .follower)
    }

    @Test func heartbeatsDoNotPileUp() throws {
        var node = try leader()
        for follower: MemberID in [2, 3] {
            try node.step(Message(kind: .heartbeatResponse, to: 1, from: follower, term: node.term), now: start)
        }
        settle(&node)
        node.wake(start + .milliseconds(950))
        #expect(node.takeEffects().messages.count { $0.kind == .heartbeat } == 2)
        #expect(node.nextWake == start + .milliseconds(1000))
    }
}
