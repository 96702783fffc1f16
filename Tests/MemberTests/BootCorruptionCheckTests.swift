import MVCC
import Member
import Testing

@Suite struct BootCorruptionCheckTests {
    private let own = KeyValueHash(hash: 7, compactRevision: 3, revision: 10)

    @Test func onlyOtherDataAtTheSameCompactRevisionIsCorruption() {
        let others: [(BootCorruptionCheck.Answer, BootCorruptionCheck.Finding)] = [
            (.hash(own), .same),
            (.hash(KeyValueHash(hash: 8, compactRevision: 3, revision: 10)), .differentData),
            (.hash(KeyValueHash(hash: 8, compactRevision: 4, revision: 10)), .differentCompaction),
            (.behind, .notComparable), (.compacted, .notComparable), (.otherCluster, .notComparable),
            (.unreachable(reason: "connection refused"), .notComparable),
        ]
        for (answer, finding) in others {
            let check = BootCorruptionCheck(own: own, answers: [(2, .hash(own)), (3, answer)])
            #expect(check.finding(on: answer) == finding)
            #expect(check.isCorrupt == (finding == .differentData))
        }
    }

    @Test func anOnlyMemberPasses() { #expect(!BootCorruptionCheck(own: nil, answers: []).isCorrupt) }
}
