import Host
import Testing

@testable import Raft

/// The log against an array of terms.
struct MemoryLogTests {
    private func log(base: LogIndex, terms: [Term]) -> MemoryLog {
        MemoryLog(
            baseIndex: base, baseTerm: terms[0],
            entries: terms.dropFirst().enumerated().map { Entry(term: $1, index: base + LogIndex($0) + 1, data: [1, 2, 3]) })
    }

    @Test func hintIsTheLastPlaceWithASmallEnoughTerm() {
        var random = SeededRandom(seed: 4)
        for _ in 0..<500 {
            let base = LogIndex.random(in: 0...3, using: &random)
            var terms: [Term] = [base == 0 ? 0 : 2]
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                terms.append((terms.last ?? 0) + Term.random(in: 0...2, using: &random))
            }
            let log = log(base: base, terms: terms)
            for index in base...log.lastIndex {
                for term in Term(0)...20 {
                    let place = log.lastPlace(notAfter: index, termAtMost: term)
                    if let expected = (base...index).last(where: { terms[Int($0 - base)] <= term }) {
                        #expect(place == (expected, terms[Int(expected - base)]))
                    } else {
                        #expect(place == (base - 1, 0), "before the base nothing is known")
                    }
                }
            }
            if base > 0 { #expect(log.lastPlace(notAfter: base - 1, termAtMost: 9) == (base - 1, 0)) }
        }
    }

    @Test func sliceHoldsAtLeastOneEntryAndNoMoreThanFits() {
        let log = log(base: 5, terms: [1, 1, 1, 2, 2])
        let size = log.entries[0].size
        #expect(log.slice(from: 6, through: 9, maximumBytes: 0).map(\.index) == [6])
        #expect(log.slice(from: 7, through: 9, maximumBytes: 2 * size).map(\.index) == [7, 8])
        #expect(log.slice(from: 7, through: 9, maximumBytes: 2 * size - 1).map(\.index) == [7])
        #expect(log.slice(from: 6, through: 8, maximumBytes: .max).map(\.index) == [6, 7, 8])
        #expect(log.slice(from: 10, through: 9, maximumBytes: .max).isEmpty)
    }

    @Test func compactionKeepsTermsFromTheBaseOn() {
        var log = log(base: 5, terms: [1, 1, 2, 3])
        log.compact(through: 7)
        #expect(
            log.firstIndex == 8 && log.term(at: 7) == 2 && log.term(at: 6) == nil && log.term(at: 8) == 3
                && log.term(at: 9) == nil)
        log.compact(through: 6)
        #expect(log.firstIndex == 8, "compacting again, less, changes nothing")
        log.compact(through: 8)
        #expect(log.firstIndex == 9 && log.lastIndex == 8 && log.lastTerm == 3)
        log.append(Entry(term: 4, index: 9))
        log.truncate(after: 8)
        #expect(log.lastIndex == 8)
    }

    @Test func aBatchProvesOnlyWhatWasNotOverwrittenSince() {
        var writes = WriteQueue(lastIndex: 10, hardState: HardState(term: 1))
        let mustSync1 = writes.handOut(lastIndex: 12, hasSnapshot: false, HardState(term: 1))
        #expect(mustSync1)
        writes.truncate(after: 10)
        let mustSync2 = writes.handOut(lastIndex: 12, hasSnapshot: false, HardState(term: 2))
        #expect(mustSync2)
        writes.confirm(through: 1)
        #expect(writes.durableIndex == 10 && writes.durableTerm == 1, "11 and 12 of the first batch are void")
        writes.confirm(through: 2)
        #expect(writes.durableIndex == 12 && writes.durableTerm == 2 && writes.isIdle)
        let mustSync3 = writes.handOut(lastIndex: 12, hasSnapshot: false, HardState(term: 2, commit: 11))
        #expect(!mustSync3, "a commit index alone need not be synced")
    }
}
