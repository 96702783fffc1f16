import Host
import Testing

@testable import Raft

struct ConfigurationChangeTests {
    private typealias Step = ConfigurationChange.Step

    private func configuration(_ state: ConfState) throws -> ClusterConfiguration { try ClusterConfiguration(state) }

    @Test func simpleChangesTouchOneVoter() throws {
        let cluster = try configuration(ConfState(voters: [1, 2, 3], learners: [4]))
        let promoted = try cluster.applying(ConfigurationChange(steps: [Step(kind: .addVoter, member: 4)]))
        #expect(promoted.confState == ConfState(voters: [1, 2, 3, 4]))
        let demoted = try cluster.applying(ConfigurationChange(steps: [Step(kind: .addLearner, member: 3)]))
        #expect(demoted.confState == ConfState(voters: [1, 2], learners: [3, 4]))
        let removed = try cluster.applying(ConfigurationChange(steps: [Step(kind: .remove, member: 4)]))
        #expect(removed.confState == ConfState(voters: [1, 2, 3]))
        let untouched = try cluster.applying(ConfigurationChange(steps: [Step(kind: .remove, member: 0)]))
        #expect(untouched == cluster, "a change that was voided names nobody")
    }

    @Test func jointChangesGoThroughBothHalves() throws {
        let cluster = try configuration(ConfState(voters: [1, 2, 3], learners: [5]))
        let change = ConfigurationChange(
            transition: .jointExplicit,
            steps: [Step(kind: .remove, member: 1), Step(kind: .addLearner, member: 2), Step(kind: .addVoter, member: 5)])
        let joint = try cluster.applying(change)
        #expect(joint.confState == ConfState(voters: [3, 5], votersOutgoing: [1, 2, 3], learnersNext: [2]))
        #expect(throws: ConfigurationChangeError.alreadyJoint) { try joint.applying(change) }
        let left = try joint.applying(ConfigurationChange())
        #expect(left.confState == ConfState(voters: [3, 5], learners: [2]))
        #expect(throws: ConfigurationChangeError.notJoint) { try left.applying(ConfigurationChange()) }
    }

    @Test func changesThatCannotBe() throws {
        let cluster = try configuration(ConfState(voters: [1]))
        #expect(throws: ConfigurationChangeError.removesAllVoters) {
            try cluster.applying(ConfigurationChange(steps: [Step(kind: .remove, member: 1)]))
        }
        #expect(throws: ConfigurationChangeError.removesAllVoters) {
            try ClusterConfiguration().applying(
                ConfigurationChange(transition: .jointImplicit, steps: [Step(kind: .addVoter, member: 1)]))
        }
    }

    /// Whatever the changes, the result keeps the invariants, and what it says of itself describes it fully.
    @Test func randomChangesKeepTheInvariants() throws {
        var random = SeededRandom(seed: 5)
        var cluster = try configuration(ConfState(voters: [1, 2, 3]))
        var joints = 0
        for _ in 0..<5000 {
            let kinds: [ConfigurationChangeKind] = [.addVoter, .addLearner, .remove, .update]
            let transitions: [ConfigurationChange.Transition] = [.auto, .jointImplicit, .jointExplicit]
            let change = ConfigurationChange(
                transition: transitions.randomElement(using: &random) ?? .auto,
                steps: (0..<Int.random(in: 0...4, using: &random)).map { _ in
                    Step(kind: kinds.randomElement(using: &random) ?? .update, member: MemberID.random(in: 0...6, using: &random))
                })
            let before = cluster
            guard let after = try? cluster.applying(change) else { continue }
            cluster = after
            if after.isJoint && !before.isJoint {
                joints += 1
                #expect(after.voters.outgoing == before.voters.incoming)
                #expect(after.autoLeave == (change.transition != .jointExplicit))
            }
            #expect(after.contradiction == nil)
            #expect(try ClusterConfiguration(after.confState) == after)
        }
        #expect(joints > 200)
    }

    @Test(arguments: [
        ConfState(voters: [1], learners: [1]), ConfState(voters: [1], learnersNext: [2]), ConfState(voters: [0]),
        ConfState(voters: [1], autoLeave: true), ConfState(votersOutgoing: [1]),
        ConfState(voters: [1, 2], votersOutgoing: [2, 3], learnersNext: [2]),
    ])
    func contradictionsAreRefused(state: ConfState) {
        #expect(throws: RaftError.self) { try ClusterConfiguration(state) }
    }

    // MARK: Coding

    /// Bytes as Go's generated code writes them (field numbers of raft.proto).
    @Test func knownBytes() throws {
        let simple = ConfigurationChange(steps: [Step(kind: .remove, member: 300)], context: [7], id: 9)
        #expect(simple.encoded().kind == .configurationChange)
        #expect(simple.encoded().data == [0x08, 9, 0x10, 1, 0x18, 0xac, 0x02, 0x22, 1, 7])
        let joint = ConfigurationChange(
            transition: .jointExplicit, steps: [Step(kind: .addVoter, member: 1), Step(kind: .addLearner, member: 2)],
            context: [7])
        #expect(joint.encoded().kind == .configurationChangeV2)
        #expect(joint.encoded().data == [0x08, 2, 0x12, 4, 0x08, 0, 0x10, 1, 0x12, 4, 0x08, 3, 0x10, 2, 0x1a, 1, 7])
        #expect(try ConfigurationChange(decoding: .configurationChangeV2, []).leavesJoint)
        #expect(try ConfigurationChange(decoding: .configurationChangeV2, [0x08, 0]).leavesJoint)
        #expect(try !ConfigurationChange(decoding: .configurationChange, []).leavesJoint)
    }

    @Test func whatIsWrittenIsRead() throws {
        var random = SeededRandom(seed: 6)
        for _ in 0..<500 {
            let kinds: [ConfigurationChangeKind] = [.addVoter, .addLearner, .remove, .update]
            var change = ConfigurationChange(
                transition: [.auto, .jointImplicit, .jointExplicit].randomElement(using: &random) ?? .auto,
                steps: (0..<Int.random(in: 0...3, using: &random)).map { _ in
                    Step(kind: kinds.randomElement(using: &random) ?? .update, member: random.next())
                },
                context: (0..<Int.random(in: 0...200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) })
            if change.encoded().kind == .configurationChange { change.id = random.next() }
            let (kind, data) = change.encoded()
            #expect(try ConfigurationChange(decoding: kind, data) == change)
        }
    }

    @Test func damagedBytesAreErrorsOrOtherChanges() {
        var random = SeededRandom(seed: 7)
        let (_, data) = ConfigurationChange(
            transition: .jointExplicit, steps: [Step(kind: .addVoter, member: 1), Step(kind: .remove, member: 1 << 60)],
            context: [1, 2, 3]
        ).encoded()
        var failures = 0
        for _ in 0..<3000 {
            var damaged = data
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                damaged[Int.random(in: damaged.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            damaged.removeLast(Int.random(in: 0...damaged.count, using: &random))
            if (try? ConfigurationChange(decoding: .configurationChangeV2, damaged)) == nil { failures += 1 }
            if (try? ConfigurationChange(decoding: .configurationChange, damaged)) == nil { failures += 1 }
        }
        #expect(failures > 1000)
        #expect(throws: ConfigurationChangeDecodingError(offset: 2, reason: "unknown value 9")) {
            try ConfigurationChange(decoding: .configurationChangeV2, [0x08, 9])
        }
        #expect(throws: ConfigurationChangeDecodingError(offset: 0, reason: "an entry of kind normal")) {
            try ConfigurationChange(decoding: .normal, [])
        }
    }
}
