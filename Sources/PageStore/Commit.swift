import Host

extension WriteTransaction {
    /// Makes the changes durable and visible to transactions that begin from now on.
    ///
    /// Two syncs: new pages, then the meta page that leads to them. A transaction without changes writes nothing. After a failed write
    /// or sync the file object is of no more use; after any other error the changes are given up and the file goes on.
    public func commit() throws(PageFileError) {
        precondition(isOpen, "the write transaction has ended")
        do throws(PageFileError) {
            if let damage { throw damage }
            let meter = file.options.commitMeter
            let began = meter?.now() ?? 0
            guard try root.spill() != nil else {
                rollback()
                return
            }
            let spilled = meter?.now() ?? 0
            try writeState()
            guard let meter else { return }
            let spill = spilled - began
            meter.report(
                CommitTimes(rebalance: rebalanceTime, spill: spill - min(spill, rebalanceTime), write: meter.now() - spilled))
        } catch {
            rollback()
            throw error
        }
    }

    private func writeState() throws(PageFileError) {
        var meta = base.meta
        meta.root = root.header.root
        meta.rootSequence = root.header.sequence
        meta.transaction = number
        meta.freeList = try replaceFreeList()
        meta.highWater = freeSpace.highWater
        try writer.flush(end: meta.highWater)
        try file.mustSucceed { (file) throws(DiskError) in try file.syncData() }
        let source = try sourceForGrownFile()
        let slot = PageFile.Slot(meta: meta, number: 1 - base.number)
        try write(slot)
        try file.mustSucceed { (file) throws(DiskError) in try file.syncData() }
        try writer.shrink(to: file.reachableEnd(newest: meta.highWater))
        isOpen = false
        freeSpace.commit(transaction: number)
        file.endWrite(freeSpace, fileSize: writer.fileSize, committed: (slot, source))
    }

    /// Gives the old free list page back, gives up free pages at the end, and writes a new list if the file shall have one.
    private func replaceFreeList() throws(PageFileError) -> PageID {
        if base.meta.freeList != PageFormat.noFreeList {
            let header = try source.header(base.meta.freeList)
            try release(PageRun(id: base.meta.freeList, count: Int(header.overflow) + 1))
        }
        guard file.options.writesFreeList else {
            _ = freeSpace.trimEnd()
            return PageFormat.noFreeList
        }
        // One element more for the count of a long list.
        let bytes = PageFormat.headerSize + 8 * (freeSpace.unused.count + 1)
        let run = freeSpace.allocate((bytes + source.pageSize - 1) >> source.shift, transaction: number)
        _ = freeSpace.trimEnd()
        let target = try writer.image(run, end: freeSpace.highWater)
        FreeListPage.write(freeSpace.unused, run: run, to: target)
        return run.id
    }

    /// A larger mapping when the file has outgrown the present one. Readers keep the mapping they began with.
    private func sourceForGrownFile() throws(PageFileError) -> PageSource {
        guard let mapping = source.mapping, writer.fileSize > mapping.capacity else { return source }
        do {
            return try PageFile.makeSource(
                file: file.file, path: file.path, pageSize: source.pageSize, options: file.options, needed: writer.fileSize)
        } catch {
            file.poison(error)
            throw error
        }
    }

    private func write(_ slot: PageFile.Slot) throws(PageFileError) {
        let page = UnsafeMutableRawBufferPointer.allocate(byteCount: source.pageSize, alignment: 4096)
        defer { page.deallocate() }
        slot.meta.encode(page, slot: slot.number)
        try file.mustSucceed { (file) throws(DiskError) in
            try file.write(UnsafeRawBufferPointer(page), at: slot.number * source.pageSize)
        }
    }
}

extension PageFile {
    /// One past the last page that the new state, the one before it or an open reader may ask for.
    func reachableEnd(newest: PageID) -> PageID {
        state.withLock { state in
            state.readers.reduce(max(newest, state.current.meta.highWater)) { max($0, $1.highWater) }
        }
    }
}
