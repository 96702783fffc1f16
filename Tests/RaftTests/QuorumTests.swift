import Host
import Testing

@testable import Raft

/// Quorum arithmetic against its definition, for every case of up to five members.
struct QuorumTests {
    /// The highest index such that more than half have reached it, by trying them all.
    private func reachedByDefinition(_ indexes: [UInt64]) -> UInt64 {
        (0...(indexes.max() ?? 0)).last { candidate in indexes.count { $0 >= candidate } * 2 > indexes.count } ?? 0
    }

    @Test func reachedIsWhatMoreThanHalfHold() {
        var random = SeededRandom(seed: 1)
        for count in 1...7 {
            for _ in 0..<200 {
                let indexes = (0..<count).map { _ in UInt64.random(in: 0...9, using: &random) }
                let voters = MemberSet((1...count).map { MemberID($0) })
                let reached = Majority.reached(by: voters) { indexes[Int($0) - 1] }
                #expect(reached == reachedByDefinition(indexes), "\(indexes)")
            }
        }
    }

    @Test func noVotersAgreeWithEverything() {
        #expect(Majority.reached(by: MemberSet()) { _ in 0 } == .max)
        #expect(Majority.result(of: MemberSet()) { _ in false } == .won)
    }

    /// Won when no answer of the missing can change it to lost, lost likewise, for all answers of all sizes.
    @Test func resultIsSettledWhenNothingCanChangeIt() {
        for count in 1...5 {
            let voters = MemberSet((1...count).map { MemberID($0) })
            var combinations = 1
            for _ in 0..<count { combinations *= 3 }
            for combination in 0..<combinations {
                var rest = combination
                let answers: [Bool?] = (0..<count).map { _ in
                    defer { rest /= 3 }
                    return [nil, true, false][rest % 3]
                }
                let granted = answers.count { $0 == true }
                let missing = answers.count { $0 == nil }
                let expected: VoteResult = granted * 2 > count ? .won : ((granted + missing) * 2 > count ? .pending : .lost)
                #expect(Majority.result(of: voters) { answers[Int($0) - 1] } == expected, "\(answers)")
            }
        }
    }

    @Test func jointNeedsBothHalves() {
        var random = SeededRandom(seed: 2)
        for _ in 0..<2000 {
            let incoming = MemberSet((1...5).filter { _ in Bool.random(using: &random) }.map { MemberID($0) })
            let outgoing = MemberSet((3...7).filter { _ in Bool.random(using: &random) }.map { MemberID($0) })
            let joint = JointVoters(incoming: incoming, outgoing: outgoing)
            let indexes = (0...7).map { _ in UInt64.random(in: 0...9, using: &random) }
            let halves = (
                Majority.reached(by: incoming) { indexes[Int($0)] }, Majority.reached(by: outgoing) { indexes[Int($0)] }
            )
            #expect(joint.reached { indexes[Int($0)] } == min(halves.0, halves.1))
            let answers: [Bool?] = (0...7).map { _ in [nil, true, false].randomElement(using: &random) ?? nil }
            let results = [incoming, outgoing].map { half in Majority.result(of: half) { answers[Int($0)] } }
            let expected: VoteResult = results.contains(.lost) ? .lost : (results == [.won, .won] ? .won : .pending)
            #expect(joint.result { answers[Int($0)] } == expected)
        }
    }
}
