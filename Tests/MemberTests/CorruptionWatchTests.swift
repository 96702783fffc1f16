import Host
import MVCC
import Testing

@testable import Member

@Suite struct CorruptionWatchTests {
    private let hashes = [
        KeyValueHash(hash: 50, compactRevision: 2, revision: 5), KeyValueHash(hash: 90, compactRevision: 5, revision: 9),
    ]

    private func known(others: Int = 2) -> CorruptionWatch.Known {
        CorruptionWatch.Known(member: 1, others: others, revision: 12, storedHashes: hashes)
    }

    private func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: 0) + .seconds(seconds) }

    private func ask(_ watch: inout CorruptionWatch, at seconds: Int64, others: Int = 2) throws -> HashQuestion {
        let question = watch.question(now: at(seconds), known(others: others))
        return try #require(question)
    }

    private func watch(scans: Bool = false, against etcd: Bool = false) -> CorruptionWatch {
        var settings = CorruptionWatch.Settings()
        if scans { settings.scanInterval = .seconds(10) } else { settings.compactionInterval = .seconds(10) }
        settings.alarmsAgainstEtcd = etcd
        return CorruptionWatch(settings)
    }

    private func answers(
        _ question: HashQuestion, own: KeyValueHash? = nil, _ others: [(UInt64, Bool, HashAnswer)]
    ) -> HashAnswers {
        HashAnswers(
            round: question.round, own: own,
            others: others.map { HashAnswers.Report(member: $0.0, isQuorate: $0.1, answer: $0.2) })
    }

    private func hash(_ value: UInt32, compacted: Int64 = 5, at revision: Int64 = 9) -> HashAnswer {
        .hash(KeyValueHash(hash: value, compactRevision: compacted, revision: revision))
    }

    @Test func compactionsAreLookedAtFromTheNewestUntilEverybodyAnswered() throws {
        var watch = watch()
        let none1 = watch.question(now: at(0), known())
        #expect(none1 == nil)
        #expect(watch.nextWake == at(10))
        let first = try ask(&watch, at: 10)
        #expect(first.revision == 9 && !first.wantsOwn)
        let none2 = watch.question(now: at(11), known())
        #expect(none2 == nil, "one question at a time")
        // One has not finished that compaction, and another cannot be reached.
        let partly = answers(first, [(2, true, hash(1, compacted: 9)), (3, true, .unreachable(reason: "refused"))])
        let found1 = watch.heard(partly, known())
        #expect(found1 == [.skipped(revision: 9, [2, 3])])
        let second = try ask(&watch, at: 11)
        #expect(second.revision == 5 && second.round > first.round)
        let all = answers(second, [(2, true, hash(50, compacted: 2, at: 5)), (3, false, hash(50, compacted: 2, at: 5))])
        let found2 = watch.heard(all, known())
        #expect(found2 == [.same(revision: 5, compactRevision: 2)])
        // What everybody agreed on is not asked again.
        let third = try ask(&watch, at: 20)
        #expect(third.revision == 9)
        let found3 = watch.heard(answers(third, [(2, true, .behind), (3, true, .compacted)]), known())
        #expect(found3 == [.skipped(revision: 9, [2, 3])])
        let none3 = watch.question(now: at(21), known())
        #expect(none3 == nil)
    }

    @Test(
        arguments: [
            // The others' hashes and whether they are Quorate, who is found, what is done about it.
            ([(90, true), (7, true)], [3], .alarm), ([(90, true), (7, false)], [3], .onlyReported),
            ([(7, true), (7, true)], [1], .alarm), ([(7, false), (7, false)], [1], .alarm),
            ([(7, true), (8, true)], [2, 3], .undecided),
        ] as [([(UInt32, Bool)], [UInt64], DataDifference.Verdict)])
    func whoIsAccused(others: [(UInt32, Bool)], found: [UInt64], verdict: DataDifference.Verdict) throws {
        var watch = watch()
        _ = watch.question(now: at(0), known())
        let question = try ask(&watch, at: 10)
        let reports = others.enumerated().map { (UInt64($0.offset + 2), $0.element.1, hash($0.element.0)) }
        let findings = watch.heard(answers(question, reports), known())
        #expect(watch.differences.map(\.member) == found)
        #expect(watch.differences.allSatisfy { $0.verdict == verdict && $0.revision == 9 && $0.compactRevision == 5 })
        #expect(findings == watch.differences.map { .different($0) })
        // It is looked at again, and forgotten when it is gone.
        let again = try ask(&watch, at: 20)
        #expect(again.revision == 9)
        _ = watch.heard(answers(again, [(2, true, hash(90)), (3, true, hash(90))]), known())
        #expect(watch.differences.isEmpty)
    }

    @Test func etcdIsAccusedOnlyWhereThatIsAllowed() throws {
        var watch = watch(against: true)
        _ = watch.question(now: at(0), known())
        let question = try ask(&watch, at: 10)
        _ = watch.heard(answers(question, [(2, true, hash(90)), (3, false, hash(7))]), known())
        #expect(watch.differences.map(\.verdict) == [.alarm])
    }

    @Test func twoOfFiveAreNoMajorityWhereTheOthersAreSilent() throws {
        var watch = watch()
        _ = watch.question(now: at(0), known(others: 4))
        let question = try ask(&watch, at: 10, others: 4)
        let silent = HashAnswer.unreachable(reason: "refused")
        _ = watch.heard(
            answers(question, [(2, true, hash(90)), (3, true, hash(7)), (4, true, silent), (5, true, silent)]), known(others: 4))
        #expect(watch.differences.map(\.verdict) == [.undecided])
    }

    @Test func answersOfAnotherRevisionAreNotCompared() throws {
        var watch = watch()
        _ = watch.question(now: at(0), known())
        let question = try ask(&watch, at: 10)
        let found = watch.heard(answers(question, [(2, true, hash(7, at: 11)), (3, true, hash(90))]), known())
        #expect(found == [.skipped(revision: 9, [2])])
    }

    @Test func aScanAsksForItsOwnHashToo() throws {
        var watch = watch(scans: true)
        _ = watch.question(now: at(0), known())
        let question = try ask(&watch, at: 10)
        #expect(question.revision == 12 && question.wantsOwn)
        let own = KeyValueHash(hash: 120, compactRevision: 9, revision: 12)
        let other = hash(120, compacted: 9, at: 12)
        let found4 = watch.heard(answers(question, own: own, [(2, true, other), (3, true, other)]), known())
        #expect(found4 != [])
        // Compacted meanwhile, or nothing lives: there is nothing to compare.
        let second = try ask(&watch, at: 20)
        let found5 = watch.heard(answers(second, own: nil, [(2, true, other), (3, true, other)]), known())
        #expect(found5 == [])
        let third = try ask(&watch, at: 30)
        let empty = KeyValueHash(hash: 1, compactRevision: 9, revision: 12, coversObsolete: true)
        let found6 = watch.heard(answers(third, own: empty, [(2, true, other), (3, true, other)]), known())
        #expect(found6 == [])
    }

    @Test func whoLeadsNoLongerForgetsItsQuestion() throws {
        var watch = watch()
        _ = watch.question(now: at(0), known())
        let question = try ask(&watch, at: 10)
        watch.rest()
        let found7 = watch.heard(answers(question, [(2, true, hash(7)), (3, true, hash(7))]), known())
        #expect(found7 == [])
        #expect(watch.nextWake == nil)
    }

    @Test func anOnlyMemberAsksNobody() {
        var watch = watch()
        let none4 = watch.question(now: at(0), known(others: 0))
        #expect(none4 == nil)
        let none5 = watch.question(now: at(10), known(others: 0))
        #expect(none5 == nil)
    }
}
