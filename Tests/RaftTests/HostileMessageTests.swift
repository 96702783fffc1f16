import Host
import Testing

@testable import Raft

/// Messages nobody should send. They may be ignored, or prove that something is lost; they must not crash.
struct HostileMessageTests {
    private let start = Instant(nanoseconds: 100_000_000_000)

    private func node(leads: Bool) throws -> RaftNode {
        var configuration = RaftConfiguration(id: 1, seed: 1)
        configuration.checkQuorum = false
        let entries = (2...6).map { Entry(term: $0 < 4 ? 1 : 2, index: LogIndex($0), data: [1]) }
        var node = try RaftNode(
            configuration: configuration,
            restoring: PersistedState(
                hardState: HardState(term: 2, commit: 3), confState: ConfState(voters: [1, 2, 3], learners: [4]),
                snapshotIndex: 1,
                snapshotTerm: 1, entries: entries, applied: 3), now: start)
        if leads {
            node.startCampaign(.election, start)
            node.persisted(through: node.takeEffects().batch, now: start)
            try node.step(Message(kind: .voteResponse, to: 1, from: 2, term: 3), now: start)
            #expect(node.role == .leader)
        }
        return node
    }

    @Test func committedEntriesAreNotOverwritten() throws {
        var node = try node(leads: false)
        let append = Message(
            kind: .append, to: 1, from: 2, term: 5, logTerm: 1, index: 3,
            entries: [Entry(term: 5, index: 4)], commit: 4)
        try node.step(append, now: start)
        #expect(node.commit == 4)
        var repeated = append
        repeated.index = 2
        repeated.entries = [Entry(term: 1, index: 3), Entry(term: 5, index: 4)]
        try node.step(repeated, now: start)
        var refused = append
        refused.index = 4
        refused.logTerm = 4
        refused.entries = []
        try node.step(refused, now: start)
        let answers = node.takeEffects().messagesAfterSync
        #expect(answers.map(\.reject) == [false, true] && answers.map(\.index) == [4, 4], "two equal answers are one")
        var conflicting = repeated
        conflicting.entries[0].term = 2
        #expect(throws: RaftError.conflictBelowCommit(index: 3, commit: 4)) { try node.step(conflicting, now: start) }
    }

    /// Whoever tells of a commit index beyond this log has seen entries acknowledged here that are gone.
    @Test func aCommitIndexBeyondTheLogIsFatal() throws {
        var node = try node(leads: false)
        #expect(throws: RaftError.commitOutOfRange(commit: 7, last: 6)) {
            try node.step(Message(kind: .heartbeat, to: 1, from: 2, term: 2, commit: 7), now: start)
        }
    }

    @Test func aSnapshotWithAnImpossibleMembershipIsFatal() throws {
        var node = try node(leads: false)
        let snapshot = Snapshot(index: 9, term: 2, confState: ConfState(voters: [1], learners: [1]))
        #expect(throws: RaftError.invalidConfState("1 is a learner and a voter")) {
            try node.step(Message(kind: .snapshot, to: 1, from: 2, term: 2, snapshot: snapshot), now: start)
        }
    }

    @Test func aSnapshotForOthersIsNotTaken() throws {
        var node = try node(leads: false)
        let snapshot = Snapshot(index: 9, term: 2, confState: ConfState(voters: [2, 3]))
        try node.step(Message(kind: .snapshot, to: 1, from: 2, term: 2, snapshot: snapshot), now: start)
        let effects = node.takeEffects()
        #expect(effects.snapshot == nil && effects.messages.map(\.index) == [3])
    }

    @Test(arguments: [
        Message(kind: .append, to: 1, from: 0, term: 2),
        Message(kind: .append, to: 1, from: 2, term: 0),
        Message(kind: .append, to: 1, from: 2, term: 2, logTerm: 1, index: 3, entries: [Entry(term: 2, index: 5)]),
        Message(kind: .append, to: 1, from: 2, term: 2, logTerm: 1, index: 3, entries: [Entry(term: 3, index: 4)]),
        Message(kind: .append, to: 1, from: 2, term: 2, logTerm: 2, index: 5, entries: [Entry(term: 1, index: 6)]),
        Message(kind: .append, to: 1, from: 2, term: 2, logTerm: 1, index: .max, entries: [Entry(term: 2, index: 0)]),
        Message(kind: .snapshot, to: 1, from: 2, term: 2),
        Message(
            kind: .snapshot, to: 1, from: 2, term: 2, snapshot: Snapshot(index: .max, term: 2, confState: ConfState(voters: [1]))),
        Message(
            kind: .snapshot, to: 1, from: 2, term: 2, snapshot: Snapshot(index: 9, term: 3, confState: ConfState(voters: [1]))),
        Message(kind: .proposal, to: 1, from: 2), Message(kind: .readIndex, to: 1, from: 2),
        Message(kind: .readIndexResponse, to: 1, from: 2, term: 2), Message(kind: .unreachable, to: 1, from: 2, term: 2),
        Message(kind: .snapshotStatus, to: 1, from: 2, term: 2), Message(kind: .timeoutNow, to: 1, from: 2),
    ])
    func malformedMessagesAreCounted(message: Message) throws {
        var node = try node(leads: false)
        _ = node.takeEffects()
        try node.step(message, now: start)
        #expect(node.status.counters.malformed == 1)
        #expect(node.takeEffects().isEmpty)
    }

    @Test func strangersAndWrongAddressesAreCounted() throws {
        var node = try node(leads: true)
        try node.step(Message(kind: .appendResponse, to: 1, from: 77, term: 3, index: 6), now: start)
        try node.step(Message(kind: .appendResponse, to: 2, from: 3, term: 3, index: 6), now: start)
        try node.step(Message(kind: .append, to: 1, from: 2, term: 3, logTerm: 2, index: 6), now: start)
        try node.step(Message(kind: .appendResponse, to: 1, from: 2, term: 3, index: 600), now: start)
        try node.step(Message(kind: .appendResponse, to: 1, from: 1, term: 3, index: 6), now: start)
        let garbage = Entry(term: 0, index: 0, kind: .configurationChangeV2, data: [0xff])
        try node.step(Message(kind: .proposal, to: 1, from: 2, entries: [garbage]), now: start)
        let counters = node.status.counters
        #expect(
            counters.unknownMember == 1 && counters.misaddressed == 1 && counters.conflictingLeader == 1
                && counters.malformed == 3)
        #expect(node.commit == 3 && node.role == .leader)
    }

    /// Random fields from a small range, so that many of them make sense. Only the errors that are meant may come out.
    @Test(arguments: [UInt64(1), 2, 3, 4])
    func randomMessagesNeverCrash(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let kinds: [MessageKind] = [
            .proposal, .append, .appendResponse, .vote, .voteResponse, .snapshot, .heartbeat, .heartbeatResponse, .unreachable,
            .snapshotStatus, .transferLeader, .timeoutNow, .readIndex, .readIndexResponse, .preVote, .preVoteResponse,
        ]
        func number() -> UInt64 {
            Int.random(in: 0..<12, using: &random) == 0
                ? [.max, .max - 1, 1 << 62, 1 << 63].randomElement(using: &random) ?? 0 : .random(in: 0...9, using: &random)
        }
        var fatal = 0
        for _ in 0..<60 {
            var node = try node(leads: Bool.random(using: &random))
            for _ in 0..<60 {
                let index = number()
                let state = ConfState(voters: [1, 2, number()], learners: Bool.random(using: &random) ? [] : [number()])
                let message = Message(
                    kind: kinds.randomElement(using: &random) ?? .append, to: 1, from: number(),
                    term: min(number(), 20) == 20 ? number() : .random(in: 1...5, using: &random), logTerm: number(),
                    index: index,
                    entries: (0..<Int.random(in: 0...2, using: &random)).map { offset in
                        Entry(
                            term: number(), index: Bool.random(using: &random) ? index &+ UInt64(offset) &+ 1 : number(),
                            kind: [.normal, .configurationChange, .configurationChangeV2].randomElement(using: &random)
                                ?? .normal,
                            data: (0..<4).map { _ in UInt8.random(in: 0...20, using: &random) })
                    },
                    commit: number(),
                    snapshot: Bool.random(using: &random) ? nil : Snapshot(index: number(), term: number(), confState: state),
                    reject: Bool.random(using: &random), rejectHint: number(), context: ReadQueue.context(of: number()))
                do {
                    try node.step(message, now: start)
                } catch {
                    fatal += 1
                    break
                }
                let effects = node.takeEffects()
                if effects.mustSync && Bool.random(using: &random) { node.persisted(through: effects.batch, now: start) }
                if let snapshot = effects.snapshot { node.applied(through: snapshot.index) }
                if let last = effects.committed.last { node.applied(through: last.index) }
            }
        }
        #expect(fatal > 0)
    }
}
