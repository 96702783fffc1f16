import MVCC
import Member
import Testing

@Suite struct BootCorruptionCheckTests {
    private let own = KeyValueHash(hash: 7, compactRevision: 3, revision: 10)

    @Test func onlyOtherDataAtTheSameCompactRevisionIsCorruption() {
        let others: [(HashAnswer, BootCorruptionCheck.Finding)] = [
            (.hash(own), .same),
            (.hash(KeyValueHash(hash: 8, compactRevision: 3, revision: 10)), .differentData),
            (.hash(KeyValueHash(hash: 8, compactRevision: 4, revision: 10)), .differentCompaction),
            (.behind, .notComparable), (.compacted, .notComparable), (.otherCluster, .notComparable),
            (.unreachable(reason: "connection refused"), .notComparable),
        ]
        for (answer, finding) in others {
            let check = BootCorruptionCheck(own: own, answers: [(3, answer)])
            #expect(check.finding(on: answer) == finding)
            #expect(check.isCorrupt == (finding == .differentData))
        }
    }

    @Test func aMajorityThatAgreesIsEnough() {
        let other = HashAnswer.hash(KeyValueHash(hash: 8, compactRevision: 3, revision: 10))
        let third = HashAnswer.hash(KeyValueHash(hash: 9, compactRevision: 3, revision: 10))
        #expect(!BootCorruptionCheck(own: own, answers: [(2, .hash(own)), (3, other)]).isCorrupt)
        #expect(BootCorruptionCheck(own: own, answers: [(2, other), (3, other)]).isCorrupt)
        #expect(BootCorruptionCheck(own: own, answers: [(2, other), (3, .behind)]).isCorrupt)
        #expect(!BootCorruptionCheck(own: own, answers: [(2, .hash(own)), (3, other), (4, third)]).isCorrupt)
    }

    /// Then the hash hangs on how far compaction has got.
    @Test func whereNothingLivesNothingIsCompared() {
        let empty = KeyValueHash(hash: 7, compactRevision: 3, revision: 10, coversObsolete: true)
        let other = HashAnswer.hash(KeyValueHash(hash: 8, compactRevision: 3, revision: 10))
        #expect(!BootCorruptionCheck(own: empty, answers: [(2, other)]).isCorrupt)
    }

    @Test func anOnlyMemberPasses() { #expect(!BootCorruptionCheck(own: nil, answers: []).isCorrupt) }
}
