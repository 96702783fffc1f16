import EtcdAPI
import Glibc
import Host
import Simulation
import Testing

@testable import MVCC
@testable import Member

@Suite struct FaultTests {
    /// One call fails, once, and all of them in turn: the member stops there and then, and what it had acknowledged is kept.
    @Test(arguments: [DiskOperations.write, .syncData, .sync, .syncDirectory, .preallocate])
    func aFailedWriteOrSyncIsFinalAndNeverAcknowledged(operations: DiskOperations) throws {
        var ordinal = 1
        while true {
            let bench = Bench()
            bench.settings.snapshotCount = 12
            bench.settings.catchUpEntries = 2
            var client = Client()
            try bench.start()
            bench.disk.inject(DiskFault(operations, ordinal: ordinal, code: ordinal % 2 == 0 ? EIO : ENOSPC))
            let hasFailed = didThrow {
                for round in 0..<6 {
                    let before = bench.disk.injectedFailures
                    try client.send((0..<3).map { put("k\($0)", "r\(round).\($0)") }, to: bench)
                    try bench.run(to: bench.now + .milliseconds(200))
                    #expect(bench.disk.injectedFailures == before, "\(operations) \(ordinal): went on after a failed call")
                }
            }
            #expect(hasFailed == (bench.disk.injectedFailures > 0), "\(operations) \(ordinal)")
            if bench.disk.injectedFailures == 0 { break }
            var random = SeededRandom(seed: UInt64(ordinal))
            bench.crash([.lost, .kept, .torn][ordinal % 3], &random)
            try bench.start()
            try client.compare(with: bench)
            ordinal += 1
        }
        if operations == .write || operations == .syncData { #expect(ordinal > 10) }
    }

    private func didThrow(_ body: () throws -> Void) -> Bool {
        do {
            try body()
            return false
        } catch {
            return true
        }
    }

    @Test func aFullDiskStopsTheStartAndHarmsNothing() throws {
        let bench = Bench()
        var client = Client()
        try bench.start()
        try client.send([put("a", "1"), put("b", "2")], to: bench)
        var random = SeededRandom(seed: 1)
        bench.crash(.lost, &random)
        bench.disk.inject(DiskFault(.allocating, code: ENOSPC, isLasting: true))
        #expect(throws: MemberFailure.self) { try bench.open() }
        bench.crash(.lost, &random)
        try bench.start()
        try client.compare(with: bench)
    }
}
