/// Which pages hold nothing that anybody can reach, and which will once readers and the older meta page have moved on.
///
/// Rules: a page freed by transaction F and allocated by transaction A is still reachable by a state r (an open reader, or the state
/// in the meta page that is not the newest) when A <= r < F; it is reusable when there is no such r. So a long reader holds back only
/// pages that existed when it began, and either meta page always leads to an intact tree.
struct FreeSpace: Sendable {
    /// Pages freed by one committed transaction that somebody may still reach.
    private struct Pending {
        let transaction: UInt64
        var runs: [PageRun]
        /// The newest state older than the transaction when this was last looked at; nothing changes until it does.
        var examinedFor: UInt64?
    }

    /// Reusable now.
    private(set) var free: PageBitmap
    /// Reusable now or later; what is not in here is in use.
    private(set) var unused: PageBitmap
    private var pending: [Pending] = []
    /// For each page the transaction that allocated it, counted from the one the file was opened at; 0 for older ones.
    private var allocatedBy: [UInt32]
    private let openedAt: UInt64
    /// One past the last page, the open write transaction's allocations included.
    private(set) var highWater: PageID

    /// The open write transaction's changes, for rolling back.
    private var taken: [PageRun] = []
    private var freed: [PageRun] = []
    private var highWaterBefore: PageID
    /// Below `searchFrom[n]` there is no run of n free pages; valid within one write transaction, whose allocations only shrink `free`.
    private var searchFrom = [PageID](repeating: 2, count: 17)

    var freeCount: Int { free.count }
    var pendingCount: Int { unused.count - free.count }

    /// - Parameters:
    ///   - used: the pages reachable from the current meta.
    ///   - withheld: unused pages that the other meta page still reaches.
    init(used: PageBitmap, withheld: [PageRun], highWater: PageID, transaction: UInt64) {
        var free = PageBitmap(pages: highWater)
        for page in 2..<max(highWater, 2) where !used[page] { free.insert(page) }
        unused = free
        for run in withheld { free.remove(run) }
        self.free = free
        self.highWater = highWater
        highWaterBefore = highWater
        openedAt = transaction
        allocatedBy = [UInt32](repeating: 0, count: Int(highWater))
        if !withheld.isEmpty { pending.append(Pending(transaction: transaction, runs: withheld, examinedFor: nil)) }
    }

    /// Moves pages that nobody reaches any more from pending to free.
    ///
    /// - Parameter states: the transactions of open readers and of the older meta page, ascending.
    mutating func release(states: [UInt64]) {
        for index in pending.indices {
            let transaction = pending[index].transaction
            let newest = states.last { $0 < transaction }
            if let newest, pending[index].examinedFor == newest { continue }
            var kept: [PageRun] = []
            for run in pending[index].runs {
                if let newest, newest >= allocation(of: run) {
                    kept.append(run)
                } else {
                    free.insert(run)
                }
            }
            pending[index].runs = kept
            pending[index].examinedFor = newest
        }
        pending.removeAll { $0.runs.isEmpty }
        for index in searchFrom.indices { searchFrom[index] = 2 }
    }

    private func allocation(of run: PageRun) -> UInt64 {
        let counted = allocatedBy[Int(run.id)]
        return counted == 0 ? 0 : openedAt + UInt64(counted)
    }

    /// `count` consecutive pages: the lowest free ones that fit, else new ones at the end.
    mutating func allocate(_ count: Int, transaction: UInt64) -> PageRun {
        let run: PageRun
        if let id = lowestFree(count) {
            run = PageRun(id: id, count: count)
            free.remove(run)
            unused.remove(run)
            taken.append(run)
        } else {
            run = PageRun(id: highWater, count: count)
            highWater += PageID(count)
            allocatedBy.append(contentsOf: repeatElement(0, count: max(Int(highWater) - allocatedBy.count, 0)))
        }
        let since = transaction - openedAt
        precondition(
            since > 0 && since <= UInt64(UInt32.max), "more transactions since open than the allocation table can tell apart")
        for page in run.id..<run.end { allocatedBy[Int(page)] = UInt32(since) }
        return run
    }

    private mutating func lowestFree(_ count: Int) -> PageID? {
        guard free.count >= count else { return nil }
        let slot = min(count, searchFrom.count - 1)
        var at = searchFrom[slot]
        while let start = free.firstSet(from: at) {
            let end = free.firstClear(from: start)
            if end - start >= PageID(count) {
                if count == slot { searchFrom[slot] = start }
                return start
            }
            at = end
        }
        if count == slot { searchFrom[slot] = highWater }
        return nil
    }

    /// Gives back pages of the current state in the open write transaction; false when one of them is not in use.
    mutating func release(_ run: PageRun) -> Bool {
        for page in run.id..<run.end where !unused.insert(page) {
            for undone in run.id..<page { unused.remove(undone) }
            return false
        }
        freed.append(run)
        return true
    }

    /// Gives up free pages at the very end of the file; returns the new high water mark.
    mutating func trimEnd() -> PageID {
        let last = free.lastClear(before: highWater) ?? 1
        let end = max(last + 1, 2)
        if end < highWater {
            let run = PageRun(id: end, count: Int(highWater - end))
            free.remove(run)
            unused.remove(run)
            highWater = end
        }
        return highWater
    }

    /// The open write transaction is durable: what it freed is pending from now on.
    mutating func commit(transaction: UInt64) {
        if !freed.isEmpty { pending.append(Pending(transaction: transaction, runs: freed, examinedFor: nil)) }
        freed = []
        taken = []
        highWaterBefore = highWater
    }

    mutating func rollback() {
        for run in freed { unused.remove(run) }
        for run in taken {
            free.insert(run)
            unused.insert(run)
        }
        freed = []
        taken = []
        highWater = highWaterBefore
    }
}
