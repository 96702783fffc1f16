import Host
import Testing

@testable import Raft

struct ProgressTests {
    @Test func windowBehavesLikeAnArray() {
        var random = SeededRandom(seed: 3)
        var window = InflightWindow(limit: 11)
        var model: [LogIndex] = []
        var last: LogIndex = 0
        for _ in 0..<5000 {
            if Bool.random(using: &random), model.count < 11 {
                last += LogIndex.random(in: 1...3, using: &random)
                window.add(last)
                model.append(last)
            } else if Int.random(in: 0..<40, using: &random) == 0 {
                window.removeAll()
                model.removeAll()
            } else {
                let index = last - min(last, LogIndex.random(in: 0...20, using: &random))
                window.release(through: index)
                model.removeAll { $0 <= index }
            }
            #expect(window.count == model.count)
            #expect(window.isFull == (model.count == 11))
        }
    }

    private func replicating(match: LogIndex) -> Progress {
        var progress = Progress(next: match + 1, windowLimit: 3)
        _ = progress.acknowledge(match)
        progress.becomeReplicate()
        return progress
    }

    @Test func replicatingRunsAheadUntilTheWindowIsFull() {
        var progress = replicating(match: 10)
        for last in LogIndex(11)...13 {
            #expect(!progress.isPaused)
            progress.sentAppend(through: last, commit: 0)
        }
        #expect(progress.isPaused && progress.next == 14 && progress.match == 10)
        let isNews1 = progress.acknowledge(12)
        #expect(isNews1)
        #expect(!progress.isPaused && progress.window.count == 1)
        let isNews2 = progress.acknowledge(12)
        #expect(!isNews2, "the same answer twice is old news")
    }

    @Test func refusalTurnsReplicatingIntoProbingUnlessItIsOld() {
        var progress = replicating(match: 10)
        progress.sentAppend(through: 15, commit: 0)
        let isNews3 = progress.reject(10, hint: 3)
        #expect(!isNews3)
        #expect(progress.state == .replicate)
        let isNews4 = progress.reject(15, hint: 12)
        #expect(isNews4)
        #expect(progress.state == .probe && progress.next == 11)
    }

    @Test func probingGoesBackToTheHintButNeverBelowWhatMatches() {
        var progress = Progress(next: 100, windowLimit: 3)
        progress.sentAppend(through: 99, commit: 0)
        #expect(progress.isPaused)
        let isNews5 = progress.reject(98, hint: 5)
        #expect(!isNews5, "answers another probe")
        let isNews6 = progress.reject(99, hint: 40)
        #expect(isNews6)
        #expect(progress.next == 41 && !progress.isPaused)
        let isNews7 = progress.reject(40, hint: .max)
        #expect(isNews7)
        #expect(progress.next == 40)

        var known = Progress(next: 51, windowLimit: 3)
        let isNews8 = known.acknowledge(50)
        #expect(isNews8)
        let isNews9 = known.reject(50, hint: 7)
        #expect(isNews9)
        #expect(known.next == 51 && known.isPaused, "who refuses what it acknowledged is not asked in a loop")
    }

    @Test func snapshotEndsInProbing() {
        var progress = Progress(next: 5, windowLimit: 3)
        progress.becomeSnapshot(at: 20)
        let isNews10 = progress.reject(20, hint: 3)
        #expect(progress.isPaused && !isNews10)
        var failed = progress
        progress.endSnapshot(succeeded: true)
        #expect(progress.state == .probe && progress.next == 21 && progress.isPaused)
        failed.endSnapshot(succeeded: false)
        #expect(failed.state == .probe && failed.next == 1 && failed.isPaused && failed.isSnapshotRequested)
    }

    @Test func commitIsToldOnce() {
        var progress = replicating(match: 10)
        progress.sentAppend(through: 12, commit: 9)
        #expect(progress.canUseCommit(10))
        progress.sentAppend(through: 12, commit: 10)
        #expect(!progress.canUseCommit(10) && progress.canUseCommit(11))
        progress.sentAppend(through: 12, commit: 30)
        #expect(!progress.canUseCommit(31), "nothing is there that 31 could commit")
    }
}
