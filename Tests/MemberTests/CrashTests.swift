import EtcdAPI
import Glibc
import Host
import Simulation
import Testing

@testable import MVCC
@testable import Member

@Suite struct CrashTests {
    /// Between turns, with a group handed out, carried out or reported.
    @Test(arguments: UInt64(1)...12)
    func whatWasAcknowledgedSurvivesACrashBetweenTurns(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var workload = Workload(seed: seed)
        let bench = Bench(seed: seed)
        bench.settings.snapshotCount = 20
        bench.settings.catchUpEntries = 5
        var client = Client()
        for life in 0..<8 {
            try bench.start()
            try client.compare(with: bench)
            bench.commitsInline = Bool.random(using: &random)
            for _ in 0..<Int.random(in: 1...15, using: &random) {
                let count = Int.random(in: 1...5, using: &random)
                try client.send((0..<count).map { _ in workload.draw(client.model) }, to: bench)
                if Int.random(in: 0..<3, using: &random) == 0 { try bench.run(to: bench.now + .milliseconds(150)) }
                if Int.random(in: 0..<3, using: &random) == 0 { try bench.commitPages() }
            }
            let difference = try client.model.difference(to: bench.published.view)
            #expect(difference == nil, "seed \(seed), life \(life)")
            bench.crash([.mixed, .lost, .torn, .kept][life % 4], &random)
            bench.commitsInline = true
        }
        try bench.start()
        try client.compare(with: bench)
        #expect(client.acknowledged > 50)
    }

    /// Amid a turn, a commit or an opening: the disk stops at a random call, a write half done.
    @Test(arguments: UInt64(100)...115)
    func whatWasAcknowledgedSurvivesACrashAmidDiskCalls(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var workload = Workload(seed: seed)
        let bench = Bench(seed: seed)
        bench.settings.snapshotCount = 20
        bench.settings.catchUpEntries = 5
        var client = Client()
        var crashes = 0
        for life in 0..<10 {
            let failures = bench.disk.injectedFailures
            // Half a page may be written; the log's files are allocated before, and their sectors are torn by the crash alone.
            let half = Int.random(in: 0...600, using: &random)
            let ordinal = Int.random(in: 1...60, using: &random)
            bench.disk.inject(
                life % 2 == 0
                    ? DiskFault(.changing, ordinal: ordinal, isLasting: true)
                    : DiskFault(.write, pathSuffix: "/db", ordinal: ordinal, storedBytes: half, isLasting: true))
            do {
                try bench.start()
                try client.compare(with: bench)
                for _ in 0..<12 {
                    let count = Int.random(in: 1...4, using: &random)
                    try client.send((0..<count).map { _ in workload.draw(client.model) }, to: bench)
                    try bench.run(to: bench.now + .milliseconds(Int64.random(in: 0...150, using: &random)))
                }
            } catch {
                #expect(bench.disk.injectedFailures > failures, "seed \(seed), life \(life): \(error)")
                crashes += 1
            }
            bench.crash([.mixed, .torn, .lost, .subset][life % 4], &random)
        }
        try bench.start()
        try client.compare(with: bench)
        #expect(crashes > 0)
    }

    @Test func aCompactionGoesOnAfterARestart() throws {
        var random = SeededRandom(seed: 5)
        let bench = Bench()
        // Every step of the compaction is committed by itself.
        bench.settings.commitChanges = Store.busyCompactionStepLimit - 10
        var client = Client()
        try bench.start()
        for round in 0..<24 {
            try client.send((0..<100).map { put("k\($0 % 50)", "r\(round).\($0)") }, to: bench)
        }
        try client.send([.compaction(CompactionRequest(revision: 2300))], to: bench)
        let hash = try bench.published.view.hashKeyValues(at: 0)
        var left = 2400
        for _ in 0..<3 {
            #expect(bench.member.machine.store.isCompacting)
            bench.crash(.lost, &random)
            try bench.open()
            let restored = try Store.restore(from: bench.committer.file.beginRead()) { _ in }
            #expect(restored.revisionCount < left && restored.revisionCount > 151)
            left = restored.revisionCount
            #expect(try bench.published.view.hashKeyValues(at: 0) == hash)
            try bench.turn()
        }
        try bench.run(to: bench.now + .seconds(5))
        #expect(bench.published.status.role == .leader && !bench.published.status.isCompacting)
        try client.compare(with: bench)
        #expect(try bench.published.view.hashKeyValues(at: 0) == hash)
        let restored = try Store.restore(from: bench.committer.file.beginRead()) { _ in }
        // One revision for each of 50 keys at 2300, and everything from 2301 to 2401.
        #expect(restored.revisionCount == 151)
    }

    @Test func raftSnapshotsAreMadeAndStartedFrom() throws {
        var random = SeededRandom(seed: 6)
        let bench = Bench()
        bench.settings.snapshotCount = 20
        bench.settings.catchUpEntries = 5
        var client = Client()
        try bench.start()
        for round in 0..<30 {
            try client.send((0..<10).map { put("k\($0)", "r\(round).\($0)") }, to: bench)
            try bench.run(to: bench.now + .milliseconds(200))
        }
        let saved = bench.events.compactMap { if case .snapshotSaved(let index) = $0 { index } else { nil } }
        #expect(saved.count >= 10 && saved == saved.sorted())
        let files = try bench.disk.list("/data/member/snap").filter { $0.hasSuffix(".snap") }
        #expect(files.count == bench.settings.maximumSnapshotFiles)
        bench.crash(.lost, &random)
        try bench.start()
        let isFromSnapshot = bench.notices.contains { notice in
            if case .restarted(_, let snapshot) = notice { snapshot == saved.last } else { false }
        }
        #expect(isFromSnapshot)
        try client.compare(with: bench)
        #expect(bench.published.status.membership.members.map(\.name) == ["m"])
    }
}
