import Host
import Simulation
import Testing

@testable import PageStore

/// Which pages may be reused, and when.
@Suite struct FreeSpaceTests {
    @Test func theBitmapAgreesWithASet() {
        var random = SeededRandom(seed: 6)
        var bitmap = PageBitmap()
        var model: Set<PageID> = []
        for _ in 0..<4000 {
            let page = random.next() % 400
            if random.next() % 2 == 0 {
                #expect(bitmap.insert(page) == model.insert(page).inserted)
            } else {
                #expect(bitmap.remove(page) == (model.remove(page) != nil))
            }
            let from = random.next() % 500
            #expect(bitmap.firstSet(from: from) == model.filter { $0 >= from }.min(), "seed 6")
            #expect(bitmap.firstClear(from: from) == (from...1000).first { !model.contains($0) }, "seed 6")
            #expect(bitmap.lastClear(before: from) == (0..<from).last { !model.contains($0) }, "seed 6")
            #expect(bitmap.count == model.count)
            #expect(bitmap.count(page..<max(from, page)) == model.filter { $0 >= page && $0 < from }.count, "seed 6")
        }
    }

    /// Pages 2 to 9 in use, opened at transaction 10.
    private func tenPages() -> FreeSpace {
        var used = PageBitmap()
        used.insert(PageRun(id: 2, count: 8))
        return FreeSpace(used: used, withheld: [], highWater: 10, transaction: 10)
    }

    @Test func freedPagesWaitForReadersAndForTheOlderMetaPage() {
        var space = tenPages()
        #expect(space.release(PageRun(id: 4, count: 2)) == true)
        #expect(space.release(PageRun(id: 3, count: 2)) == false, "page 4 is freed already")
        #expect(space.pendingCount == 2, "page 3 stays in use after the refusal")
        space.commit(transaction: 11)
        // The older meta page holds state 10, which reaches the pages.
        space.release(states: [10])
        #expect(space.freeCount == 0 && space.allocate(1, transaction: 12) == PageRun(id: 10, count: 1))
        space.rollback()
        // A reader of state 10.
        space.release(states: [10, 11])
        #expect(space.freeCount == 0)
        space.release(states: [11, 12])
        #expect(space.freeCount == 2 && space.allocate(2, transaction: 13) == PageRun(id: 4, count: 2))
    }

    @Test func aLongReaderDoesNotHoldBackYoungerPages() {
        var space = tenPages()
        let run = space.allocate(3, transaction: 12)
        space.commit(transaction: 12)
        #expect(space.release(run) == true)
        #expect(space.release(PageRun(id: 6, count: 1)) == true)
        space.commit(transaction: 15)
        // State 10 has page 6, but none of those allocated after it; state 14 has all.
        space.release(states: [10, 14])
        #expect(space.freeCount == 0)
        space.release(states: [10, 15])
        #expect(space.freeCount == 3 && space.pendingCount == 1)
        #expect(space.allocate(3, transaction: 17) == run)
    }

    @Test func rollingBackRestoresEverything() {
        var space = tenPages()
        #expect(space.release(PageRun(id: 2, count: 3)) == true)
        space.commit(transaction: 11)
        space.release(states: [])
        let before = space
        #expect(space.allocate(2, transaction: 12) == PageRun(id: 2, count: 2))
        #expect(space.allocate(4, transaction: 12) == PageRun(id: 10, count: 4))
        #expect(space.release(PageRun(id: 8, count: 1)) == true)
        space.rollback()
        #expect(space.free == before.free && space.unused == before.unused && space.highWater == 10)
    }

    @Test func theEndIsGivenUp() {
        var space = tenPages()
        #expect(space.release(PageRun(id: 7, count: 3)) == true)
        space.commit(transaction: 11)
        #expect(space.trimEnd() == 10, "the pages are still pending")
        space.release(states: [])
        #expect(space.trimEnd() == 7)
        #expect(space.freeCount == 0 && space.unused.count == 0)
        #expect(space.allocate(1, transaction: 12) == PageRun(id: 7, count: 1))
    }

    @Test func runsAreFoundWhereTheyFit() {
        var used = PageBitmap()
        for page in 2..<200 as Range<PageID> where page % 10 < 3 || page > 190 { used.insert(page) }
        var space = FreeSpace(used: used, withheld: [], highWater: 200, transaction: 1)
        #expect(space.allocate(7, transaction: 2).id == 3)
        #expect(space.allocate(8, transaction: 2).id == 200)
        #expect(space.allocate(3, transaction: 2).id == 13)
        #expect(space.allocate(7, transaction: 2).id == 23)
        #expect(space.allocate(4, transaction: 2).id == 16)
        #expect(space.allocate(40, transaction: 2).id == 208)
        #expect(space.allocate(1, transaction: 2).id == 33)
    }

    /// More than 65,534 free pages: the count moves into the list's first element.
    @Test func aLongFreeList() throws {
        let disk = FaultyDisk()
        var options = PageFileOptions()
        options.pageSize = 1024
        options.growthStep = 1 << 20
        options.writesFreeList = true
        let file = try PageFile.open(disk: disk, path: "/db", options: options)
        var transaction = try file.beginWrite()
        let long = [UInt8](repeating: 1, count: 1_000_000)
        let bucket = try transaction.createBucketIfMissing([1])
        for number in 0..<70 as Range<UInt8> { try bucket.put([number], long) }
        try transaction.createBucketIfMissing([2]).put([1], long)
        try transaction.commit()
        transaction = try file.beginWrite()
        try transaction.deleteBucket([1])
        try transaction.commit()
        let reader = try file.beginRead()
        let report = try reader.check()
        #expect(report.isSound && report.hasFreeList && report.freePages > 65_535, "\(report)")
        let dump = try reader.dump(page: reader.meta.freeList)
        guard case .freeList(let pages) = dump.content else {
            Issue.record("\(dump)")
            return
        }
        #expect(dump.count == 0xffff && pages.count == report.freePages)
    }
}
